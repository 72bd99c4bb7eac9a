//! Set-up: development mode, a client that speaks the forerunner's frames byte by byte. What must hold: it logs in with a
//! heartbeat-typed frame, its heartbeats are answered, pushes arrive as JSON bodies, and how TCP cuts its bytes does not matter.

use crate::support::System;
use crate::support::forerunner::{ACKNOWLEDGEMENT, Client, GENERAL, HEARTBEAT, SYNC, frame, login};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn login_heartbeat_push_acknowledge_sync() {
    let data = tempfile::tempdir().unwrap();
    let system = System::start(data.path()).await;
    let mut client = Client::connect(system.clients()).await;

    let body = br#"{"appId": 1000, "uuid": "liangjf", "key": "app_gpusher", "token": "t"}"#;
    client.write(&frame(HEARTBEAT, 0, 9, body)).await;
    let accepted = client.read().await.unwrap();
    assert_eq!((accepted.kind, accepted.stream, accepted.body.len()), (HEARTBEAT, 9, 0));

    client.write(&frame(HEARTBEAT, 0, 10, b"")).await;
    let beat = client.read().await.unwrap();
    assert_eq!((beat.kind, beat.stream, beat.body.len()), (HEARTBEAT, 10, 0));

    let push = json!({"type": 1, "uuid": "liangjf", "content": "hello world 123",
        "expireTime": 3600, "offlinePush": false});
    system.push(push).await;
    let received = client.push().await;
    assert_eq!(received["type"], 1);
    assert_eq!(received["uuid"], "liangjf");
    assert_eq!(received["content"], "hello world 123");
    assert_eq!(received["expireTime"], 3600);
    assert_eq!(received["offlinePush"], false);

    let sequence = received["msgSeq"].as_u64().unwrap();
    client.write(&frame(ACKNOWLEDGEMENT, 1, sequence, b"")).await;
    client.write(&frame(SYNC, 0, 12, b"")).await;
    let synced = client.read().await.unwrap();
    assert_eq!((synced.kind, synced.stream, synced.body.len()), (SYNC, 12, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_frames_in_one_segment() {
    let data = tempfile::tempdir().unwrap();
    let system = System::start(data.path()).await;
    let mut client = Client::connect(system.clients()).await;

    let mut bytes = login("packed", "app_gpusher");
    for stream in 100..140 {
        bytes.extend(frame(HEARTBEAT, 0, stream, b""));
    }
    client.write(&bytes).await;
    let accepted = client.read().await.unwrap();
    assert_eq!((accepted.kind, accepted.stream), (HEARTBEAT, 1));
    for stream in 100..140 {
        let beat = client.read().await.unwrap();
        assert_eq!((beat.kind, beat.stream), (HEARTBEAT, stream));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frame_split_at_every_byte() {
    let data = tempfile::tempdir().unwrap();
    let system = System::start(data.path()).await;
    let bytes = login("split", "app_gpusher");
    for cut in 1..bytes.len() {
        let mut client = Client::connect(system.clients()).await;
        client.write(&bytes[..cut]).await;
        tokio::task::yield_now().await;
        client.write(&bytes[cut..]).await;
        let accepted = client.read().await.unwrap();
        assert_eq!((accepted.kind, accepted.body.len()), (HEARTBEAT, 0), "cut at {cut}");
    }

    let mut client = Client::connect(system.clients()).await;
    for byte in login("trickle", "app_gpusher") {
        client.write(&[byte]).await;
    }
    assert_eq!(client.read().await.unwrap().kind, HEARTBEAT);
    system.push(json!({"type": 1, "uuid": "trickle", "content": "whole"})).await;
    assert_eq!(client.push().await["content"], "whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn login_with_a_missing_field_is_answered_and_closed() {
    let data = tempfile::tempdir().unwrap();
    let system = System::start(data.path()).await;
    for body in [
        json!({"uuid": "u", "key": "app_gpusher", "token": "t"}),
        json!({"appId": 1000, "key": "app_gpusher", "token": "t"}),
        json!({"appId": 1000, "uuid": "u", "token": "t"}),
        json!({"appId": 1000, "uuid": "u", "key": "app_gpusher"}),
    ] {
        let mut client = Client::connect(system.clients()).await;
        client.write(&frame(HEARTBEAT, 0, 5, body.to_string().as_bytes())).await;
        let refusal = client.read().await.unwrap();
        assert_eq!(refusal.kind, GENERAL);
        assert_eq!(refusal.json()["code"], 100, "{body}");
        client.expect_end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn message_to_another_client_is_answered_and_delivered() {
    let data = tempfile::tempdir().unwrap();
    let system = System::start(data.path()).await;
    let mut alice = Client::login(system.clients(), "alice").await;
    let mut bob = Client::login(system.clients(), "bob").await;

    let body = json!({"type": 1, "uuid": "bob", "content": "from alice"});
    alice.write(&frame(GENERAL, 0, 31, body.to_string().as_bytes())).await;
    let answer = alice.read().await.unwrap();
    assert_eq!((answer.kind, answer.stream), (ACKNOWLEDGEMENT, 31));
    assert_eq!(answer.json()["code"], 0);
    assert_eq!(bob.push().await["content"], "from alice");
}
