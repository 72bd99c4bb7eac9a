//! A batch is queued in one call; a wrong push in it stops only itself.

use crate::server::Server;
use gpusher_control::error::Code;
use gpusher_control::web::Config;
use serde_json::{Value, json};

fn to(uuid: &str) -> Value {
    json!({"tag": "app_gpusher", "body": {"type": 1, "uuid": uuid, "content": "x"}})
}

#[tokio::test]
async fn good_ones_pass_beside_wrong_ones() {
    let server = Server::start().await;
    let nobody = json!({"tag": "app_gpusher", "body": {"type": 1, "content": "x"}});
    let malformed = json!({"tag": "app_gpusher", "body": {"type": 1, "uuid": 7}});
    let unknown = json!({"tag": "nowhere", "body": {"type": 2, "content": "x"}});
    let batch = json!([to("a"), nobody, to("b"), malformed, unknown, 5]);
    let reply = server.post("/v1/push/batch", batch).await;
    assert_eq!(reply.status, 200);
    let data = reply.data();
    assert_eq!((&data["accepted"], &data["refused"]), (&json!(2), &json!(4)));
    let codes: Vec<_> =
        data["results"].as_array().unwrap().iter().map(|r| r["code"].as_u64()).collect();
    assert_eq!(codes, [None, Some(102), None, Some(100), Some(101), Some(100)]);
    assert_eq!(data["results"][3]["field"], "body.uuid");
    let pushes = server.pushes();
    assert_eq!(data["results"][2]["id"], pushes[1].id.to_string());
    assert_eq!((pushes.len(), *server.queue.publishes.lock()), (2, 1));
    assert_eq!((&pushes[0].users[0][..], &pushes[1].users[0][..]), ("a", "b"));
}

#[tokio::test]
async fn nothing_is_accepted_when_the_queue_fails() {
    let server = Server::start().await;
    *server.queue.down.lock() = Some(Code::Unavailable);
    let reply = server.post("/v1/push/batch", json!([to("a"), to("b")])).await;
    assert_eq!((reply.code(), reply.status), (100, 503));
    assert_eq!(reply.headers["retry-after"], "1");
}

#[tokio::test]
async fn count_and_bytes_are_bounded() {
    let config =
        Config { development: true, batch_max: 3, batch_bytes_max: 2_000, ..Config::default() };
    let server = Server::start_with(config).await;
    let reply = server.post("/v1/push/batch", json!([to("a"), to("b"), to("c")])).await;
    assert_eq!(reply.status, 200);
    let reply = server.post("/v1/push/batch", json!([to("a"), to("b"), to("c"), to("d")])).await;
    assert_eq!((reply.code(), reply.status), (100, 413));
    let reply = server.post("/v1/push/batch", json!(["x".repeat(2_000)])).await;
    assert_eq!((reply.code(), reply.status), (100, 413));
    let reply = server.post("/v1/push/batch", json!([])).await;
    assert_eq!(reply.data()["accepted"], 0);
    let reply = server.post("/v1/push/batch", json!({"tag": 1})).await;
    assert_eq!((reply.code(), reply.status), (100, 400));
}
