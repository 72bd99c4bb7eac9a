//! Apps and users come, change and go; passwords never come out.

use crate::server::Server;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn apps() {
    let server = Server::start().await;
    let reply = server.post("/v1/apps", json!({"tag": "app_news", "name": "News"})).await;
    assert_eq!((reply.status, &reply.data()["id"]), (201, &json!(1001)));
    let reply = server.post("/v1/apps", json!({"tag": "app_news"})).await;
    assert_eq!((reply.code(), reply.status), (409, 409));
    assert_eq!(server.post("/v1/apps", json!({})).await.code(), 101);
    assert_eq!(server.post("/v1/apps", json!({"tag": "12"})).await.code(), 100);
    assert_eq!(server.get("/v1/apps").await.data().as_array().unwrap().len(), 2);
    // Known to pushes at once, and gone at once.
    let push = json!({"tag": "app_news", "body": {"type": 2, "content": "x"}});
    assert_eq!(server.post("/v1/push", push.clone()).await.status, 200);
    assert_eq!(server.delete("/v1/apps/app_news").await.status, 200);
    assert_eq!(server.post("/v1/push", push).await.status, 404);
    assert_eq!(server.delete("/v1/apps/1001").await.status, 404);
}

#[tokio::test]
async fn users() {
    let server = Server::start().await;
    for uuid in ["a", "b", "c"] {
        let new =
            json!({"uuid": uuid, "username": format!("n{uuid}"), "password": "p1", "phone": "123"});
        let reply = server.post("/v1/users", new).await;
        assert_eq!(reply.status, 201);
        assert!(!reply.body.to_string().contains("p1"), "{}", reply.body);
    }
    assert_eq!(server.store.users.lock()["a"].password_hash, "<p1>");
    let again = json!({"uuid": "a", "password": "p"});
    assert_eq!(server.post("/v1/users", again).await.status, 409);
    assert_eq!(server.post("/v1/users", json!({"uuid": "d"})).await.code(), 100);
    assert_eq!(server.post("/v1/users", json!({"password": "p"})).await.code(), 102);

    let page = server.get("/v1/users?after=a&limit=1").await;
    assert_eq!(page.data()[0]["uuid"], "b");
    assert_eq!(page.data().as_array().unwrap().len(), 1);

    let change = server.request(Method::PATCH, "/v1/users/a").json(&json!({"available": false}));
    assert_eq!(Server::send(change).await.data()["available"], false);
    assert_eq!(server.store.users.lock()["a"].password_hash, "<p1>");
    let change = server.request(Method::PATCH, "/v1/users/a").json(&json!({"password": "p2"}));
    assert_eq!(Server::send(change).await.data()["available"], false);
    let user = server.get("/v1/users/a").await;
    assert_eq!((&user.data()["phone"], &user.data()["userId"]), (&json!("123"), &json!("1")));
    assert_eq!(server.store.users.lock()["a"].password_hash, "<p2>");

    assert_eq!(server.delete("/v1/users/a").await.status, 200);
    assert_eq!(server.delete("/v1/users/a").await.status, 404);
    assert_eq!(server.get("/v1/users/a").await.status, 404);
}
