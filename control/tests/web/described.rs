//! The description has every route, and what it refers to exists.

use crate::server::Server;
use reqwest::Method;
use serde_json::Value;

async fn document(server: &Server) -> Value {
    server.request(Method::GET, "/openapi.json").send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn every_described_route_exists() {
    let server = Server::start().await;
    let document = document(&server).await;
    let mut count = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let concrete =
                path.replace("{id}", "1").replace("{app}", "nowhere").replace("{uuid}", "u");
            let response = server.request(method.clone(), &concrete).send().await.unwrap();
            let text = if path.ends_with("stream") {
                String::new()
            } else {
                response.text().await.unwrap()
            };
            assert!(
                !text.contains("no such path") && !text.contains("is not for"),
                "{method} {path}: {text}"
            );
            count += 1;
        }
    }
    assert!(count >= 28, "{count} routes");
}

#[tokio::test]
async fn the_routes_of_the_manual_are_described() {
    let server = Server::start().await;
    let document = document(&server).await;
    for (method, path) in [
        ("post", "/v1/push"),
        ("post", "/v1/push/batch"),
        ("get", "/v1/push/{id}"),
        ("delete", "/v1/push/{id}"),
        ("post", "/v1/token"),
        ("post", "/v1/apps"),
        ("get", "/v1/apps"),
        ("delete", "/v1/apps/{app}"),
        ("post", "/v1/users"),
        ("get", "/v1/users"),
        ("get", "/v1/users/{uuid}"),
        ("patch", "/v1/users/{uuid}"),
        ("delete", "/v1/users/{uuid}"),
        ("get", "/v1/presence"),
        ("post", "/v1/presence"),
        ("get", "/v1/presence/counts"),
        ("get", "/v1/connections"),
        ("post", "/v1/kick"),
        ("get", "/v1/dead-letters"),
        ("delete", "/v1/dead-letters"),
        ("get", "/v1/upstream"),
        ("delete", "/v1/upstream"),
        ("get", "/v1/upstream/stream"),
        ("get", "/v1/system"),
        ("get", "/healthz"),
        ("get", "/readyz"),
        ("get", "/metrics"),
        ("get", "/openapi.json"),
        ("get", "/"),
    ] {
        let operation = &document["paths"][path][method];
        assert!(operation["summary"].is_string(), "{method} {path} is not described");
        assert!(operation["responses"]["400"].is_object(), "{method} {path} has no errors");
        let open = ["/", "/openapi.json", "/healthz", "/readyz", "/v1/token"].contains(&path);
        assert_eq!(operation["security"].is_null(), open, "{method} {path}");
    }
}

#[tokio::test]
async fn references_lead_somewhere() {
    let server = Server::start().await;
    let document = document(&server).await;
    let mut stack = vec![&document];
    let mut references = 0;
    while let Some(value) = stack.pop() {
        match value {
            Value::Object(map) => {
                if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                    let target = document.pointer(reference.strip_prefix('#').unwrap());
                    assert!(target.is_some(), "{reference} leads nowhere");
                    references += 1;
                }
                stack.extend(map.values());
            }
            Value::Array(list) => stack.extend(list),
            _ => {}
        }
    }
    assert!(references > 50, "{references} references");
}

#[tokio::test]
async fn the_page_for_people_needs_nothing_from_elsewhere() {
    let server = Server::start().await;
    let response = server.request(Method::GET, "/").send().await.unwrap();
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let page = response.text().await.unwrap();
    assert!(page.contains("/v1/push") && !page.contains("src=") && !page.contains("https://"));
}
