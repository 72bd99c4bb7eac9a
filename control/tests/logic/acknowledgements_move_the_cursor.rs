//! A version 1 client acknowledges: its cursor moves, the push's counter too, and the next login replays the rest only.

use super::support::*;
use gpusher_proto::data::Cursors;
use gpusher_proto::gateway::{ChannelKind, Opened, Position};

#[tokio::test]
async fn only_the_rest_is_replayed() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    for id in 1..=3 {
        world.push(to_user(id, "ann", true)).await;
    }
    world.push(to_app(4, true)).await;
    world.committed(4).await;
    let (conn, messages) = gateway.log_in(login("ann", "phone")).await;
    assert_eq!(messages.len(), 4);
    gateway.ack(conn, ChannelKind::Own, messages[1].seq).await;
    gateway.ack(conn, ChannelKind::App, messages[3].seq).await;
    // Acknowledged and gone at once: the write is still on its way when the next login asks.
    gateway.closed(conn).await;
    let (_, again) = gateway.log_in(login("ann", "phone")).await;
    assert_eq!(again.iter().map(|message| message.id).collect::<Vec<_>>(), [3]);
    world.cursors("ann", "phone", Cursors { own: messages[1].seq, app: 1, everyone: 0 }).await;
    for message in [1, 2, 4] {
        world.status(message, |status| status.acked == 1).await;
    }
    assert_eq!(world.status(3, |_| true).await.acked, 0);
    logic.stop().await;
}

#[tokio::test]
async fn positions_that_the_client_names_win_in_the_same_epoch() {
    use gpusher_control::store::Store;
    let world = World::new().await;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    for id in 1..=4 {
        world.push(to_user(id, "ann", true)).await;
    }
    world.committed(4).await;
    let epoch = world.store.epoch().await.unwrap();
    let resume = |epoch, seq| Opened {
        epoch,
        resume: vec![Position { channel: 0, seq }],
        ..login("ann", "phone")
    };
    let conn = gateway.opened(resume(epoch, 2)).await;
    let admit = gateway.admit().await;
    assert_eq!((admit.epoch, admit.resumed[0].result, admit.resumed[0].seq), (epoch, 0, 2));
    let (messages, _) = gateway.replay(conn).await;
    assert_eq!(messages.iter().map(|message| message.id).collect::<Vec<_>>(), [3, 4]);
    gateway.closed(conn).await;

    let conn = gateway.opened(resume(epoch + 1, 4)).await;
    assert_eq!(gateway.admit().await.resumed[0].result, 1);
    let (messages, _) = gateway.replay(conn).await;
    assert_eq!(messages.iter().map(|message| message.id).collect::<Vec<_>>(), [3, 4]);
    logic.stop().await;
}
