//! What is pushed arrives in the queue as it was meant, before the answer.

use crate::server::Server;
use gpusher_proto::gateway::SlowPolicy;
use serde_json::json;

#[tokio::test]
async fn the_forerunners_push_is_answered_with_its_id() {
    let server = Server::start().await;
    let body = r#"{"tag": "app_gpusher", "body": {"type": 1, "uuid": "liangjf", "content": "hello world 123", "expireTime": 3600, "offlinePush": false}}"#;
    let request = server.request(reqwest::Method::POST, "/v1/push").body(body);
    let text = request.send().await.unwrap().text().await.unwrap();
    let push = server.pushes().remove(0);
    let expected = format!(
        r#"{{"Code":1,"Msg":"ok","Data":{{"id":"{}","acceptedAt":{},"expiresAt":{},"kept":false}}}}"#,
        push.id, push.accepted_at_ms, push.expires_at_ms
    );
    assert_eq!(text, expected);
    assert_eq!((push.r#type, push.app_id, push.tag.as_str()), (1, 1000, "app_gpusher"));
    assert_eq!((push.users, &push.content[..]), (vec!["liangjf".into()], &b"hello world 123"[..]));
    assert_eq!((push.expire_time, push.offline_push), (3600, false));
    assert_eq!(push.expires_at_ms, push.accepted_at_ms + 3_600_000);
}

#[tokio::test]
async fn each_type_has_its_audience_and_no_other() {
    let server = Server::start().await;
    for body in [
        json!({"type": 2, "uuid": "ignored", "content": "a"}),
        json!({"type": 3, "content": "b", "offlinePush": true}),
        json!({"type": 4, "topic": "news", "content": "c", "slow": "close"}),
        json!({"type": 5, "uuids": ["x", "y", "x"], "contentBase64": "/w==", "slow": "dropNewest"}),
    ] {
        let reply = server.post("/v1/push", json!({"tag": "app_gpusher", "body": body})).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
    let [app, everyone, topic, list] = <[_; 4]>::try_from(server.pushes()).unwrap();
    assert!(app.r#type == 2 && app.users.is_empty() && app.expires_at_ms == 0);
    assert!(everyone.r#type == 3 && everyone.offline_push);
    assert!(topic.r#type == 4 && topic.topic == "news" && topic.slow() == SlowPolicy::Close);
    assert_eq!(list.users, ["x", "y"]);
    assert_eq!((&list.content[..], list.slow()), (&[0xff][..], SlowPolicy::DropNewest));
}

#[tokio::test]
async fn the_answer_waits_for_the_queue() {
    let server = Server::start().await;
    let closed = server.queue.gate.lock().await;
    let push = json!({"tag": "app_gpusher", "body": {"type": 2, "content": "a"}});
    let mut answer = std::pin::pin!(server.post("/v1/push", push));
    tokio::select! {
        biased;
        reply = &mut answer => panic!("answered {} before it was durable", reply.body),
        // Far longer than the rest of the way takes.
        () = tokio::time::sleep(std::time::Duration::from_millis(200)) => {}
    }
    drop(closed);
    assert_eq!(answer.await.status, 200);
}

#[tokio::test]
async fn pushes_to_one_user_share_a_key_and_others_do_not() {
    let server = Server::start().await;
    for user in ["a", "a", "b"] {
        let body = json!({"type": 1, "uuid": user, "content": "x"});
        server.post("/v1/push", json!({"tag": "app_gpusher", "body": body})).await;
    }
    let records = server.queue.records.lock();
    assert_eq!(records[0].key, records[1].key);
    assert_ne!(records[0].key, records[2].key);
}

#[tokio::test]
async fn an_app_created_elsewhere_can_be_pushed_to() {
    let server = Server::start().await;
    let push = json!({"tag": "app_new", "body": {"type": 2, "content": "a"}});
    assert_eq!(server.post("/v1/push", push.clone()).await.status, 404);
    let app = gpusher_proto::data::App { id: 5, tag: "app_new".into(), ..Default::default() };
    server.store.apps.lock().push(app);
    // The table is read again for an unknown tag, but not at once for every one.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while server.post("/v1/push", push.clone()).await.status == 404 {
        assert!(std::time::Instant::now() < deadline, "never found");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(server.pushes()[0].app_id, 5);
}
