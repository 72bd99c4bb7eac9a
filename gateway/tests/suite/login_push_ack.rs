//! A client of each version logs in, gets a kept message, acknowledges it; then everybody gets a broadcast.

use crate::support::*;
use gpusher_gateway::config::Io;
use gpusher_proto::gateway::{Ack, ChannelKind, Message, delivery, event};
use gpusher_proto::wire::v1::{ClientFrame, ServerFrame};
use gpusher_proto::wire::{Position, Positions, v0};

async fn a_push_reaches_both_versions(io: Io, way: Way) {
    let gateway = gateway(io, |_| {});
    let mut logic = Logic::attach(&gateway, way, "a").await;

    let mut old = send_login_v0(&gateway, "old").await;
    let old_conn = logic.admit_next().await;
    assert_eq!((old_conn.user.as_str(), old_conn.version, &*old_conn.key), ("old", 0, TAG));
    let welcome = old.frame().await;
    let welcome = as_v0(&welcome);
    assert_eq!((welcome.frame_type, welcome.stream_id), (v0::FrameType::Heartbeat, 7));

    let mut new = send_login_v1(&gateway, "new").await;
    let new_conn = logic.admit_next().await;
    assert!(matches!(as_v1(&new.frame().await), ServerFrame::Welcome(w) if w.epoch == 77));
    assert!(matches!(as_v1(&new.frame().await), ServerFrame::Synced { .. }));

    let outcome = logic.deliver(kept(5, "hello"), to(old_conn.conn)).await;
    assert_eq!((outcome.written, outcome.absent.len()), (1, 0));
    let pushed = old.frame().await;
    let pushed = as_v0(&pushed);
    assert_eq!((pushed.frame_type, pushed.stream_id), (v0::FrameType::General, 5));
    let body = v0::Push::decode(pushed.body).expect("a push");
    assert_eq!(&*body.content().expect("a text"), b"hello");
    old.send(&v0::Frame::from_client(v0::FrameType::Ack, 5, b"").to_vec()).await;
    assert_eq!(acked(&mut logic).await, (old_conn.conn, 5));

    logic.deliver(kept(9, "hi"), to(new_conn.conn)).await;
    let pushed = new.frame().await;
    let ServerFrame::Push(push) = as_v1(&pushed) else { panic!("not a push") };
    assert_eq!((push.content, push.kept, push.position.seq), (&b"hi"[..], true, 9));
    let positions = [Position { kind: ChannelKind::Own, seq: 9 }];
    new.send_v1(ClientFrame::Ack { positions: Positions::from(&positions[..]) }).await;
    assert_eq!(acked(&mut logic).await, (new_conn.conn, 9));

    let channel = ChannelKind::App.into();
    let app = Message { channel, r#type: 2, ..live(1, "all") };
    let outcome = logic.deliver(app, delivery::Audience::AppId(APP)).await;
    assert_eq!(outcome.written, 2);
    assert_eq!(as_v0(&old.frame().await).stream_id, (1 << 50) + 1);
    assert!(matches!(as_v1(&new.frame().await), ServerFrame::Push(p) if p.content == b"all"));
    gateway.shutdown().await;
}

async fn acked(logic: &mut Logic) -> (u64, u64) {
    let ack = |event| match event {
        event::Kind::Ack(Ack { conn, seq, .. }) => Some((conn, seq)),
        _ => None,
    };
    logic.until(ack).await
}

on_both_drivers_both_ways!(a_push_reaches_both_versions);
