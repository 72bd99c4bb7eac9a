//! Who is connected is told as the routes have it; a kick is queued.

use crate::server::Server;
use gpusher_proto::data::{Route, job};
use serde_json::json;

async fn server() -> Server {
    let server = Server::start().await;
    let route = |conn, user: &str, device: &str| Route {
        conn,
        app_id: 1000,
        user: user.into(),
        device: device.into(),
        version: 1,
        ..Route::default()
    };
    let routes =
        [route(1, "alice", "phone"), route(u64::MAX, "alice", "desk"), route(3, "bob", "")];
    server.routes.routes.lock().extend(routes);
    server
}

#[tokio::test]
async fn one_many_and_counts() {
    let server = server().await;
    let reply = server.get("/v1/presence?app=app_gpusher&uuid=alice").await;
    assert_eq!(reply.data()["online"], true);
    assert_eq!(reply.data()["connections"][1]["id"], u64::MAX.to_string());
    let reply = server.get("/v1/presence?app=1000&uuid=carol").await;
    assert_eq!(reply.data()["online"], false);
    let asked = json!({"app": "app_gpusher", "uuids": ["carol", "bob"]});
    let reply = server.post("/v1/presence", asked).await;
    assert_eq!(
        (&reply.data()[0]["online"], &reply.data()[1]["online"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(server.get("/v1/presence/counts").await.data()[0]["connections"], 3);
    assert_eq!(server.get("/v1/presence?uuid=alice").await.code(), 101);
    assert_eq!(server.get("/v1/presence?app=nowhere&uuid=alice").await.status, 404);
}

#[tokio::test]
async fn connections_come_in_pages() {
    let server = server().await;
    let page = server.get("/v1/connections?app=1000&limit=2").await;
    assert_eq!(page.data().as_array().unwrap().len(), 2);
    let last = &page.data()[1];
    let (uuid, id) = (last["uuid"].as_str().unwrap(), last["id"].as_str().unwrap());
    let path = format!("/v1/connections?app=1000&limit=2&afterUuid={uuid}&afterId={id}");
    let page = server.get(&path).await;
    assert_eq!(page.data().as_array().unwrap().len(), 1);
    assert_eq!(page.data()[0]["uuid"], "bob");
    assert_eq!(server.get("/v1/connections?app=1000&afterId=x").await.code(), 100);
}

#[tokio::test]
async fn a_kick_is_queued_with_its_advice() {
    let server = server().await;
    let kick = json!({"app": "app_gpusher", "uuid": "alice", "device": "desk", "reconnect": "newToken", "delayMs": 5, "text": "signed out"});
    assert_eq!(server.post("/v1/kick", kick).await.status, 202);
    let record = server.queue.records.lock().remove(0);
    let Some(job::Kind::Kick(kick)) = record.job.unwrap().kind else { panic!("no kick") };
    assert_eq!((kick.app_id, &kick.user[..], &kick.device[..]), (1000, "alice", "desk"));
    assert_eq!((kick.advice, kick.delay_ms, &kick.text[..]), (1, 5, "signed out"));
    let wrong = json!({"app": "app_gpusher", "uuid": "alice", "reconnect": "maybe"});
    assert_eq!(server.post("/v1/kick", wrong).await.body["Data"]["field"], "reconnect");
}
