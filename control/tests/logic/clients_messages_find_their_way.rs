//! What clients send: to a user or a topic by the queue, to the application by the store; answered when that is durable, refused honestly.

use super::support::*;
use gpusher_control::store::Store;
use gpusher_proto::data::AppPage;
use gpusher_proto::gateway::{Upstream, event};
use std::sync::atomic::Ordering::SeqCst;

fn upstream(conn: u64, target: u32, name: &str) -> event::Kind {
    let (name, content) = (name.to_owned(), "hello".into());
    event::Kind::Upstream(Upstream { conn, request: 7, target, name, content, answer: true })
}

#[tokio::test]
async fn to_a_user() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    let (ann, _) = gateway.log_in(login("ann", "phone")).await;
    let (bob, _) = gateway.log_in(login("bob", "phone")).await;
    gateway.report(upstream(ann, 1, "bob")).await;
    let answer = gateway.answer().await;
    assert_eq!((answer.conn, answer.request, answer.code), (ann, 7, 0));
    let delivery = gateway.delivery().await;
    assert_eq!(conns(&delivery), [bob]);
    let message = delivery.message.unwrap();
    assert_eq!((message.id, &message.sender[..], message.kept), (answer.value, "ann", true));
    logic.stop().await;
}

#[tokio::test]
async fn to_a_topic_and_to_the_application() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    let (ann, _) = gateway.log_in(login("ann", "phone")).await;
    gateway.members(APP, "news", 1).await;
    gateway.report(upstream(ann, 4, "news")).await;
    assert_eq!(gateway.answer().await.code, 0);
    let message = gateway.delivery().await.message.unwrap();
    assert_eq!((message.r#type, &message.topic[..], &message.sender[..]), (4, "news", "ann"));

    gateway.report(upstream(ann, 0, "")).await;
    let answer = gateway.answer().await;
    let page = AppPage { app_id: APP, after: 0, limit: 10 };
    let filed = world.store.list_upstream(page).await.unwrap();
    assert_eq!((filed.len(), filed[0].id, &filed[0].user[..]), (1, answer.value, "ann"));
    assert_eq!(filed[0].content, "hello");
    logic.stop().await;
}

#[tokio::test]
async fn or_are_refused() {
    let mut world = World::new().await;
    world.limits.content_bytes = 8;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    let (ann, _) = gateway.log_in(login("ann", "phone")).await;
    for (target, name) in [(1, ""), (4, ""), (9, "bob"), (1, &"x".repeat(65))] {
        gateway.report(upstream(ann, target, name)).await;
        assert_eq!(gateway.answer().await.code, 404, "{target} {name:?}");
    }
    let large =
        Upstream { conn: ann, content: vec![0; 9].into(), answer: true, ..Upstream::default() };
    gateway.report(event::Kind::Upstream(large)).await;
    assert_eq!(gateway.answer().await.code, 3);
    world.queue.full.store(true, SeqCst);
    gateway.report(upstream(ann, 1, "bob")).await;
    let answer = gateway.answer().await;
    assert_eq!((answer.code, answer.value), (403, 0));
    assert!(world.queue.records().is_empty());
    logic.stop().await;
}
