//! Kept messages on their way to a far store.

use super::*;
use crate::store::remote::without_repeat;
use gpusher_proto::data::{Append, Channel, Push, ReadRequest};
use prost::Message;

const USERS: u64 = 1_000;

fn own(user: u64) -> Option<Channel> {
    Some(Channel { kind: 0, app_id: 1000, name: format!("user-{user}") })
}

fn entry(user: u64, id: u64) -> Append {
    let content = vec![id as u8; CALL_BYTES / 3].into();
    Append { channel: own(user), push: Some(Push { id, content, ..Push::default() }) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_goes_over_once_for_all_its_logs() {
    let mixed = [(0, 1), (0, 2), (1, 1), (1, 2)].map(|(user, id)| entry(user, id));
    let entries: Vec<Append> =
        mixed.into_iter().chain((2..USERS).map(|user| entry(user, 2))).collect();
    let sent = shortened_calls(entries.clone(), without_repeat);
    let bytes: usize = sent.iter().flatten().map(Append::encoded_len).sum();
    assert!(bytes < 6 * CALL_BYTES / 3, "{bytes}");

    let folder = tempfile::tempdir().unwrap();
    let role = start(embedded(&folder).await);
    let store = RemoteStore::new(&role.connect());
    store.append(entries).await.unwrap();
    for (user, messages) in [(0, vec![1, 2]), (1, vec![1, 2]), (2, vec![2]), (USERS - 1, vec![2])] {
        let request = ReadRequest { channel: own(user), ..ReadRequest::default() };
        let found = store.read(request).await.unwrap().messages;
        let found: Vec<Append> = found
            .into_iter()
            .map(|logged| Append { channel: own(user), push: logged.push })
            .collect();
        let expected: Vec<Append> = messages.into_iter().map(|id| entry(user, id)).collect();
        assert!(found == expected, "user-{user}");
    }
    role.stop().await;
}
