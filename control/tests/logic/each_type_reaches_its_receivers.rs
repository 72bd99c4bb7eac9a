//! Two gateways with users of one app: a push of each type goes exactly where its receivers are, and each channel's numbers increase.

use super::support::*;
use gpusher_proto::gateway::{ChannelKind, Topic, delivery};

#[tokio::test]
async fn one_user_on_both_of_his_devices() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut one = Gateway::attach(&logic, 1).await;
    let mut two = Gateway::attach(&logic, 2).await;
    let (phone, _) = one.log_in(login("ann", "phone")).await;
    let (desk, _) = two.log_in(login("ann", "desk")).await;
    two.log_in(login("bob", "phone")).await;

    world.push(to_user(1, "ann", false)).await;
    world.push(to_user(2, "ann", false)).await;
    for (gateway, conn) in [(&mut one, phone), (&mut two, desk)] {
        let first = gateway.delivery().await;
        let second = gateway.delivery().await;
        assert_eq!((conns(&first), conns(&second)), (vec![conn], vec![conn]));
        let (first, second) = (first.message.unwrap(), second.message.unwrap());
        assert_eq!((first.id, second.id, &first.uuid[..]), (1, 2, "ann"));
        assert_eq!(first.channel, ChannelKind::Own as i32);
        assert!(second.seq > first.seq && !first.kept);
        gateway.nothing_more().await;
    }
    logic.stop().await;
}

#[tokio::test]
async fn a_list_reaches_who_is_there_and_counts_who_is_not() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    let (ann, _) = gateway.log_in(login("ann", "")).await;
    let (bob, _) = gateway.log_in(login("bob", "")).await;
    let users = ["ann", "bob", "eve"].map(str::to_owned).to_vec();
    world.push(to_user(1, "", false).typed(5).to(users)).await;
    let mut reached = Vec::new();
    while reached.len() < 2 {
        let delivery = gateway.delivery().await;
        reached.extend(conns(&delivery));
        gateway.written(&delivery).await;
    }
    reached.sort_unstable();
    assert_eq!(reached, [ann, bob]);
    let status = world.status(1, |status| status.done == 1).await;
    assert_eq!((status.gateways, status.written, status.absent), (1, 2, 1));
    world.committed(1).await;
    logic.stop().await;
}

#[tokio::test]
async fn app_and_everyone_and_topic_go_where_somebody_listens() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut one = Gateway::attach(&logic, 1).await;
    let mut two = Gateway::attach(&logic, 2).await;
    one.members(APP, "", 1).await;
    two.members(7, "", 1).await;
    two.members(APP, "news", 3).await;

    world.push(to_app(1, false)).await;
    world.push(to_app(2, false).typed(3)).await;
    world
        .push(gpusher_proto::data::Push { topic: "news".into(), ..to_app(3, true).typed(4) })
        .await;

    let app = one.delivery().await;
    assert_eq!(app.audience, Some(delivery::Audience::AppId(APP)));
    let everyone = [one.delivery().await, two.delivery().await];
    for delivery in everyone {
        assert_eq!(delivery.audience, Some(delivery::Audience::Everyone(true)));
        assert_eq!(delivery.message.unwrap().id, 2);
    }
    let topic = two.delivery().await;
    let news = Topic { app_id: APP, name: "news".into() };
    assert_eq!(topic.audience, Some(delivery::Audience::Topic(news)));
    assert_eq!(topic.message.unwrap().channel, ChannelKind::Topic as i32);
    one.nothing_more().await;
    two.nothing_more().await;
    logic.stop().await;
}
