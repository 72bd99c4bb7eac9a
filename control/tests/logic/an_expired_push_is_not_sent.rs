//! A push whose time is over: in the queue it is counted and committed; in the log it is not replayed.

use super::support::*;
use gpusher_proto::data::Push;

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
