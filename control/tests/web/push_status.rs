//! Where a push is said to be, and what a recall asks for.

use crate::server::Server;
use gpusher_proto::data::{Status, UserStatus, job};
use serde_json::json;

#[tokio::test]
async fn state_follows_from_the_counters() {
    let server = Server::start().await;
    let far = i64::MAX / 2;
    for (id, status, state) in [
        (1, Status { gateways: 2, done: 1, ..Status::default() }, "delivering"),
        (
            2,
            Status { gateways: 2, done: 2, written: 5, expires_at_ms: far, ..Status::default() },
            "done",
        ),
        (3, Status { gateways: 2, done: 1, expires_at_ms: 1, ..Status::default() }, "expired"),
        (4, Status { recalled: true, expires_at_ms: 1, ..Status::default() }, "recalled"),
        (5, Status { absent: 1, ..Status::default() }, "done"),
    ] {
        server.store.statuses.lock().insert(id, Status { id, ..status });
        let reply = server.get(&format!("/v1/push/{id}")).await;
        assert_eq!(reply.data()["state"], state);
        assert_eq!(reply.data()["id"], id.to_string());
        assert_eq!(reply.data()["counters"]["written"], status.written);
    }
}

#[tokio::test]
async fn one_user_can_be_asked_about() {
    let server = Server::start().await;
    server.store.statuses.lock().insert(1, Status { id: 1, ..Status::default() });
    for (user, status, state) in [
        (
            "a",
            UserStatus { known: true, seq: 9, acknowledged: true, ..Default::default() },
            "acknowledged",
        ),
        ("b", UserStatus { known: true, seq: 9, ..Default::default() }, "waiting"),
        ("c", UserStatus { known: true, dead: true, ..Default::default() }, "dead"),
        ("d", UserStatus::default(), "unknown"),
    ] {
        server.store.user_statuses.lock().insert((1, user.into()), status);
        let reply = server.get(&format!("/v1/push/1?uuid={user}")).await;
        assert_eq!(reply.data()["user"]["state"], state);
        assert_eq!(reply.data()["user"]["uuid"], user);
    }
}

#[tokio::test]
async fn what_is_over_is_so_for_everybody_once_it_has_left_the_logs() {
    let server = Server::start().await;
    for (id, status, state) in [
        (1, Status { expires_at_ms: 1, ..Status::default() }, "expired"),
        (2, Status { recalled: true, ..Status::default() }, "recalled"),
    ] {
        server.store.statuses.lock().insert(id, Status { id, ..status });
        let reply = server.get(&format!("/v1/push/{id}?uuid=a")).await;
        assert_eq!(reply.data()["user"]["state"], state);
    }
}

#[tokio::test]
async fn what_is_still_queued_is_known_and_what_never_was_is_not() {
    let server = Server::start().await;
    let push = json!({"tag": "app_gpusher", "body": {"type": 2, "content": "a"}});
    let id = server.post("/v1/push", push).await.data()["id"].as_str().unwrap().to_owned();
    assert_eq!(server.get(&format!("/v1/push/{id}")).await.data()["state"], "queued");
    assert_eq!(server.get("/v1/push/12345").await.status, 404);
    assert_eq!(server.get("/v1/push/x").await.code(), 100);
}

#[tokio::test]
async fn a_recall_is_queued_once_it_is_known_what_to_recall() {
    let server = Server::start().await;
    server.store.statuses.lock().insert(1, Status { id: 1, ..Status::default() });
    server.store.statuses.lock().insert(2, Status { id: 2, recalled: true, ..Status::default() });
    let reply = server.delete("/v1/push/1").await;
    assert_eq!((reply.status, &reply.data()["recalled"]), (202, &json!(false)));
    let reply = server.delete("/v1/push/2").await;
    assert_eq!((reply.status, &reply.data()["recalled"]), (200, &json!(true)));
    assert_eq!(server.delete("/v1/push/3").await.status, 404);
    let records = server.queue.records.lock();
    let jobs: Vec<_> = records.iter().filter_map(|record| record.job.clone()?.kind).collect();
    assert!(matches!(&jobs[..], [job::Kind::Recall(key)] if key.id == 1));
}
