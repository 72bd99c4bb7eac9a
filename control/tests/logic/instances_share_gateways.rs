//! Two instances of logic on one store, each with its share of the queue and a link to the same gateway. A session is one instance's;
//! what it is given comes from both, and nothing of it is lost when a link breaks or the session moves.

use super::support::*;
use gpusher_control::routes::Routes;
use gpusher_proto::data::Cursors;
use gpusher_proto::gateway::*;
use std::sync::Arc;

const NAMES: [&str; 2] = ["a", "b"];

/// The world, and the other instance's share of its queue.
async fn shared() -> (World, Arc<MemoryQueue>) {
    let mut world = World::new().await;
    world.limits.redeliver_ms = 30_000;
    (world, Arc::new(MemoryQueue::default()))
}

fn handed(conn: u64, message: &Message) -> event::Kind {
    let Message { id: message_id, channel, seq, .. } = *message;
    event::Kind::Handed(Handed { conn, channel, app_id: APP, seq, message_id, taken: true })
}

#[tokio::test]
async fn what_another_has_sent_is_acknowledged_and_sent_again_by_the_sessions_own() {
    let (world, share) = shared().await;
    let a = world.start_as("a", &NAMES, &world.queue).await;
    let b = world.start_as("b", &NAMES, &share).await;
    let mut to_a = Gateway::attach(&a, 1).await;
    let mut to_b = Gateway::attach(&b, 1).await;
    let (conn, _) = to_b.log_in(login("ann", "phone")).await;
    to_a.members(APP, "", 1).await;
    for (id, push) in [(1, to_user(1, "ann", true)), (2, to_app(2, true))] {
        world.push(push).await;
        let delivery = to_a.delivery().await;
        let message = delivery.message.clone().unwrap();
        assert_eq!(message.id, id);
        to_a.written(&delivery).await;
        to_b.report(handed(conn, &message)).await;
    }
    to_b.ack(conn, ChannelKind::App, 1).await;
    world.status(2, |status| status.acked == 1).await;
    let again = loop {
        world.advance(10_000);
        let next = tokio::time::timeout(std::time::Duration::from_millis(200), to_b.next());
        if let Ok(command) = next.await {
            break command;
        }
    };
    assert!(matches!(again, command::Kind::SyncStart(_)), "{again:?}");
    let (messages, _) = to_b.replay(conn).await;
    assert_eq!(messages.iter().map(|message| message.id).collect::<Vec<_>>(), [1]);
    to_a.nothing_more().await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_version_0_socket_that_took_it_moves_the_cursor() {
    let (world, share) = shared().await;
    let a = world.start_as("a", &NAMES, &world.queue).await;
    let b = world.start_as("b", &NAMES, &share).await;
    let mut to_a = Gateway::attach(&a, 1).await;
    let mut to_b = Gateway::attach(&b, 1).await;
    let (conn, _) = to_b.log_in(Opened { version: 0, ..login("ann", "") }).await;
    world.push(to_user(1, "ann", true)).await;
    let delivery = to_a.delivery().await;
    let message = delivery.message.clone().unwrap();
    to_a.written(&delivery).await;
    to_b.report(handed(conn, &message)).await;
    world.cursors("ann", "", Cursors { own: message.seq, app: 0, everyone: 0 }).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_shared_cursor_waits_for_a_connection_that_another_instance_has() {
    let (world, _) = shared().await;
    let a = world.start_as("a", &NAMES, &world.queue).await;
    let mut gateway = Gateway::attach(&a, 1).await;
    let (ann, _) = gateway.log_in(login("ann", "")).await;
    let (bob, _) = gateway.log_in(login("bob", "")).await;
    let mut elsewhere = world.located("ann", 1).await;
    elsewhere[0].conn = gpusher_proto::conn_id::ConnId::new(1, 0, 500, 1).raw();
    world.routes.bind(elsewhere).await.unwrap();
    for (id, user, conn) in [(1, "ann", ann), (2, "bob", bob)] {
        world.push(to_user(id, user, true)).await;
        let delivery = gateway.delivery().await;
        gateway.written(&delivery).await;
        gateway.ack(conn, ChannelKind::Own, delivery.message.unwrap().seq).await;
    }
    world.cursors("bob", "", Cursors { own: 1, app: 0, everyone: 0 }).await;
    world.cursors("ann", "", Cursors::default()).await;
    a.stop().await;
}

#[tokio::test]
async fn a_record_waits_for_a_gateway_that_may_have_missed_it() {
    let (world, share) = shared().await;
    let a = world.start_as("a", &NAMES, &world.queue).await;
    let b = world.start_as("b", &NAMES, &share).await;
    let mut gateway = Gateway::attach(&a, 1).await;
    let mut other = Gateway::attach(&a, 2).await;
    let mut to_b = Gateway::attach(&b, 1).await;
    to_b.log_in(login("ann", "phone")).await;
    world.push(to_user(1, "ann", true)).await;
    gateway.delivery().await;
    // The link breaks before the outcome: sessions of the other instance would not hear of it.
    gateway.lose_link();
    world.publish(gpusher_proto::data::job::Kind::Push(to_user(2, "nobody", true))).await;
    world.status(2, |status| status.stored == 1).await;
    other.nothing_more().await;
    assert_eq!(world.queue.committed(), 0, "or it would be lost if this instance died");
    let mut gateway = Gateway::attach(&a, 1).await;
    assert_eq!(world.queue.committed(), 0, "it has not announced everybody since");
    gateway.nothing_more().await;
    assert_eq!(gateway.asked_again, 1);
    world.committed(2).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_gateway_that_does_not_come_back_holds_nothing_up() {
    let (world, _) = shared().await;
    let a = world.start_as("a", &NAMES, &world.queue).await;
    let mut gateway = Gateway::attach(&a, 1).await;
    let mut other = Gateway::attach(&a, 2).await;
    gateway.log_in(login("ann", "phone")).await;
    world.push(to_user(1, "ann", true)).await;
    gateway.delivery().await;
    gateway.lose_link();
    other.nothing_more().await;
    assert_eq!(world.queue.committed(), 0);
    world.advance(world.limits.lease_ms);
    world.committed(1).await;
    a.stop().await;
}

#[tokio::test]
async fn a_session_that_has_moved_is_left_alone() {
    let (mut world, _) = shared().await;
    world.limits.redeliver_ms = 1;
    let a = world.start_as("a", &NAMES, &world.queue).await;
    let mut gateway = Gateway::attach(&a, 1).await;
    let (conn, _) = gateway.log_in(login("ann", "phone")).await;
    world.push(to_user(1, "ann", true)).await;
    let delivery = gateway.delivery().await;
    gateway.report(event::Kind::Moved(Moved { conn })).await;
    gateway.written(&delivery).await;
    gateway.ack(conn, ChannelKind::Own, delivery.message.unwrap().seq).await;
    world.committed(1).await;
    for _ in 0..10 {
        world.advance(10_000);
        gateway.nothing_more().await;
    }
    world.cursors("ann", "phone", Cursors::default()).await;
    a.stop().await;
}

/// The routes are lost: the gateway is asked to announce everybody, and a session is bound again and replayed to when it does, holding.
#[tokio::test]
async fn a_lost_route_is_bound_again() {
    let (world, share) = shared().await;
    let b = world.start_as("b", &NAMES, &share).await;
    let mut to_b = Gateway::attach(&b, 1).await;
    let (conn, _) = to_b.log_in(login("ann", "phone")).await;
    world.located("ann", 1).await;
    world.routes.detach(1, 1).await.unwrap();
    world.located("ann", 0).await;
    world.advance(world.limits.renew_ms);
    while to_b.asked_again == 0 {
        to_b.nothing_more().await;
    }
    // Who is bound before it holds would be sent what comes ahead of what it has missed.
    world.located("ann", 0).await;
    let again = Opened { conn, again: true, ..login("ann", "phone") };
    to_b.report(event::Kind::Opened(again)).await;
    to_b.replay(conn).await;
    world.located("ann", 1).await;
    to_b.nothing_more().await;
    assert_eq!(to_b.asked_again, 1);
    b.stop().await;
}
