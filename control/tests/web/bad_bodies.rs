//! Bodies that no honest client sends: whatever they say, the answer is a 2xx or 4xx in the API's envelope, and the server goes on.

use crate::server::Server;
use gpusher_proto::wire::fuzz::{Random, inputs};
use reqwest::Method;
use std::fs;
use std::path::Path;

/// Where the bodies of a folder of the corpus are sent.
const TARGETS: &[(&str, &[(&str, &str)])] = &[
    ("push", &[("POST", "/v1/push")]),
    ("batch", &[("POST", "/v1/push/batch")]),
    ("token", &[("POST", "/v1/token")]),
    ("apps", &[("POST", "/v1/apps")]),
    ("users", &[("POST", "/v1/users"), ("PATCH", "/v1/users/a")]),
    ("kick", &[("POST", "/v1/kick")]),
];
/// What stands where something else should.
const WORDS: &[&str] = &[
    "null",
    "true",
    "-1",
    "0",
    "1e999",
    "18446744073709551616",
    "9223372036854775807",
    "0.5",
    "[]",
    "{}",
    "[[[[]]]]",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"type\"",
    "\"tag\"",
    "\"uuid\"",
];

fn corpus() -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web/corpus");
    let mut bodies = Vec::new();
    for (folder, targets) in TARGETS {
        for entry in fs::read_dir(root.join(folder)).expect("a folder of the corpus") {
            let body = fs::read(entry.expect("readable").path()).expect("readable");
            let named =
                targets.iter().map(|(method, path)| (format!("{method} {path}"), body.clone()));
            bodies.extend(named);
        }
    }
    bodies.sort();
    bodies
}

async fn answer(server: &Server, target: &str, body: &[u8]) {
    let (method, path) = target.split_once(' ').expect("a method and a path");
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let request = server.request(method, path).header("content-type", "application/json");
    let reply = Server::send(request.body(body.to_vec())).await;
    let text = String::from_utf8_lossy(body);
    // A token names a gateway to go to, and there is none here.
    let no_gateway = reply.status == 503 && reply.body["Data"]["code"] == 153;
    assert!(reply.status < 500 || no_gateway, "{target} {text}: {} {}", reply.status, reply.body);
    let is_done = reply.status < 300;
    assert_eq!(reply.body["Code"], u8::from(is_done), "{target} {text}: {}", reply.body);
}

#[tokio::test]
async fn no_body_makes_the_server_fail() {
    let server = Server::start().await;
    let corpus = corpus();
    for (target, body) in &corpus {
        answer(&server, target, body).await;
    }
    let mut random = Random::seeded();
    let mut tried = 0;
    for _ in inputs(2_000) {
        let (target, body) = &corpus[random.below(corpus.len())];
        let mut body = body.clone();
        random.damage_text(&mut body, WORDS);
        answer(&server, target, &body).await;
        server.queue.records.lock().clear();
        tried += 1;
    }
    println!("{tried} bodies");
}
