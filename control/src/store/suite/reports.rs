//! Statuses, dead letters, upstream messages.

use super::*;

pub async fn status_counters_add_up(fixture: impl Fixture) {
    let store = fixture.open().await;
    assert_eq!(store.get_status(7).await.unwrap(), None);
    let accepted = Status {
        id: 7,
        app_id: APP,
        r#type: 2,
        accepted_at_ms: NOON_MS,
        expires_at_ms: NOON_MS + 1,
        ..Status::default()
    };
    let written = Status { id: 7, written: 2, done: 1, ..Status::default() };
    store.add_status(vec![written, accepted, written]).await.unwrap();
    let recalled = Status { id: 7, recalled: true, withdrawn: 4, ..Status::default() };
    let other = Status { id: u64::MAX, dead: 1, ..Status::default() };
    store.add_status(vec![recalled, other]).await.unwrap();
    store.add_status(vec![written]).await.unwrap();
    let expected = Status { written: 6, done: 3, recalled: true, withdrawn: 4, ..accepted };
    assert_eq!(store.get_status(7).await.unwrap(), Some(expected));
    assert_eq!(store.get_status(u64::MAX).await.unwrap(), Some(other));
    store.add_status(Vec::new()).await.unwrap();
}

pub async fn a_kept_push_is_known_without_counters(fixture: impl Fixture) {
    let store = fixture.open().await;
    let expiring = Push { expires_at_ms: i64::MAX, ..push(1) };
    let batch = vec![entry(&own("ada"), expiring.clone()), entry(&own("bob"), expiring.clone())];
    store.append(batch).await.unwrap();
    let known = Status {
        id: 1,
        app_id: expiring.app_id,
        r#type: expiring.r#type,
        accepted_at_ms: expiring.accepted_at_ms,
        expires_at_ms: expiring.expires_at_ms,
        stored: 2,
        ..Status::default()
    };
    assert_eq!(store.get_status(1).await.unwrap(), Some(known));
    // Logic was killed after it was sent, and tells only of what came later.
    store.add_status(vec![Status { id: 1, acked: 1, ..Status::default() }]).await.unwrap();
    assert_eq!(store.get_status(1).await.unwrap(), Some(Status { acked: 1, ..known }));
    store.recall(1).await.unwrap();
    store.purge(PurgeRequest { now_ms: NOON_MS, ..PurgeRequest::default() }).await.unwrap();
    assert_eq!(store.get_status(2).await.unwrap(), None);
}

pub async fn user_status_follows_the_message(fixture: impl Fixture) {
    let store = fixture.open().await;
    let status = |message| store.get_user_status(message, "ada");
    assert_eq!(status(1).await.unwrap(), UserStatus::default());
    let past = Push { expires_at_ms: 1, ..push(2) };
    let batch = vec![
        entry(&own("bob"), push(1)),
        entry(&own("bob"), push(3)),
        entry(&own("ada"), push(1)),
        entry(&own("ada"), past),
    ];
    store.append(batch).await.unwrap();
    let known = UserStatus { known: true, seq: 1, ..UserStatus::default() };
    assert_eq!(status(1).await.unwrap(), known);
    let expired = UserStatus { known: true, seq: 2, expired: true, ..UserStatus::default() };
    assert_eq!(status(2).await.unwrap(), expired);
    assert_eq!(status(3).await.unwrap(), UserStatus::default(), "it is bob's");

    acknowledge(&*store, "bob", "phone", 9).await;
    assert_eq!(status(1).await.unwrap(), known);
    let letter = letter(1, "ada", "phone");
    store.add_dead_letters(vec![letter]).await.unwrap();
    acknowledge(&*store, "ada", "phone", 1).await;
    let dead = UserStatus { dead: true, ..known };
    assert_eq!(status(1).await.unwrap(), dead, "the cursor moved past a dead letter");
    acknowledge(&*store, "ada", "desk", 1).await;
    store.recall(1).await.unwrap();
    let both = UserStatus { acknowledged: true, recalled: true, ..dead };
    assert_eq!(status(1).await.unwrap(), both);
}

pub async fn user_status_knows_shared_logs(fixture: impl Fixture) {
    let store = fixture.open().await;
    let batch = vec![
        entry(&app_wide(APP), push(1)),
        entry(&everyone(), push(2)),
        entry(&topic("news"), push(3)),
    ];
    store.append(batch).await.unwrap();
    let known = UserStatus { known: true, seq: 1, ..UserStatus::default() };
    for message in 1..=3 {
        assert_eq!(store.get_user_status(message, "ada").await.unwrap(), known);
    }
    let cursors = Some(Cursors { own: 1, app: 1, everyone: 1 });
    let update = CursorUpdate { device: Some(device("ada", "")), cursors };
    store.advance_cursors(vec![update]).await.unwrap();
    let acknowledged = UserStatus { acknowledged: true, ..known };
    for (message, expected) in [(1, acknowledged), (2, acknowledged), (3, known)] {
        assert_eq!(store.get_user_status(message, "ada").await.unwrap(), expected);
        assert_eq!(store.get_user_status(message, "bob").await.unwrap(), known);
    }
}

fn letter(id: u64, user: &str, device: &str) -> DeadLetter {
    DeadLetter {
        position: 0,
        app_id: APP,
        user: user.into(),
        device: device.into(),
        push: Some(push(id)),
        reason: "unacknowledged after 5 attempts".into(),
        at_ms: NOON_MS,
    }
}

pub async fn dead_letters_are_read_and_removed(fixture: impl Fixture) {
    let store = fixture.open().await;
    let other_app = DeadLetter { app_id: APP + 1, ..letter(1, "ada", "") };
    let batch = vec![letter(1, "ada", ""), letter(1, "bob", ""), other_app, letter(2, "ada", "")];
    store.add_dead_letters(batch.clone()).await.unwrap();
    store.add_dead_letters(batch).await.unwrap();
    let page = |after, limit| store.list_dead_letters(AppPage { app_id: APP, after, limit });
    let all = page(0, 0).await.unwrap();
    assert_eq!(all.len(), 3, "filed once each");
    assert!(all.is_sorted_by(|a, b| a.position < b.position));
    let first = DeadLetter { position: all[0].position, ..letter(1, "ada", "") };
    assert_eq!(all[0], first);
    assert_eq!(page(0, 2).await.unwrap(), all[..2]);
    assert_eq!(page(all[1].position, 2).await.unwrap(), all[2..]);

    assert!(store.delete_dead_letters(APP, all[1].position).await.unwrap());
    assert!(!store.delete_dead_letters(APP, all[1].position).await.unwrap());
    assert_eq!(page(0, 0).await.unwrap(), all[2..]);
    assert!(store.delete_dead_letters(APP, u64::MAX).await.unwrap());
    store.add_dead_letters(vec![letter(3, "ada", "")]).await.unwrap();
    assert!(page(0, 0).await.unwrap()[0].position > all[2].position);
    let empty = DeadLetter { push: None, ..letter(4, "ada", "") };
    assert_eq!(store.add_dead_letters(vec![empty]).await.unwrap_err().code, Code::Invalid);
}

fn upstream(id: u64, app_id: u32) -> UpstreamMessage {
    UpstreamMessage {
        position: 0,
        id,
        app_id,
        user: "ada".into(),
        device: "phone".into(),
        content: vec![0, 255, id as u8].into(),
        at_ms: NOON_MS,
    }
}

pub async fn upstream_messages_are_read_and_removed(fixture: impl Fixture) {
    let store = fixture.open().await;
    let batch = vec![upstream(1, APP), upstream(2, APP + 1), upstream(3, APP)];
    store.add_upstream(batch.clone()).await.unwrap();
    store.add_upstream(batch).await.unwrap();
    let page = |after, limit| store.list_upstream(AppPage { app_id: APP, after, limit });
    let all = page(0, 0).await.unwrap();
    assert_eq!(all.len(), 2, "filed once each");
    assert_eq!(all[0], UpstreamMessage { position: all[0].position, ..upstream(1, APP) });
    assert_eq!(page(0, 1).await.unwrap(), all[..1]);
    assert_eq!(page(all[0].position, 5).await.unwrap(), all[1..]);
    assert!(store.delete_upstream(APP, all[1].position).await.unwrap());
    assert!(!store.delete_upstream(APP, all[1].position).await.unwrap());
    assert_eq!(page(0, 0).await.unwrap(), []);
    assert_eq!(
        store.list_upstream(AppPage { app_id: APP + 1, after: 0, limit: 0 }).await.unwrap().len(),
        1
    );
    let empty = UpstreamMessage { content: Default::default(), ..upstream(9, APP) };
    store.add_upstream(vec![empty.clone()]).await.unwrap();
    let read = page(0, 0).await.unwrap();
    assert_eq!(read[0].content, empty.content);
}
