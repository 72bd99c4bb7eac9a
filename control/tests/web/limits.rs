//! Too much at once, too slow and too large cost only that request.

use crate::server::Server;
use gpusher_control::web::Config;
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn push() -> serde_json::Value {
    json!({"tag": "app_gpusher", "body": {"type": 2, "content": "a"}})
}

#[tokio::test]
async fn requests_beyond_the_bound_are_turned_away() {
    let config = Config { development: true, requests_max: 1, ..Config::default() };
    let server = Server::start_with(config).await;
    let closed = server.queue.gate.lock().await;
    let mut first = std::pin::pin!(server.post("/v1/push", push()));
    let refused = async {
        // The first request takes the place some time after it was sent.
        loop {
            let reply = server.get("/healthz").await;
            if reply.status == 503 {
                return reply;
            }
        }
    };
    let reply = tokio::select! {
        _ = &mut first => panic!("answered while the queue was closed"),
        reply = refused => reply,
    };
    assert_eq!((reply.code(), &reply.headers["retry-after"]), (503, &"1".parse().unwrap()));
    drop(closed);
    assert_eq!(first.await.status, 200);
    assert_eq!(server.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered() {
    let config = Config {
        development: true,
        request_timeout: Duration::from_millis(100),
        ..Config::default()
    };
    let server = Server::start_with(config).await;
    let _closed = server.queue.gate.lock().await;
    let reply = server.post("/v1/push", push()).await;
    assert_eq!((reply.code(), reply.status), (503, 503));
}

#[tokio::test]
async fn a_head_that_never_ends_costs_the_connection() {
    let config =
        Config { development: true, head_timeout: Duration::from_millis(100), ..Config::default() };
    let server = Server::start_with(config).await;
    let mut stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: ").await.unwrap();
    let mut rest = Vec::new();
    let end = stream.read_to_end(&mut rest);
    tokio::time::timeout(Duration::from_secs(10), end).await.expect("the server closes").ok();
}

#[tokio::test]
async fn bodies_are_bounded() {
    let server = Server::start().await;
    let request = server.request(reqwest::Method::POST, "/v1/push").body(vec![b' '; 4 << 20]);
    let reply = Server::send(request).await;
    assert_eq!((reply.code(), reply.status), (100, 413));
}
