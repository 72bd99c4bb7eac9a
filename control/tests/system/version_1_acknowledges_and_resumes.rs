//! Set-up: development mode, a version 1 client that acknowledges, disconnects and comes back. What must hold: what it acknowledged does not come
//! again, what it did not does; positions it names win; another epoch is told apart; a newer connection of the same device replaces the older.

use crate::support::System;
use crate::support::version1::Client;
use serde_json::json;

async fn push_kept(system: &System, contents: &[&str]) {
    for content in contents {
        let push = json!({"type": 1, "uuid": "erin", "content": content, "offlinePush": true});
        system.push(push).await;
    }
}

async fn gone(system: &System) {
    system
        .get_until("/v1/presence?app=app_gpusher&uuid=erin", |answer| {
            answer["Data"]["online"] == false
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unacknowledged_messages_come_again() {
    let data = tempfile::tempdir().unwrap();
    let system = System::start(data.path()).await;
    push_kept(&system, &["a", "b", "c"]).await;
    let mut client = Client::login(system.clients(), "erin", "phone").await;
    let first = client.push().await;
    assert!(first.kept);
    assert_eq!(client.contents(2).await, ["b", "c"]);
    client.acknowledge(0, first.seq).await;
    drop(client);
    gone(&system).await;

    let mut again = Client::login(system.clients(), "erin", "phone").await;
    assert_eq!(again.contents(2).await, ["b", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_of_the_client_win() {
    let data = tempfile::tempdir().unwrap();
    let system = System::start(data.path()).await;
    push_kept(&system, &["a", "b", "c"]).await;
    let mut client = Client::login(system.clients(), "erin", "phone").await;
    let pushes = [client.push().await, client.push().await, client.push().await];
    let epoch = client.epoch;
    drop(client);
    gone(&system).await;

    let positions = [(0, pushes[1].seq)];
    let mut back = Client::resume(system.clients(), "erin", "phone", (epoch, &positions)).await;
    assert_eq!(back.resumed.first().map(|result| (result.0, result.1)), Some((0, 0)));
    assert_eq!(back.contents(1).await, ["c"]);
    drop(back);
    gone(&system).await;

    let other = Client::resume(system.clients(), "erin", "phone", (epoch + 1, &positions)).await;
    assert_eq!(other.resumed.first().map(|result| (result.0, result.1)), Some((0, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_connection_of_a_device_replaces_the_older() {
    let data = tempfile::tempdir().unwrap();
    let system = System::start(data.path()).await;
    let mut older = Client::login(system.clients(), "erin", "phone").await;
    let mut tablet = Client::login(system.clients(), "erin", "tablet").await;
    let mut newer = Client::login(system.clients(), "erin", "phone").await;
    assert_eq!(older.closed().await, (201, 2));
    system.push(json!({"type": 1, "uuid": "erin", "content": "x"})).await;
    assert_eq!(newer.contents(1).await, ["x"]);
    assert_eq!(tablet.contents(1).await, ["x"]);
}
