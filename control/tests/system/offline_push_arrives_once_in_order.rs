//! Set-up: development mode, users that are away while they are pushed to. What must hold: at the next login they get what was
//! kept for them, in order, once; nothing that has expired or was recalled; nothing that was not to be kept.

use crate::support::System;
use crate::support::forerunner::Client;
use serde_json::{Value, json};

fn kept(user: &str, content: &str) -> Value {
    json!({"type": 1, "uuid": user, "content": content, "offlinePush": true})
}

/// Waits until the push is in its log: from then on a login must bring it.
async fn stored(system: &System, id: &str) {
    let path = format!("/v1/push/{id}");
    system
        .get_until(&path, |answer| answer["Data"]["counters"]["stored"].as_u64() >= Some(1))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_order_and_once() {
    let data = tempfile::tempdir().unwrap();
    let system = System::start(data.path()).await;
    let mut wanted = Vec::new();
    for number in 0..300 {
        let content = format!("message {number}");
        system.push(kept("away", &content)).await;
        wanted.push(content);
    }
    let live = system.push(json!({"type": 1, "uuid": "away", "content": "not kept"})).await;
    let path = format!("/v1/push/{live}");
    system.get_until(&path, |answer| answer["Data"]["counters"]["absent"] == 1).await;

    let mut client = Client::login(system.clients(), "away").await;
    assert_eq!(client.contents(300).await, wanted);
    system.push(kept("away", "live")).await;
    assert_eq!(client.contents(1).await, ["live"]);
    drop(client);
    system
        .get_until("/v1/presence?app=app_gpusher&uuid=away", |answer| {
            answer["Data"]["online"] == false
        })
        .await;

    let mut again = Client::login(system.clients(), "away").await;
    system.push(kept("away", "after")).await;
    assert_eq!(again.contents(1).await, ["after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_every_audience() {
    let data = tempfile::tempdir().unwrap();
    let system = System::start(data.path()).await;
    // Known to the system, then away.
    drop(Client::login(system.clients(), "everybody").await);
    system
        .get_until("/v1/presence?app=app_gpusher&uuid=everybody", |answer| {
            answer["Data"]["online"] == false
        })
        .await;

    let own = system.push(kept("everybody", "own")).await;
    let app = system.push(json!({"type": 2, "content": "app", "offlinePush": true})).await;
    let all = system.push(json!({"type": 3, "content": "everyone", "offlinePush": true})).await;
    let users = json!(["somebody", "everybody"]);
    let list = json!({"type": 5, "uuids": users, "content": "list", "offlinePush": true});
    let list = system.push(list).await;
    for id in [own, app, all, list] {
        stored(&system, &id).await;
    }
    let mut client = Client::login(system.clients(), "everybody").await;
    let mut contents = client.contents(4).await;
    contents.sort();
    assert_eq!(contents, ["app", "everyone", "list", "own"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn not_after_its_expiry_or_recall() {
    let data = tempfile::tempdir().unwrap();
    let system = System::start(data.path()).await;
    let short = json!({"type": 1, "uuid": "late", "content": "short-lived", "expireTime": 1,
        "offlinePush": true});
    let short = system.push(short).await;
    let withdrawn = system.push(kept("late", "withdrawn")).await;
    let stays = system.push(kept("late", "stays")).await;
    stored(&system, &stays).await;
    let answer = system.delete(&format!("/v1/push/{withdrawn}")).await;
    assert_eq!(answer["Code"], 1, "{answer}");
    let path = format!("/v1/push/{withdrawn}");
    system.get_until(&path, |answer| answer["Data"]["state"] == "recalled").await;
    let path = format!("/v1/push/{short}?uuid=late");
    system.get_until(&path, |answer| answer["Data"]["user"]["state"] == "expired").await;

    let mut client = Client::login(system.clients(), "late").await;
    assert_eq!(client.contents(1).await, ["stays"]);
    client.expect_nothing_more().await;
}
