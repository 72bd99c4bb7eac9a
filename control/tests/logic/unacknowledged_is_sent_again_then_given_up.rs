//! A version 1 client that acknowledges nothing: after each wait everything comes again, so often as configured, then the message
//! goes to the dead letters and is not replayed any more. Driven by the clock.

use super::support::*;
use gpusher_control::store::Store;
use gpusher_proto::data::{AppPage, Cursors};
use gpusher_proto::gateway::command;

#[tokio::test]
async fn so_often_and_no_more() {
    let mut world = World::new().await;
    world.limits.redeliver_ms = 30_000;
    world.limits.redeliver_attempts = 2;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    let (conn, _) = gateway.log_in(login("ann", "phone")).await;
    world.push(to_user(1, "ann", true)).await;
    let delivery = gateway.delivery().await;
    gateway.written(&delivery).await;
    let seq = delivery.message.unwrap().seq;

    for attempt in 0..2 {
        // The sweep has to see it once before its time counts.
        let again = loop {
            world.advance(10_000);
            let next = tokio::time::timeout(std::time::Duration::from_millis(200), gateway.next());
            if let Ok(command) = next.await {
                break command;
            }
        };
        assert!(matches!(again, command::Kind::SyncStart(_)), "attempt {attempt}: {again:?}");
        let (messages, _) = gateway.replay(conn).await;
        assert_eq!(messages.iter().map(|it| (it.id, it.seq)).collect::<Vec<_>>(), [(1, seq)]);
    }
    let dead = eventually(async || {
        world.advance(10_000);
        let page = AppPage { app_id: APP, after: 0, limit: 10 };
        let letters = world.store.list_dead_letters(page).await.unwrap();
        letters.iter().any(|letter| {
            let push = letter.push.as_ref().unwrap();
            (push.id, &letter.user[..], &letter.device[..]) == (1, "ann", "phone")
        })
    });
    dead.await.expect("a dead letter");
    world.cursors("ann", "phone", Cursors { own: seq, app: 0, everyone: 0 }).await;
    let status = world.status(1, |status| status.dead == 1).await;
    assert_eq!((status.redelivered, status.acked), (2, 0));
    gateway.nothing_more().await;
    logic.stop().await;
}
