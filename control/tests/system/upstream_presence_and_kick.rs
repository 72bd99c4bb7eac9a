//! Set-up: development mode with two version 1 clients. What must hold: messages from clients reach users, topics and the application, each with an
//! answer; presence tells who is connected; a kick closes with the reason given.

use crate::support::System;
use crate::support::version1::Client;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn upstream_reaches_user_topic_and_application() {
    let data = tempfile::tempdir().unwrap();
    let system = System::start(data.path()).await;
    let mut alice = Client::login(system.clients(), "alice", "").await;
    let mut bob = Client::login(system.clients(), "bob", "").await;
    assert_eq!(bob.join(1, "lobby").await.0, 0);

    let (code, id) = alice.send(7, 1, "bob", "hi bob").await;
    assert_eq!(code, 0);
    let push = bob.push().await;
    assert_eq!((push.content.as_str(), push.id), ("hi bob", id));
    assert_eq!(push.sender.as_deref(), Some("alice"));

    assert_eq!(alice.send(8, 4, "lobby", "hi all").await.0, 0);
    let push = bob.push().await;
    assert_eq!((push.content.as_str(), push.topic.as_deref()), ("hi all", Some("lobby")));

    let (code, id) = alice.send(9, 0, "", "hi application").await;
    assert_eq!(code, 0);
    let inbox = system.get("/v1/upstream?app=app_gpusher").await;
    let message = &inbox["Data"][0];
    assert_eq!(message["content"], "hi application", "{inbox}");
    assert_eq!(message["uuid"], "alice");
    assert_eq!(message["id"], id.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_follows_connections() {
    let data = tempfile::tempdir().unwrap();
    let system = System::start(data.path()).await;
    let path = "/v1/presence?app=app_gpusher&uuid=alice";
    assert_eq!(system.get(path).await["Data"]["online"], false);
    let phone = Client::login(system.clients(), "alice", "phone").await;
    let tablet = Client::login(system.clients(), "alice", "tablet").await;
    let present = system.get(path).await;
    assert_eq!(present["Data"]["online"], true, "{present}");
    assert_eq!(present["Data"]["connections"].as_array().map(Vec::len), Some(2), "{present}");
    drop(phone);
    system
        .get_until(path, |answer| answer["Data"]["connections"].as_array().map(Vec::len) == Some(1))
        .await;
    drop(tablet);
    system.get_until(path, |answer| answer["Data"]["online"] == false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kick_closes_with_its_reason() {
    let data = tempfile::tempdir().unwrap();
    let system = System::start(data.path()).await;
    let mut alice = Client::login(system.clients(), "alice", "phone").await;
    let mut bob = Client::login(system.clients(), "bob", "phone").await;
    let kick = json!({"app": "app_gpusher", "uuid": "alice", "text": "account closed"});
    let answer = system.post("/v1/kick", &kick).await;
    assert_eq!(answer["Code"], 1, "{answer}");
    assert_eq!(alice.closed().await, (200, 2));
    system.push(json!({"type": 1, "uuid": "bob", "content": "still here"})).await;
    assert_eq!(bob.contents(1).await, ["still here"]);
}
