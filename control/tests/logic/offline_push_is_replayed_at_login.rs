//! Kept pushes to a user who is away: at the next login they come in order, after the verdict, before the end of the replay; once.

use super::support::*;
use gpusher_proto::data::Cursors;
use gpusher_proto::gateway::{
    ChannelKind, Closed, Opened, Outcome, Position, SyncRequest, command, event,
};

#[tokio::test]
async fn all_channels_in_order_and_then_the_end() {
    let mut world = World::new().await;
    world.limits.page_messages = 3;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    for id in 1..=10 {
        world.push(to_user(id, "ann", true)).await;
    }
    world.push(to_app(11, true)).await;
    world.push(to_app(12, true).typed(3)).await;
    world.committed(12).await;

    let conn = gateway.opened(login("ann", "phone")).await;
    assert_eq!(gateway.admit().await.conn, conn);
    let (messages, done) = gateway.replay(conn).await;
    let ids: Vec<u64> = messages.iter().map(|message| message.id).collect();
    assert_eq!(ids, (1..=12).collect::<Vec<_>>());
    assert!(messages.iter().all(|message| message.kept));
    assert!(messages[..10].is_sorted_by(|left, right| left.seq < right.seq));
    let last = |index: usize, channel| Position { channel, seq: messages[index].seq };
    assert_eq!(done.positions, [last(9, 0), last(10, 1), last(11, 2)]);
    let status = world.status(1, |status| status.replayed == 1).await;
    assert_eq!((status.stored, status.absent), (1, 0));
    logic.stop().await;
}

#[tokio::test]
async fn version_0_has_received_what_its_socket_took() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    world.push(to_user(1, "ann", true)).await;
    world.push(to_app(2, true)).await;
    world.committed(2).await;
    let v0 = || Opened { version: 0, ..login("ann", "") };
    let (conn, messages) = gateway.log_in(v0()).await;
    assert_eq!(messages.len(), 2);
    world.cursors("ann", "", Cursors { own: 1, app: 1, everyone: 0 }).await;

    // One is taken, one stays in the outbox of the connection that ends.
    world.push(to_user(3, "ann", true)).await;
    world.push(to_user(4, "ann", true)).await;
    let taken = gateway.delivery().await;
    gateway.written(&taken).await;
    let waits = gateway.delivery().await;
    let seq = waits.message.as_ref().unwrap().seq;
    let outcome = Outcome { job: waits.job, queued: 1, waiting: vec![conn], ..Default::default() };
    gateway.outcome(outcome).await;
    let unwritten_from = vec![Position { channel: ChannelKind::Own as i32, seq }];
    gateway.report(event::Kind::Closed(Closed { conn, unwritten_from, ..Closed::default() })).await;
    world.located("ann", 0).await;

    let (_, messages) = gateway.log_in(v0()).await;
    assert_eq!(messages.iter().map(|message| message.id).collect::<Vec<_>>(), [4]);
    logic.stop().await;
}

#[tokio::test]
async fn version_0_has_not_received_what_may_have_passed_it_by() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    let v0 = || Opened { version: 0, ..login("ann", "") };
    let (conn, _) = gateway.log_in(v0()).await;
    let mut unwritten_from = Vec::new();
    for id in [1, 2] {
        world.push(to_user(id, "ann", true)).await;
        let delivery = gateway.delivery().await;
        let (job, waiting) = (delivery.job, vec![conn]);
        gateway.outcome(Outcome { job, queued: 1, waiting, ..Outcome::default() }).await;
        let seq = delivery.message.as_ref().unwrap().seq;
        unwritten_from = vec![Position { channel: ChannelKind::Own as i32, seq }];
    }
    let closed = Closed { conn, unwritten_from, passed_by: true, ..Closed::default() };
    gateway.report(event::Kind::Closed(closed)).await;
    world.located("ann", 0).await;
    let (_, messages) = gateway.log_in(v0()).await;
    assert_eq!(messages.iter().map(|message| message.id).collect::<Vec<_>>(), [1, 2]);
    logic.stop().await;
}

#[tokio::test]
async fn a_replay_that_two_frames_of_version_0_ask_for_ends_once() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    let (conn, _) = gateway.log_in(Opened { version: 0, ..login("ann", "") }).await;
    world.push(to_user(1, "ann", true)).await;
    let delivery = gateway.delivery().await;
    let (job, waiting) = (delivery.job, vec![conn]);
    gateway.outcome(Outcome { job, queued: 1, waiting, ..Outcome::default() }).await;
    let ask = |request| event::Kind::SyncRequest(SyncRequest { conn, request: Some(request) });
    gateway.report(ask(3)).await;
    let start = gateway.next().await;
    assert!(matches!(start, command::Kind::SyncStart(_)), "{start:?}");
    gateway.report(ask(4)).await;
    let again = gateway.delivery().await;
    gateway.written(&again).await;
    let done = gateway.next().await;
    let command::Kind::SyncDone(done) = done else { panic!("{done:?}") };
    assert_eq!(done.requests, [3, 4]);
    gateway.nothing_more().await;
    logic.stop().await;
}

#[tokio::test]
async fn what_comes_while_a_login_is_answered_comes_once() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    for round in 0..20_u64 {
        let (before, during) = (round * 2 + 1, round * 2 + 2);
        let user = format!("user {round}");
        world.push(to_user(before, &user, true)).await;
        let conn = gateway.opened(login(&user, "phone")).await;
        world.push(to_user(during, &user, true)).await;

        // As the gateway does it: what is not a replay is held, and dropped at the end up to the position reached.
        let (mut seen, mut held) = (Vec::new(), Vec::new());
        let mut position = None;
        while position.is_none() || !(seen.contains(&during) && seen.contains(&before)) {
            match gateway.next().await {
                gpusher_proto::gateway::command::Kind::Delivery(delivery) => {
                    gateway.written(&delivery).await;
                    let message = delivery.message.clone().unwrap();
                    match (delivery.replay, position) {
                        (true, None) | (false, Some(_)) => seen.push(message.id),
                        (false, None) => held.push(message),
                        (true, Some(_)) => panic!("a replay after its end"),
                    }
                }
                gpusher_proto::gateway::command::Kind::SyncDone(done) => {
                    let own = done.positions[0].seq;
                    position = Some(own);
                    let rest = held.drain(..).filter(|message| message.seq > own);
                    seen.extend(rest.map(|message| message.id));
                }
                _ => {}
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, [before, during], "connection {conn}");
    }
    logic.stop().await;
}
