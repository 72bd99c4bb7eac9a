//! The same key and body are done once; another body under the key is refused.

use crate::server::{Reply, Server};
use gpusher_control::error::Code;
use serde_json::{Value, json};

async fn push(server: &Server, path: &str, key: &str, body: &Value) -> Reply {
    let request = server.request(reqwest::Method::POST, path).header("Idempotency-Key", key);
    Server::send(request.json(body)).await
}

fn message(content: &str) -> Value {
    json!({"tag": "app_gpusher", "body": {"type": 2, "content": content}})
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer() {
    let server = Server::start().await;
    let first = push(&server, "/v1/push", "k", &message("a")).await;
    let second = push(&server, "/v1/push", "k", &message("a")).await;
    assert_eq!(first.data(), second.data());
    assert!(!first.headers.contains_key("idempotency-replayed"));
    assert_eq!(second.headers["idempotency-replayed"], "true");
    let other = push(&server, "/v1/push", "k2", &message("a")).await;
    assert_ne!(first.data()["id"], other.data()["id"]);
    assert_eq!(server.pushes().len(), 2);
    let batch = json!([message("a"), message("b")]);
    let first = push(&server, "/v1/push/batch", "k", &batch).await;
    let second = push(&server, "/v1/push/batch", "k", &batch).await;
    assert_eq!(first.data(), second.data());
    assert_eq!(server.pushes().len(), 4);
}

#[tokio::test]
async fn another_body_under_the_key_is_refused() {
    let server = Server::start().await;
    push(&server, "/v1/push", "k", &message("a")).await.data();
    let reply = push(&server, "/v1/push", "k", &message("b")).await;
    assert_eq!((reply.code(), reply.status), (422, 422));
    let reply = push(&server, "/v1/push", &"k".repeat(256), &message("b")).await;
    assert_eq!((reply.code(), reply.status), (100, 400));
    assert_eq!(server.pushes().len(), 1);
}

#[tokio::test]
async fn a_failure_is_tried_again_and_not_remembered() {
    let server = Server::start().await;
    *server.queue.down.lock() = Some(Code::Unavailable);
    assert_eq!(push(&server, "/v1/push", "k", &message("a")).await.status, 503);
    *server.queue.down.lock() = None;
    assert_eq!(push(&server, "/v1/push", "k", &message("a")).await.status, 200);
    assert_eq!(server.pushes().len(), 1);
}

#[tokio::test]
async fn a_repeat_during_the_first_waits_for_it() {
    let server = Server::start().await;
    let closed = server.queue.gate.lock().await;
    let body = message("a");
    let both = async {
        tokio::join!(push(&server, "/v1/push", "k", &body), push(&server, "/v1/push", "k", &body))
    };
    let mut both = std::pin::pin!(both);
    tokio::select! {
        biased;
        _ = &mut both => panic!("answered before it was durable"),
        // Both requests are with the server by then.
        () = tokio::time::sleep(std::time::Duration::from_millis(200)) => {}
    }
    drop(closed);
    let (one, two) = both.await;
    assert_eq!(one.data(), two.data());
    assert_eq!(server.pushes().len(), 1);
}
