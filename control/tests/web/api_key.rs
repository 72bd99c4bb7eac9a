//! Whatever changes or reveals something asks for a key; what is for everybody does not.

use crate::server::{KEY, Server};
use gpusher_control::web::Config;
use reqwest::Method;
use serde_json::Value;

const OPEN: [&str; 5] = ["/", "/openapi.json", "/healthz", "/readyz", "/v1/token"];

async fn with_key() -> Server {
    let api_keys = vec!["another".into(), KEY.into(), String::new()];
    Server::start_with(Config { api_keys, ..Config::default() }).await
}

async fn routes(server: &Server) -> Vec<(Method, String)> {
    let document: Value =
        server.request(Method::GET, "/openapi.json").send().await.unwrap().json().await.unwrap();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            routes.push((method, path.clone()));
        }
    }
    routes
}

#[tokio::test]
async fn every_route_but_the_open_ones_asks() {
    let server = with_key().await;
    let routes = routes(&server).await;
    assert!(routes.len() > 20);
    for (method, path) in routes {
        let concrete = path.replace("{id}", "1").replace("{app}", "1000").replace("{uuid}", "u");
        let status = server.request(method.clone(), &concrete).send().await.unwrap().status();
        assert_eq!(
            status == 401 && path != "/v1/token",
            !OPEN.contains(&path.as_str()),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn both_headers_open_and_wrong_keys_do_not() {
    let server = with_key().await;
    let get = || server.request(Method::GET, "/v1/apps");
    for request in [
        get().bearer_auth(KEY),
        get().header("authorization", format!("bearer {KEY}")),
        get().header("x-api-key", KEY),
        get().header("x-api-key", "another"),
    ] {
        assert_eq!(Server::send(request).await.status, 200);
    }
    for request in [
        get(),
        get().bearer_auth(""),
        get().bearer_auth("wrong"),
        get().bearer_auth(&KEY[1..]),
        get().header("x-api-key", ""),
        get().header("authorization", format!("Basic {KEY}")),
    ] {
        let reply = Server::send(request).await;
        assert_eq!((reply.code(), reply.status), (401, 401));
        assert_eq!(reply.headers["www-authenticate"], "Bearer");
    }
}

#[tokio::test]
async fn without_keys_nobody_gets_in() {
    let server = Server::start_with(Config::default()).await;
    let reply = Server::send(server.request(Method::GET, "/v1/apps").bearer_auth("")).await;
    assert_eq!(reply.status, 401);
}
