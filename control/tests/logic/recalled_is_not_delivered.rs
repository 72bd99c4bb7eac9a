//! A recalled message: gone from the log before a login, gone from the line to a gateway, and a tombstone for who may have it.

use super::support::*;
use gpusher_proto::data::{MessageKey, job};
use gpusher_proto::gateway::{Closed, Connections, Opened, Outcome, event, recall};

#[tokio::test]
async fn before_a_login() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    world.push(to_user(1, "ann", true)).await;
    world.push(to_user(2, "ann", true)).await;
    world.publish(job::Kind::Recall(MessageKey { id: 1 })).await;
    world.committed(3).await;
    let (_, messages) = gateway.log_in(login("ann", "phone")).await;
    assert_eq!(messages.iter().map(|message| message.id).collect::<Vec<_>>(), [2]);
    assert!(world.status(1, |status| status.recalled).await.recalled);
    logic.stop().await;
}

#[tokio::test]
async fn who_may_have_it_is_told() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    let (ann, _) = gateway.log_in(login("ann", "phone")).await;
    gateway.members(APP, "", 1).await;
    for (push, id) in [(to_user(1, "ann", true), 1), (to_user(2, "ann", false), 2)] {
        world.push(push).await;
        let delivery = gateway.delivery().await;
        gateway.written(&delivery).await;
        world.publish(job::Kind::Recall(MessageKey { id })).await;
        let recall = gateway.recall().await;
        let message = delivery.message.unwrap();
        assert_eq!((recall.message_id, recall.seq, recall.channel), (id, message.seq, 0));
        let connections = Connections { ids: vec![ann] };
        assert_eq!(recall.audience, Some(recall::Audience::Connections(connections)));
    }
    for (push, id) in [(to_app(3, true), 3), (to_app(4, false), 4)] {
        world.push(push).await;
        let delivery = gateway.delivery().await;
        gateway.written(&delivery).await;
        world.publish(job::Kind::Recall(MessageKey { id })).await;
        let recall = gateway.recall().await;
        assert_eq!((recall.message_id, recall.audience), (id, Some(recall::Audience::AppId(APP))));
    }
    world.committed(8).await;
    logic.stop().await;
}

#[tokio::test]
async fn what_waits_for_credit_is_not_sent() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut gateway = Gateway::attach_without_credit(&logic, 1).await;
    // Enough for the table of apps, the verdict, the end of the replay and one membership.
    gateway.credit(4).await;
    gateway.report(gpusher_proto::gateway::event::Kind::Announced(Default::default())).await;
    gateway.log_in(login("ann", "phone")).await;
    gateway.members(APP, "", 1).await;
    world.push(to_user(1, "ann", false)).await;
    world.push(to_user(2, "ann", false)).await;
    world.publish(job::Kind::Recall(MessageKey { id: 1 })).await;
    world.status(1, |status| status.recalled && status.withdrawn == 1).await;
    gateway.credit(10).await;
    assert_eq!(gateway.delivery().await.message.unwrap().id, 2);
    logic.stop().await;
}

#[tokio::test]
async fn ahead_of_what_was_sent_before() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    let v0 = || Opened { version: 0, ..login("ann", "") };
    let (conn, _) = gateway.log_in(v0()).await;
    world.push(to_user(1, "ann", true)).await;
    let first = gateway.delivery().await.job;
    world.push(to_user(2, "ann", true)).await;
    let second = gateway.delivery().await.job;
    gateway.outcome(Outcome { job: second, recalled: 1, ..Outcome::default() }).await;
    gateway.report(event::Kind::Closed(Closed { conn, ..Closed::default() })).await;
    gateway.outcome(Outcome { job: first, absent: vec![conn], ..Outcome::default() }).await;
    world.committed(2).await;
    let (_, messages) = gateway.log_in(v0()).await;
    assert_eq!(messages[0].id, 1, "it never got to the connection");
    logic.stop().await;
}
