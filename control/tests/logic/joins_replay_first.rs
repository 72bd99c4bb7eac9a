//! A join is answered with the topic's last number; with `since`, what is kept after it comes first.

use super::support::*;
use gpusher_proto::data::Push;
use gpusher_proto::gateway::{ChannelKind, Join, Leave, command, event};

#[tokio::test]
async fn since_a_position() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    for id in 1..=3 {
        world.push(Push { topic: "news".into(), ..to_app(id, true).typed(4) }).await;
    }
    world.committed(3).await;
    let (conn, _) = gateway.log_in(login("ann", "phone")).await;
    let join =
        |request, since| event::Kind::Join(Join { conn, request, topic: "news".into(), since });
    gateway.report(join(1, None)).await;
    let answer = gateway.answer().await;
    assert_eq!((answer.request, answer.code, answer.value), (1, 0, 3));

    gateway.report(join(2, Some(1))).await;
    assert!(matches!(gateway.next().await, command::Kind::SyncStart(_)));
    let (messages, _) = gateway.replay(conn).await;
    assert_eq!(messages.iter().map(|message| message.id).collect::<Vec<_>>(), [2, 3]);
    assert!(messages.iter().all(|message| message.channel == ChannelKind::Topic as i32));
    let answer = gateway.answer().await;
    assert_eq!((answer.request, answer.code, answer.value), (2, 0, 3));

    gateway.report(event::Kind::Leave(Leave { conn, request: 3, topic: "news".into() })).await;
    assert_eq!(gateway.answer().await.request, 3);
    logic.stop().await;
}
