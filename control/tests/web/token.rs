//! A token is for who knows the password; gateways come least loaded first.

use crate::server::{Reply, Server};
use gpusher_control::error::Code;
use gpusher_control::web::Config;
use gpusher_proto::data::{GatewayLease, User};
use gpusher_proto::gateway::Load;
use serde_json::json;

fn lease(gateway: u32, connections: u64, connections_max: u64) -> GatewayLease {
    let load = Some(Load { connections, connections_max, ..Load::default() });
    GatewayLease {
        gateway,
        client_addr: format!("10.0.0.{gateway}:8881"),
        load,
        ..Default::default()
    }
}

async fn server(config: Config) -> Server {
    let server = Server::start_with(config).await;
    let user = |uuid: &str, available| User {
        uuid: uuid.into(),
        username: format!("name of {uuid}"),
        password_hash: "<secret>".into(),
        available,
        ..User::default()
    };
    for user in [user("alice", true), user("locked", false), user("unsignable", true)] {
        server.store.users.lock().insert(user.uuid.clone(), user);
    }
    server.routes.gateways.lock().extend([
        lease(1, 50, 100),
        lease(2, 190, 1_000),
        lease(3, 0, 10),
    ]);
    server
}

async fn ask(server: &Server, uuid: &str, username: &str, password: &str) -> Reply {
    let body = json!({"uuid": uuid, "username": username, "password": password});
    server.post("/v1/token", body).await
}

#[tokio::test]
async fn the_password_opens() {
    let server = server(Config::default()).await;
    let reply = ask(&server, "alice", "name of alice", "secret").await;
    assert_eq!(
        *reply.data(),
        json!({
            "token": "token of alice",
            "gatewayAddr": "10.0.0.3:8881,10.0.0.2:8881,10.0.0.1:8881",
            "gateways": ["10.0.0.3:8881", "10.0.0.2:8881", "10.0.0.1:8881"],
        })
    );
}

#[tokio::test]
async fn each_failure_has_its_number() {
    let server = server(Config::default()).await;
    for (uuid, username, password) in [
        ("alice", "name of alice", "wrong"),
        ("alice", "name of bob", "secret"),
        ("bob", "name of bob", "secret"),
        ("locked", "name of locked", "secret"),
        ("bob", "", ""),
    ] {
        let reply = ask(&server, uuid, username, password).await;
        assert_eq!((reply.code(), reply.status), (151, 401), "{uuid} {username} {password}");
    }
    let reply = ask(&server, "unsignable", "name of unsignable", "secret").await;
    assert_eq!((reply.code(), reply.status), (150, 500));
    *server.store.down.lock() = Some(Code::Unavailable);
    let reply = ask(&server, "alice", "name of alice", "secret").await;
    assert_eq!((reply.code(), reply.status), (152, 503));
    *server.store.down.lock() = None;
    server.routes.gateways.lock().clear();
    let reply = ask(&server, "alice", "name of alice", "secret").await;
    assert_eq!((reply.code(), reply.status), (153, 503));
}

#[tokio::test]
async fn guessing_is_stopped_for_that_user_only() {
    let server = server(Config { password_failures_max: 3, ..Config::default() }).await;
    for _ in 0..3 {
        assert_eq!(ask(&server, "bob", "bob", "guess").await.status, 401);
    }
    let reply = ask(&server, "bob", "bob", "guess").await;
    assert_eq!((reply.code(), reply.status), (429, 429));
    assert_eq!(ask(&server, "alice", "name of alice", "secret").await.status, 200);
}

#[tokio::test]
async fn in_development_anybody_gets_one() {
    let server = server(Config { development: true, ..Config::default() }).await;
    assert_eq!(ask(&server, "anybody", "", "").await.data()["token"], "token of anybody");
}
