//! Connections of one user: of one non-empty device the newer one stays, others live side by side; a device that keeps replacing itself is
//! told to stay away; an ended connection's route goes.

use super::support::*;
use gpusher_proto::gateway::{Opened, command};

fn at(opened: Opened, at_ms: i64) -> Opened {
    Opened { at_ms, ..opened }
}

#[tokio::test]
async fn of_the_same_device_on_another_gateway() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut one = Gateway::attach(&logic, 1).await;
    let mut two = Gateway::attach(&logic, 2).await;
    let (older, _) = one.log_in(at(login("ann", "phone"), 1)).await;
    one.log_in(at(login("ann", "desk"), 2)).await;
    let (newer, _) = two.log_in(at(login("ann", "phone"), 3)).await;
    let kick = one.kick().await;
    assert_eq!((kick.conn, kick.reason, kick.advice), (older, 201, 2));
    one.closed(older).await;
    one.nothing_more().await;
    let routes = world.located("ann", 2).await;
    assert!(routes.iter().any(|route| route.conn == newer));
    logic.stop().await;
}

#[tokio::test]
async fn announced_out_of_order_the_older_one_goes() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    let again = |at_ms| Opened { again: true, ..at(login("ann", "phone"), at_ms) };
    let newer = gateway.opened(again(2)).await;
    gateway.replay(newer).await;
    let older = gateway.opened(again(1)).await;
    assert_eq!(gateway.kick().await.conn, older);
    assert_eq!(world.located("ann", 1).await[0].conn, newer);
    logic.stop().await;
}

#[tokio::test]
async fn a_kick_loop_is_broken() {
    let mut world = World::new().await;
    world.limits.replaced_per_minute = 3;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    for round in 0..4 {
        gateway.opened(at(login("ann", "phone"), round)).await;
        // Verdict, end of the replay, and from the second on the kick of the one before.
        for _ in 0..if round == 0 { 2 } else { 3 } {
            gateway.next().await;
        }
    }
    gateway.opened(at(login("ann", "phone"), 9)).await;
    let refused = gateway.admit().await;
    assert_eq!((refused.code, refused.delay_ms), (202, 60_000));
    world.advance(60_000);
    gateway.opened(at(login("ann", "phone"), 10)).await;
    while !matches!(gateway.next().await, command::Kind::Admit(admit) if admit.code == 0) {}
    logic.stop().await;
}

#[tokio::test]
async fn an_ended_connection_has_no_route() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    // Even if it ends before its route is bound.
    let conn = gateway.opened(login("ann", "phone")).await;
    gateway.closed(conn).await;
    let bob = gateway.log_in_past(login("bob", "phone")).await;
    world.located("ann", 0).await;
    gateway.closed(bob).await;
    world.located("bob", 0).await;
    logic.stop().await;
}
