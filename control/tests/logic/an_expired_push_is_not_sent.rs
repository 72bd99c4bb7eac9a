//! A push whose time is over: in the queue it is counted and committed; in the log it is not replayed; at the gateway, its end says
//! nothing of what waits before it.

use super::support::*;
use gpusher_control::store::REPEAT_WINDOW_MS;
use gpusher_proto::data::Push;
use gpusher_proto::gateway::{Closed, Opened, Outcome, Position, event};

#[tokio::test]
async fn in_the_queue() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    gateway.log_in(login("ann", "phone")).await;
    world.push(Push { expires_at_ms: BEGIN_MS, ..to_user(1, "ann", false) }).await;
    world.push(Push { expires_at_ms: BEGIN_MS, ..to_user(2, "ann", true) }).await;
    world.committed(2).await;
    gateway.nothing_more().await;
    let status = world.status(2, |status| status.expired == 1).await;
    assert_eq!((status.stored, status.gateways), (0, 0));
    logic.stop().await;
}

#[tokio::test]
async fn in_the_queue_a_moment_ago_it_keeps_its_place_in_the_log() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    gateway.log_in(login("ann", "phone")).await;
    let ended = |id, expires_at_ms| Push { expires_at_ms, ..to_user(id, "ann", true) };
    world.push(ended(1, BEGIN_MS)).await;
    world.push(to_user(2, "ann", true)).await;
    // As it must be, should logic be killed here and the clock set back.
    assert_eq!(next_number(&mut gateway).await, (2, 2), "the first has its number");
    world.push(ended(3, BEGIN_MS - REPEAT_WINDOW_MS)).await;
    world.push(to_user(4, "ann", true)).await;
    assert_eq!(next_number(&mut gateway).await, (4, 3), "what ended long ago takes none");
    logic.stop().await;
}

#[tokio::test]
async fn in_the_log() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    world.push(Push { expires_at_ms: BEGIN_MS + 1_000, ..to_user(1, "ann", true) }).await;
    world.push(to_user(2, "ann", true)).await;
    world.committed(2).await;
    world.advance(1_000);
    let (_, messages) = gateway.log_in(login("ann", "phone")).await;
    assert_eq!(messages.iter().map(|message| message.id).collect::<Vec<_>>(), [2]);
    logic.stop().await;
}

#[tokio::test]
async fn at_the_gateway_behind_one_that_waits() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    let v0 = || Opened { version: 0, ..login("ann", "") };
    let (conn, _) = gateway.log_in(v0()).await;
    world.push(to_user(1, "ann", true)).await;
    let job = gateway.delivery().await.job;
    let waiting = vec![conn];
    gateway.outcome(Outcome { job, queued: 1, waiting, ..Outcome::default() }).await;
    world.push(to_user(2, "ann", true)).await;
    let job = gateway.delivery().await.job;
    gateway.outcome(Outcome { job, expired: 1, ..Outcome::default() }).await;
    world.committed(2).await;
    let unwritten_from = vec![Position { channel: 0, seq: 1 }];
    gateway.report(event::Kind::Closed(Closed { conn, unwritten_from, ..Closed::default() })).await;
    let (_, messages) = gateway.log_in(v0()).await;
    assert_eq!(messages[0].id, 1, "the cursor is before it");
    logic.stop().await;
}

/// Message and number of the next delivery, which is written.
async fn next_number(gateway: &mut Gateway) -> (u64, u64) {
    let delivery = gateway.delivery().await;
    gateway.written(&delivery).await;
    let message = delivery.message.expect("it has one");
    (message.id, message.seq)
}
