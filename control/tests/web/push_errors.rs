//! Each error number comes with its status and in the forerunner's order of checks.

use crate::server::Server;
use gpusher_control::error::Code;
use serde_json::{Value, json};

fn push(change: impl FnOnce(&mut Value)) -> Value {
    let mut push = json!({"tag": "app_gpusher", "body": {
        "type": 1, "uuid": "liangjf", "content": "hello world 123", "expireTime": 3600, "offlinePush": false
    }});
    change(&mut push);
    push
}

#[tokio::test]
async fn every_number_has_its_status_and_field() {
    let server = Server::start().await;
    let cases: Vec<(u64, u16, Option<&str>, Value)> = vec![
        (100, 400, Some("body.expireTime"), push(|p| p["body"]["expireTime"] = json!(-1))),
        (100, 400, Some("body.type"), push(|p| p["body"]["type"] = json!("one"))),
        (100, 400, Some("body.slow"), push(|p| p["body"]["slow"] = json!("sometimes"))),
        (
            100,
            400,
            Some("body.contentBase64"),
            push(|p| p["body"]["contentBase64"] = json!("aGk=")),
        ),
        (
            100,
            400,
            Some("body.contentBase64"),
            push(|p| {
                p["body"]["content"] = Value::Null;
                p["body"]["contentBase64"] = json!("?");
            }),
        ),
        (
            100,
            413,
            Some("body.content"),
            push(|p| p["body"]["content"] = json!("x".repeat((1 << 20) + 1))),
        ),
        (
            100,
            400,
            Some("body.uuids"),
            push(|p| {
                p["body"]["type"] = json!(5);
                p["body"]["uuids"] = (0..10_001).map(|i| i.to_string()).collect();
            }),
        ),
        (101, 400, Some("tag"), push(|p| p["tag"] = json!(""))),
        (101, 404, None, push(|p| p["tag"] = json!("app_unknown"))),
        (102, 400, Some("body.uuid"), push(|p| p["body"]["uuid"] = Value::Null)),
        (102, 400, Some("body.uuid"), push(|p| p["body"]["uuid"] = json!("x".repeat(65)))),
        (102, 400, Some("body.uuids"), push(|p| p["body"]["type"] = json!(5))),
        (103, 400, Some("body.type"), push(|p| p["body"]["type"] = json!(6))),
        (103, 400, Some("body.type"), push(|p| p["body"] = json!({"content": "x"}))),
        (104, 400, Some("body.content"), push(|p| p["body"]["content"] = json!(""))),
        (105, 400, Some("body.expireTime"), push(|p| p["body"]["expireTime"] = json!(604_801))),
        (106, 400, Some("body.topic"), push(|p| p["body"]["type"] = json!(4))),
        // The first of several errors, as the forerunner checks.
        (101, 400, Some("tag"), json!({})),
        (103, 400, Some("body.type"), json!({"tag": "app_gpusher"})),
        (
            104,
            400,
            Some("body.content"),
            push(|p| {
                p["body"]["content"] = json!("");
                p["body"]["expireTime"] = json!(604_801);
            }),
        ),
    ];
    for (code, status, field, body) in cases {
        let reply = server.post("/v1/push", body.clone()).await;
        let text = body.to_string();
        assert_eq!(reply.code(), code, "{} for {text:.200}", reply.body);
        assert_eq!(reply.status, status, "{text:.200}");
        assert_eq!(reply.body["Data"]["field"].as_str(), field, "{text:.200}");
    }
    assert_eq!(server.queue.records.lock().len(), 0);
}

#[tokio::test]
async fn what_is_no_json_is_a_bad_body() {
    let server = Server::start().await;
    for body in ["", "{", "[]", "\u{0}", r#"{"tag": "app_gpusher", "body": }"#] {
        let request = server.request(reqwest::Method::POST, "/v1/push").body(body);
        let reply = Server::send(request).await;
        assert_eq!((reply.code(), reply.status), (100, 400), "{body:?}");
    }
}

#[tokio::test]
async fn a_queue_that_fails_says_when_to_come_back() {
    let server = Server::start().await;
    for (failure, status, retry) in [
        (Code::Overloaded, 503, true),
        (Code::Unavailable, 503, true),
        (Code::Internal, 500, false),
    ] {
        *server.queue.down.lock() = Some(failure);
        let reply = server.post("/v1/push", push(|_| ())).await;
        assert_eq!((reply.code(), reply.status), (100, status));
        assert_eq!(reply.headers.contains_key("retry-after"), retry);
    }
}

#[tokio::test]
async fn an_app_table_that_was_read_outlives_the_store() {
    let config = gpusher_control::web::Config {
        development: true,
        apps_max_age: std::time::Duration::ZERO,
        ..Default::default()
    };
    let server = Server::start_with(config).await;
    *server.store.down.lock() = Some(Code::Unavailable);
    assert_eq!(server.post("/v1/push", push(|_| ())).await.status, 503);
    *server.store.down.lock() = None;
    assert_eq!(server.post("/v1/push", push(|_| ())).await.status, 200);
    *server.store.down.lock() = Some(Code::Unavailable);
    assert_eq!(server.post("/v1/push", push(|_| ())).await.status, 200);
}

#[tokio::test]
async fn unknown_paths_and_methods_answer_in_the_envelope() {
    let server = Server::start().await;
    let reply = server.get("/v1/nothing").await;
    assert_eq!((reply.code(), reply.status), (404, 404));
    let reply = server.get("/v1/push").await;
    assert_eq!((reply.code(), reply.status), (405, 405));
    assert_eq!(reply.headers["allow"], "POST");
}
