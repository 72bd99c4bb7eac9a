//! A connection whose outbox spilled kept messages: once it has drained, they come again from the first missing one, in order.

use super::support::*;
use gpusher_proto::gateway::{Drained, Outcome, Position, event};

#[tokio::test]
async fn of_a_live_connection() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    let (conn, _) = gateway.log_in(login("ann", "phone")).await;
    let mut seqs = Vec::new();
    for id in 1..=4 {
        world.push(to_user(id, "ann", true)).await;
        let delivery = gateway.delivery().await;
        seqs.push(delivery.message.as_ref().unwrap().seq);
        match id {
            1 => gateway.written(&delivery).await,
            _ => {
                gateway
                    .outcome(Outcome { job: delivery.job, overflowed: 1, ..Outcome::default() })
                    .await
            }
        }
    }
    let spilled_from = vec![Position { channel: 0, seq: seqs[1] }];
    gateway.report(event::Kind::Drained(Drained { conn, spilled_from, gap: 1 })).await;
    let (messages, done) = gateway.replay(conn).await;
    assert_eq!(messages.iter().map(|message| message.id).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(done.positions, [Position { channel: 0, seq: seqs[3] }]);
    assert_eq!(done.gap, 1, "the gateway can tell that logic had heard of it");
    let status = world.status(2, |status| status.replayed == 1).await;
    assert_eq!(status.overflowed, 1);
    logic.stop().await;
}

#[tokio::test]
async fn in_the_middle_of_a_replay() {
    let mut world = World::new().await;
    world.limits.page_messages = 2;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    for id in 1..=4 {
        world.push(to_user(id, "ann", true)).await;
    }
    world.committed(4).await;
    let conn = gateway.opened(login("ann", "phone")).await;
    gateway.admit().await;
    let first = gateway.delivery().await;
    let second = gateway.delivery().await;
    gateway.written(&first).await;
    let outcome = Outcome { job: second.job, overflowed: 1, ..Outcome::default() };
    gateway.outcome(outcome).await;
    // Nothing more comes before the socket has taken the rest.
    gateway.nothing_more().await;
    let seq = second.message.unwrap().seq;
    let spilled_from = vec![Position { channel: 0, seq }];
    gateway.report(event::Kind::Drained(Drained { conn, spilled_from, gap: 1 })).await;
    let (messages, done) = gateway.replay(conn).await;
    assert_eq!(messages.iter().map(|message| message.id).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(done.gap, 1);
    logic.stop().await;
}
