//! A route leads to a connection that is not there: it is removed; a live message follows its user to where he is, a kept one is in the log.

use super::support::*;
use gpusher_control::routes::Routes;
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::data::Route;
use gpusher_proto::gateway::Outcome;

fn stale(gateway: u32) -> Route {
    Route {
        conn: ConnId::new(gateway, 0, 500, 1).raw(),
        app_id: APP,
        user: "ann".into(),
        gateway,
        gateway_epoch: 1,
        ..Route::default()
    }
}

#[tokio::test]
async fn a_live_message_follows_its_user() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut one = Gateway::attach(&logic, 1).await;
    let mut two = Gateway::attach(&logic, 2).await;
    one.nothing_more().await;
    two.nothing_more().await;
    world.routes.bind(vec![stale(1)]).await.unwrap();
    world.push(to_user(1, "ann", false)).await;
    let delivery = one.delivery().await;
    // He has moved meanwhile.
    let (conn, _) = two.log_in(login("ann", "phone")).await;
    let absent = vec![stale(1).conn];
    one.outcome(Outcome { job: delivery.job, absent, ..Outcome::default() }).await;
    let moved = two.delivery().await;
    assert_eq!(conns(&moved), [conn]);
    assert_eq!(moved.message, delivery.message);
    assert_eq!(world.queue.committed(), 0);
    two.written(&moved).await;
    world.committed(1).await;
    let routes = world.located("ann", 1).await;
    assert_eq!(routes[0].conn, conn);
    assert_eq!(world.status(1, |status| status.written == 1).await.absent, 0);
    logic.stop().await;
}

#[tokio::test]
async fn who_is_missed_in_two_places_gets_it_once() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut one = Gateway::attach(&logic, 1).await;
    let mut two = Gateway::attach(&logic, 2).await;
    one.nothing_more().await;
    two.nothing_more().await;
    world.routes.bind(vec![stale(1), stale(2)]).await.unwrap();
    world.push(to_user(1, "ann", false)).await;
    let (first, second) = (one.delivery().await, two.delivery().await);
    let (conn, _) = two.log_in(login("ann", "phone")).await;
    let absent = vec![stale(1).conn];
    one.outcome(Outcome { job: first.job, absent, ..Outcome::default() }).await;
    let moved = two.delivery().await;
    assert_eq!(conns(&moved), [conn]);
    let absent = vec![stale(2).conn];
    two.outcome(Outcome { job: second.job, absent, ..Outcome::default() }).await;
    two.written(&moved).await;
    world.committed(1).await;
    two.nothing_more().await;
    logic.stop().await;
}

#[tokio::test]
async fn who_is_nowhere_is_counted() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    gateway.nothing_more().await;
    world.routes.bind(vec![stale(1)]).await.unwrap();
    world.push(to_user(1, "ann", false)).await;
    let delivery = gateway.delivery().await;
    let absent = vec![stale(1).conn];
    gateway.outcome(Outcome { job: delivery.job, absent, ..Outcome::default() }).await;
    world.committed(1).await;
    assert_eq!(world.status(1, |status| status.absent > 0).await.absent, 1);
    world.located("ann", 0).await;
    logic.stop().await;
}
