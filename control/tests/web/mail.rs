//! Dead letters and clients' messages are read, followed and deleted by position.

use crate::server::Server;
use futures_util::StreamExt;
use gpusher_proto::data::{DeadLetter, Push, UpstreamMessage};
use reqwest::Method;
use serde_json::{Value, json};

fn message(position: u64, content: &'static [u8]) -> UpstreamMessage {
    let content = content.into();
    UpstreamMessage {
        position,
        id: position + 100,
        app_id: 1000,
        user: "a".into(),
        content,
        ..Default::default()
    }
}

/// Reads events until there are `count` of them; returns (id, data).
async fn events(request: reqwest::RequestBuilder, count: usize) -> Vec<(String, Value)> {
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let (mut body, mut text, mut found) = (response.bytes_stream(), String::new(), Vec::new());
    while found.len() < count {
        text += std::str::from_utf8(&body.next().await.expect("more events").unwrap()).unwrap();
        while let Some((event, rest)) = text.split_once("\n\n") {
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
            if let (Some(id), Some(data)) = (field("id: "), field("data: ")) {
                found.push((id.to_owned(), serde_json::from_str(data).unwrap()));
            }
            text = rest.to_owned();
        }
    }
    found
}

#[tokio::test]
async fn upstream_is_listed_and_deleted() {
    let server = Server::start().await;
    server.store.upstream.lock().extend([
        message(1, b"one"),
        message(2, b"\xff"),
        message(3, b"three"),
    ]);
    let page = server.get("/v1/upstream?app=app_gpusher&after=1&limit=1").await;
    assert_eq!(page.data().as_array().unwrap().len(), 1);
    assert_eq!(page.data()[0]["contentBase64"], "/w==");
    assert_eq!(page.data()[0]["id"], "102");
    assert_eq!(server.delete("/v1/upstream?app=1000").await.code(), 100);
    assert_eq!(server.delete("/v1/upstream?app=1000&upTo=2").await.data()["removed"], true);
    let page = server.get("/v1/upstream?app=1000").await;
    assert_eq!(page.data()[0]["content"], "three");
}

#[tokio::test]
async fn dead_letters_are_listed_and_deleted() {
    let server = Server::start().await;
    let push = Push { id: 9, content: "x".into(), ..Push::default() };
    let letter = DeadLetter {
        position: 4,
        app_id: 1000,
        user: "a".into(),
        push: Some(push),
        reason: "unacknowledged".into(),
        ..Default::default()
    };
    server.store.letters.lock().push(letter);
    let page = server.get("/v1/dead-letters?app=1000").await;
    let letter = &page.data()[0];
    assert_eq!((&letter["id"], &letter["reason"]), (&json!("9"), &json!("unacknowledged")));
    assert_eq!(server.delete("/v1/dead-letters?app=1000&upTo=3").await.data()["removed"], false);
    assert_eq!(server.delete("/v1/dead-letters?app=1000&upTo=4").await.data()["removed"], true);
    assert_eq!(server.get("/v1/dead-letters?app=1000").await.data(), &json!([]));
}

#[tokio::test]
async fn the_stream_follows_and_resumes() {
    let server = Server::start().await;
    server.store.upstream.lock().extend([message(1, b"one"), message(2, b"two")]);
    let stream = || server.request(Method::GET, "/v1/upstream/stream?app=app_gpusher");
    let reading = tokio::spawn(events(stream(), 3));
    server.store.upstream.lock().push(message(3, b"three"));
    let seen = reading.await.unwrap();
    let ids: Vec<&str> = seen.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["1", "2", "3"]);
    assert_eq!(seen[2].1["content"], "three");
    let resumed = events(stream().header("Last-Event-ID", "1"), 2).await;
    assert_eq!((&resumed[0].0[..], &resumed[1].0[..]), ("2", "3"));
    let reply = Server::send(stream().header("Last-Event-ID", "x")).await;
    assert_eq!(reply.code(), 100);
}

#[tokio::test]
async fn streams_are_bounded_and_end_when_the_server_does() {
    let config =
        gpusher_control::web::Config { development: true, streams_max: 1, ..Default::default() };
    let server = Server::start_with(config).await;
    let stream = || server.request(Method::GET, "/v1/upstream/stream?app=1000");
    let held = stream().send().await.unwrap();
    let refused = Server::send(stream()).await;
    assert_eq!((refused.code(), refused.status), (429, 429));
    server.stopping.cancel();
    held.text().await.unwrap();
    server.serving.await.unwrap();
}
