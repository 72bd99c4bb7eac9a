//! A login is answered after logic's verdict; until its replay is complete, what is delivered waits, and comes in order, nothing twice.

use super::rig::*;
use crate::mail::{Audience, ToShard};
use crate::metrics::ShardCount;
use crate::shard::ShardConfig;
use crate::token::{Claims, TokenCheck};
use gpusher_proto::gateway::{Admit, SyncDone, event::Kind};
use gpusher_proto::wire::ChannelKind::{App, Everyone, Own};
use gpusher_proto::wire::v0::FrameType;
use gpusher_proto::wire::v1::{ClientFrame, Login};
use gpusher_proto::wire::{Code, Positions, v0};
use std::sync::Arc;

#[test]
fn the_client_is_not_answered_before_the_verdict() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, conn) = rig.login_v1("alice");
    assert_eq!(rig.frames(peer), []);
    assert_eq!(rig.memberships(), []);
    rig.admit(conn);
    rig.settle();
    assert_eq!(rig.frames(peer), [Got::Welcome]);
    assert_eq!(rig.memberships(), [(String::new(), 1)]);
}

#[test]
fn what_is_delivered_during_a_replay_comes_after_it_in_order_and_once() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, conn) = rig.login_v1("alice");
    // Between the login and the verdict: unicasts reach it, fan-out does not.
    rig.unicast(conn, kept(Own, 5));
    rig.deliver(Audience::App(APP), kept(App, 1), false);
    rig.admit(conn);
    rig.deliver(Audience::App(APP), kept(App, 2), false);
    rig.deliver(Audience::App(APP), live(App, 3), false);
    let replayed = [kept(Own, 4), kept(Own, 5), kept(App, 1), kept(App, 2)];
    for message in replayed {
        rig.deliver(Audience::Connections(vec![conn]), message, true);
    }
    rig.settle();
    rig.unicast(conn, kept(Own, 6));
    rig.sync_done(conn, &[(Own, 5), (App, 2)]);
    rig.unicast(conn, kept(Own, 7));
    rig.settle();
    let expected = [
        Got::Welcome,
        Got::Push(Own, 4),
        Got::Push(Own, 5),
        Got::Push(App, 1),
        Got::Push(App, 2),
        Got::Push(App, 3),
        Got::Push(Own, 6),
        Got::Synced,
        Got::Push(Own, 7),
    ];
    assert_eq!(rig.frames(peer), expected);
}

#[test]
fn a_fan_out_that_a_replay_has_overtaken_is_not_delivered_again() {
    let mut config = ShardConfig::default();
    config.slice.sends_max = 1;
    let mut rig = Rig::new(config);
    rig.members(20);
    let (peer, conn) = rig.login_v1("late");
    rig.admit(conn);
    rig.settle();
    rig.frames(peer);
    // The cursor needs 21 turns to the last member, whose replay brings the message at once.
    let job = rig.deliver(Audience::App(APP), kept(App, 9), false);
    rig.turn();
    rig.deliver(Audience::Connections(vec![conn]), kept(App, 9), true);
    rig.sync_done(conn, &[(App, 9)]);
    let next = rig.deliver(Audience::App(APP), kept(App, 10), false);
    rig.settle();
    assert_eq!(rig.frames(peer), [Got::Push(App, 9), Got::Synced, Got::Push(App, 10)]);
    assert_eq!(rig.outcome(job).written, 20);
    let next = rig.outcome(next);
    assert_eq!(next.written + next.queued, 21);
}

#[test]
fn both_versions_are_answered_in_their_own_way() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, conn) = rig.login_v0("bob", "app_gpusher");
    rig.admit(conn);
    rig.sync_done(conn, &[]);
    rig.settle();
    assert_eq!(rig.frames(peer), [Got::V0(FrameType::Heartbeat, 7, 0)]);
    rig.unicast(conn, live(Own, 3));
    rig.settle();
    let pushes = rig.frames(peer);
    assert!(matches!(pushes[..], [Got::V0(FrameType::General, 3, _)]), "{pushes:?}");
}

#[test]
fn what_follows_the_login_is_acted_on_after_the_verdict() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, conn) = rig.login_v1("alice");
    rig.say(peer, HEARTBEAT);
    rig.say(peer, send_to_application(42));
    rig.settle();
    assert_eq!(rig.frames(peer), []);
    rig.admit(conn);
    rig.settle();
    assert_eq!(rig.frames(peer), [Got::Welcome, Got::Heartbeat]);
    let [Kind::Upstream(upstream)] = &rig.events()[..] else { panic!("one upstream") };
    assert_eq!((upstream.request, upstream.conn), (42, conn.raw()));
}

#[test]
fn a_refusal_says_why_and_closes() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, conn) = rig.login_v1("alice");
    let code = u32::from(Code::UserUnavailable.number());
    rig.tell(ToShard::Admit(LINK, Admit { conn: conn.raw(), code, ..Admit::default() }));
    rig.settle();
    assert_eq!(rig.frames(peer), [Got::Close(Code::UserUnavailable.number())]);
    assert!(rig.net.is_closed(peer));
    assert_eq!(rig.closed()[0].reason, code);
    let (peer, conn) = rig.login_v0("bob", "app_gpusher");
    rig.tell(ToShard::Admit(LINK, Admit { conn: conn.raw(), code, ..Admit::default() }));
    rig.settle();
    let frames = rig.frames(peer);
    assert!(matches!(frames[..], [Got::V0(FrameType::General, 7, 1..)]), "{frames:?}");
    assert!(rig.net.is_closed(peer));
}

#[test]
fn logins_that_the_shard_can_judge_never_reach_logic() {
    let token = Arc::new(TokenCheck::jwt(b"secret"));
    let mut rig = Rig::new(ShardConfig { token, ..ShardConfig::default() });
    let claims = |exp| Claims { sub: "alice".into(), app: Some(APP), exp };
    let sign = |exp| {
        let key = jsonwebtoken::EncodingKey::from_secret(b"secret");
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims(exp), &key).unwrap()
    };
    let unix_s = rig.unix_ms() / 1_000;
    let mut answer_to = |app_id, token: &str| {
        let peer = rig.net.connect();
        let (user, device, capabilities, epoch, resume) = ("alice", "", 0, 0, Positions::EMPTY);
        let login = Login { app_id, user, device, token, capabilities, epoch, resume };
        rig.say(peer, ClientFrame::Login(login));
        rig.settle();
        (rig.frames(peer), rig.net.is_closed(peer))
    };
    let refused = |code: Code| (vec![Got::Close(code.number())], true);
    assert_eq!(answer_to(7, &sign(unix_s + 10)), refused(Code::UnknownApp));
    assert_eq!(answer_to(APP, "forged"), refused(Code::BadToken));
    assert_eq!(answer_to(APP, &sign(unix_s)), refused(Code::TokenExpired));
    assert_eq!(answer_to(APP, &sign(unix_s + 10)), (vec![], false));
    assert_eq!(rig.count(ShardCount::LoginsRefused), 3);
    assert_eq!(rig.reports.len(), 2, "the set announced, and one login: {:?}", rig.reports);
}

#[test]
fn a_sync_frame_of_version_0_is_answered_after_the_replay() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, conn) = rig.login_v0("bob", "app_gpusher");
    rig.admit(conn);
    rig.sync_done(conn, &[]);
    rig.settle();
    rig.frames(peer);
    rig.net.say(peer, &v0::Frame::from_client(FrameType::Sync, 33, &[]).to_vec());
    rig.settle();
    let [Kind::SyncRequest(asked)] = &rig.events()[..] else { panic!("one request") };
    assert_eq!(asked.request, Some(33));
    rig.tell(sync_start(conn));
    rig.unicast(conn, live(Own, 2));
    rig.deliver(Audience::Connections(vec![conn]), kept(Everyone, 1), true);
    let (positions, requests) = (vec![], vec![33, 34]);
    rig.tell(ToShard::SyncDone(LINK, SyncDone { conn: conn.raw(), positions, requests, gap: 0 }));
    rig.settle();
    let types: Vec<_> = rig.frames(peer);
    let [
        Got::V0(_, replayed, _),
        Got::V0(_, 2, _),
        Got::V0(FrameType::Sync, 33, 0),
        Got::V0(FrameType::Sync, 34, 0),
    ] = types[..]
    else {
        panic!("replayed, held, sync for both who asked: {types:?}");
    };
    assert_eq!(replayed, v0_number(Everyone, 1));
}

fn v0_number(kind: gpusher_proto::wire::ChannelKind, seq: u64) -> u64 {
    gpusher_proto::wire::msg_seq(kind, seq)
}
