//! Readiness names what fails; the system page and the metrics show what goes on.

use crate::server::Server;
use gpusher_control::error::Code;
use gpusher_proto::data::GatewayLease;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn readiness_names_the_failing_dependency() {
    let server = Server::start().await;
    assert_eq!(
        server.get("/readyz").await.data(),
        &json!({"store": "ok", "routes": "ok", "queue": "ok"})
    );
    *server.queue.down.lock() = Some(Code::Unavailable);
    let reply = server.get("/readyz").await;
    assert_eq!((reply.code(), reply.status), (503, 503));
    assert_eq!(reply.body["Data"]["msg"], "not ready: queue");
    assert_eq!(
        (&reply.body["Data"]["queue"], &reply.body["Data"]["store"]),
        (&json!("unavailable"), &json!("ok"))
    );
    *server.store.down.lock() = Some(Code::Internal);
    let reply = server.get("/readyz").await;
    assert_eq!(reply.body["Data"]["msg"], "not ready: store, queue");
    assert_eq!(server.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn the_system_is_shown() {
    let server = Server::start().await;
    let lease =
        GatewayLease { gateway: 3, client_addr: "10.0.0.3:8881".into(), ..Default::default() };
    server.routes.gateways.lock().push(lease);
    let reply = server.get("/v1/system").await;
    let data = reply.data();
    assert_eq!(
        (&data["gateways"][0]["clientAddr"], &data["epoch"]),
        (&json!("10.0.0.3:8881"), &json!("77"))
    );
    assert_eq!(data["limits"]["contentBytes"], 1 << 20);
}

#[tokio::test]
async fn metrics_count_requests_and_pushes() {
    let server = Server::start().await;
    let push = json!({"tag": "app_gpusher", "body": {"type": 2, "content": "a"}});
    server.post("/v1/push", push).await;
    server.get("/v1/push/77").await;
    let text = server.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    for line in [
        "gpusher_web_pushes_total 1",
        r#"gpusher_web_requests_total{route="/v1/push",method="POST",status="200"} 1"#,
        r#"gpusher_web_requests_total{route="/v1/push/{id}",method="GET",status="404"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}
