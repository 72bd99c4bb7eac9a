//! Both faces of the crate do the same.

use crate::server::{PATIENCE, Server};
use gpusher_client::{Client, Config, End, Error, Event, Positions, Target, blocking};

fn config(server: &Server) -> Config {
    Config {
        device: "d".into(),
        reconnect_base_ms: 20,
        ..Config::new(server.addr.to_string(), 1000, "alice")
    }
}

fn log(server: &Server, contents: std::ops::Range<u32>) {
    server.with(|hub| hub.log.extend(contents.map(|n| format!("message {n}"))));
}

/// Cuts the connection there is, with more to come.
fn cut(server: &Server) {
    server.with(|hub| hub.cut_below = hub.logins + 1);
    log(server, 5..10);
}

fn text(event: Option<Event>) -> Option<String> {
    match event {
        Some(Event::Message(message)) => Some(String::from_utf8(message.content.to_vec()).unwrap()),
        Some(_) => None,
        None => panic!("ended"),
    }
}

fn expected() -> Vec<String> {
    (0..10).map(|n| format!("message {n}")).collect()
}

#[tokio::test]
async fn async_messages_arrive_once_over_a_cut() {
    let server = Server::start();
    log(&server, 0..5);
    let mut client = Client::start(config(&server), Positions::default());
    let mut seen = Vec::new();
    while seen.len() < 10 {
        let event = tokio::time::timeout(PATIENCE, client.next()).await.expect("an event in time");
        seen.extend(text(event));
        if seen.len() == 3 && server.with(|hub| hub.log.len()) == 5 {
            cut(&server);
        }
    }
    assert_eq!(seen, expected());
    let positions = client.close().await;
    assert_eq!((positions.epoch, positions.channels), (7, [Some(10), None, None]));
    server.until("all is acknowledged", |hub| hub.acked == 10);
    assert_eq!(server.with(|hub| hub.logins), 2);
}

#[test]
fn blocking_messages_arrive_once_over_a_cut() {
    let server = Server::start();
    log(&server, 0..5);
    let client = blocking::Client::start(config(&server), Positions::default()).unwrap();
    let mut seen = Vec::new();
    while seen.len() < 10 {
        seen.extend(text(client.next_timeout(PATIENCE)));
        if seen.len() == 3 && server.with(|hub| hub.log.len()) == 5 {
            cut(&server);
        }
    }
    assert_eq!(seen, expected());
    assert_eq!(client.close().channels, [Some(10), None, None]);
    server.until("all is acknowledged", |hub| hub.acked == 10);
}

#[tokio::test]
async fn async_requests_are_answered() {
    let server = Server::start();
    let mut client = Client::start(config(&server), Positions::default());
    let sender = client.sender();
    assert_eq!(sender.send(Target::User, "bob", b"hi").await, Err(Error::Offline));
    assert!(matches!(client.next().await, Some(Event::Online { .. })));
    assert_eq!(sender.send(Target::User, "bob", b"hi").await, Ok(42));
    assert_eq!(sender.send(Target::User, "nobody", b"hi").await, Err(Error::Refused(404)));
    assert_eq!(sender.join("news", None).await, Ok(9));
    server.with(|hub| hub.topic_messages.push(("news".into(), "extra".into())));
    assert_eq!(text(client.next().await).as_deref(), Some("extra"));
    assert_eq!(sender.leave("news").await, Ok(()));
    drop(client);
    assert_eq!(sender.send(Target::User, "bob", b"x").await, Err(Error::Ended(End::Closed)));
    assert_eq!(server.with(|hub| hub.sent_by_clients[0].clone()), "User bob hi");
}

#[test]
fn blocking_requests_are_answered() {
    let server = Server::start();
    let client = blocking::Client::start(config(&server), Positions::default()).unwrap();
    assert!(matches!(client.next_timeout(PATIENCE), Some(Event::Online { .. })));
    assert_eq!(client.send(Target::Topic, "news", b"hi"), Ok(42));
    assert_eq!(client.send(Target::User, "nobody", b"hi"), Err(Error::Refused(404)));
    assert_eq!(client.join("news", None), Ok(9));
    assert_eq!(client.leave("news"), Ok(()));
}

#[tokio::test]
async fn a_token_that_is_too_old_is_replaced() {
    let server = Server::start();
    server.with(|hub| hub.bad_token = Some("old".into()));
    let mut client =
        Client::start(Config { token: "old".into(), ..config(&server) }, Positions::default());
    let reason = "token_expired: too old".to_owned();
    assert_eq!(client.next().await, Some(Event::TokenNeeded { reason }));
    client.set_token("new".into());
    assert!(matches!(client.next().await, Some(Event::Online { .. })));
}

#[tokio::test]
async fn an_idle_client_stays_connected_by_heartbeats() {
    let server = Server::start();
    let mut client = Client::start(config(&server), Positions::default());
    assert!(matches!(client.next().await, Some(Event::Online { .. })));
    // The server asks for a heartbeat each second, and is taken for dead after two and a half without an answer.
    let more = tokio::time::timeout(std::time::Duration::from_secs(4), client.next()).await;
    assert!(more.is_err(), "{more:?}");
    assert_eq!(server.with(|hub| hub.logins), 1);
}
