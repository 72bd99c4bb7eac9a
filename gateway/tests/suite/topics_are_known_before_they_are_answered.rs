//! A join goes to its logic only after every attached logic has acknowledged that the gateway has members of the topic: what is read of the log for the
//! answer is then no older than what anybody pushes without sending it here.

use crate::support::*;
use gpusher_gateway::config::Io;
use gpusher_gateway::metrics::LinkCount;
use gpusher_proto::gateway::{Answer, Join, MembershipAck, Message, Topic};
use gpusher_proto::gateway::{ChannelKind, command, delivery, event};
use gpusher_proto::wire::v1::{ClientFrame, ServerFrame};

async fn news(logic: &mut Logic) -> u64 {
    let membership = |event| match event {
        event::Kind::Membership(change) if change.topic == "news" => Some(change.revision),
        _ => None,
    };
    logic.until(membership).await
}

async fn acknowledge(logic: &Logic, revision: u64) {
    logic.command(command::Kind::MembershipAck(MembershipAck { revision })).await;
}

async fn a_join_waits_for_every_logic(io: Io) {
    let gateway = gateway(io, |_| {});
    let mut a = Logic::attach(&gateway, Way::InProcess, "a").await;
    a.announced().await;
    let mut client = send_login_v1(&gateway, "u").await;
    a.admit_next().await;
    client.frame().await;
    client.frame().await;
    let mut b = Logic::attach(&gateway, Way::InProcess, "b").await;
    b.announced().await;

    client.send_v1(ClientFrame::Join { request: 4, topic: "news", since: None }).await;
    let revision = news(&mut a).await;
    assert_eq!(news(&mut b).await, revision);
    acknowledge(&a, revision).await;
    until(|| gateway.metrics().link.get(LinkCount::EventsHeld) == 1).await;
    acknowledge(&b, revision).await;
    let (conn, asked) = joined(&mut a, &mut b).await;
    let answer = Answer { conn, request: 4, code: 0, value: 12 };
    asked.command(command::Kind::Answer(answer)).await;
    let answered = client.frame().await;
    let expected = ServerFrame::Answer { request: 4, code: 0, value: 12 };
    assert_eq!(as_v1(&answered), expected);

    let channel = ChannelKind::Topic.into();
    let message = Message { channel, topic: "news".into(), ..live(1, "x") };
    let topic = Topic { app_id: APP, name: "news".into() };
    let outcome = b.deliver(message, delivery::Audience::Topic(topic)).await;
    assert_eq!(outcome.written, 1);
    assert!(matches!(as_v1(&client.frame().await), ServerFrame::Push(p) if p.topic == "news"));
    gateway.shutdown().await;
}

/// Whichever has the user is asked.
async fn joined<'a>(a: &'a mut Logic, b: &'a mut Logic) -> (u64, &'a Logic) {
    let join = |event| match event {
        event::Kind::Join(Join { conn, .. }) => Some(conn),
        _ => None,
    };
    tokio::select! {
        conn = a.until(join) => (conn, &*a),
        conn = b.until(join) => (conn, &*b),
    }
}

on_both_drivers!(a_join_waits_for_every_logic);
