//! Every way a connection ends: what the client is told, what logic hears, and that the slot is clean afterwards.

use super::rig::*;
use crate::mail::{Audience, FromShard, ToShard};
use crate::shard::ShardConfig;
use gpusher_proto::gateway::{Kick, event::Kind};
use gpusher_proto::wire::ChannelKind::{App, Own};
use gpusher_proto::wire::Code;
use gpusher_proto::wire::v1::ClientFrame;

fn kick(conn: gpusher_proto::conn_id::ConnId) -> ToShard {
    let reason = u32::from(Code::Kicked.number());
    ToShard::Kick(Kick { conn: conn.raw(), reason, advice: 2, ..Kick::default() })
}

#[test]
fn a_kick_comes_after_what_was_delivered_before_it() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, conn) = rig.member("alice");
    rig.unicast(conn, live(Own, 1));
    rig.tell(kick(conn));
    let late = rig.unicast(conn, live(Own, 2));
    rig.settle();
    assert_eq!(rig.frames(peer), [Got::Push(Own, 1), Got::Close(Code::Kicked.number())]);
    assert!(rig.net.is_closed(peer));
    assert_eq!(rig.outcome(late).absent, [conn]);
    let [closed] = &rig.closed()[..] else { panic!("closed once") };
    assert_eq!((closed.conn, closed.reason), (conn.raw(), u32::from(Code::Kicked.number())));
    assert_eq!(rig.memberships().last(), Some(&(String::new(), 0)));
}

#[test]
fn logic_hears_that_a_version_0_member_goes_before_what_it_is_not_given() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, conn) = rig.login_v0("old", "app_gpusher");
    rig.admit(conn);
    rig.sync_done(conn, &[]);
    rig.settle();
    rig.net.set_room(peer, 0);
    rig.unicast(conn, kept(Own, 1));
    rig.tell(kick(conn));
    let missed = rig.deliver(Audience::App(APP), kept(App, 1), false);
    rig.settle();
    let told = rig.reports.iter().position(|report| {
        matches!(report, FromShard::Event { event: Kind::Farewell(it), .. } if it.conn == conn.raw())
    });
    let done = rig
        .reports
        .iter()
        .position(|report| matches!(report, FromShard::Done(done) if done.job == missed));
    assert!(told.is_some() && told < done, "{:?}", rig.reports);
    assert!(!rig.net.is_closed(peer), "its end is not known yet");
}

#[test]
fn a_slow_client_has_a_while_to_read_its_last_words() {
    let mut rig = Rig::new(ShardConfig::default());
    let members = rig.members(2);
    for &(peer, conn) in &members {
        rig.net.set_room(peer, 0);
        rig.unicast(conn, live(Own, 1));
        rig.tell(kick(conn));
    }
    rig.settle();
    let [(reads, _), (never, _)] = members[..] else { unreachable!() };
    assert!(!rig.net.is_closed(reads));
    rig.net.set_room(reads, usize::MAX);
    rig.settle();
    assert_eq!(rig.frames(reads), [Got::Push(Own, 1), Got::Close(Code::Kicked.number())]);
    assert!(rig.net.is_closed(reads) && !rig.net.is_closed(never));
    rig.pass_ms(1_250);
    assert!(rig.net.is_closed(never));
    assert!(rig.closed().iter().all(|closed| closed.reason == u32::from(Code::Kicked.number())));
}

#[test]
fn a_broken_rule_is_answered_and_the_client_read_on_until_it_hangs_up() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, _) = rig.member("alice");
    let (other, _) = rig.member("bob");
    rig.net.say(peer, &[0x45, 1, 0x7f, 0, 0, 0, 0, 0]);
    rig.net.say(peer, &[0; 100]);
    rig.settle();
    assert_eq!(rig.frames(peer), [Got::Close(Code::UnexpectedFrame.number())]);
    assert!(!rig.net.is_closed(peer));
    rig.net.hang_up(peer, 0);
    rig.settle();
    assert!(rig.net.is_closed(peer) && !rig.net.is_closed(other));
    assert_eq!(rig.closed()[0].reason, u32::from(Code::UnexpectedFrame.number()));
}

#[test]
fn who_does_not_hang_up_after_a_broken_rule_is_closed_all_the_same() {
    let mut rig = Rig::new(ShardConfig::default());
    let garbage = rig.net.connect();
    rig.net.say(garbage, b"GET / HTTP/1.1\r\n\r\n");
    let (peer, _) = rig.member("alice");
    rig.net.say(peer, &[0x45, 1, 0x7f, 0, 0, 0, 0, 0]);
    rig.settle();
    assert!(rig.net.is_closed(garbage), "nothing can be said to it");
    rig.pass_ms(1_250);
    assert!(rig.net.is_closed(peer));
}

#[test]
fn bye_is_the_end() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, conn) = rig.member("alice");
    rig.say(peer, ClientFrame::Bye);
    rig.settle();
    assert!(rig.net.is_closed(peer));
    assert_eq!(rig.frames(peer), []);
    let closed = rig.closed();
    assert_eq!((closed.len(), closed[0].conn, closed[0].reason), (1, conn.raw(), 0));
}

#[test]
fn a_slot_is_used_again_under_another_id() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, old) = rig.member("alice");
    rig.net.set_room(peer, 0);
    rig.unicast(old, live(Own, 1));
    rig.settle();
    rig.net.hang_up(peer, 104);
    rig.settle();
    let (peer, new) = rig.member("bob");
    assert_eq!(new.slot(), old.slot());
    let stale = rig.unicast(old, live(Own, 2));
    rig.tell(kick(old));
    rig.sync_done(old, &[]);
    rig.tell(sync_start(old));
    rig.unicast(new, live(Own, 3));
    rig.settle();
    assert_eq!(rig.outcome(stale).absent, [old]);
    assert_eq!(rig.seqs(peer), [3]);
}

fn drain(rate: u32, reason: Code, grace_ms: u32) -> ToShard {
    let target = "elsewhere:8881".to_owned();
    ToShard::Drain { rate, reason: reason.number(), grace_ms, target }
}

#[test]
fn a_drain_asks_at_its_rate_and_closes_after_the_grace_time() {
    let mut rig = Rig::new(ShardConfig::default());
    let members = rig.members(20);
    rig.tell(drain(4, Code::Rebalance, 1_000));
    rig.settle();
    let asked = |rig: &mut Rig| {
        let frames = |&(peer, _): &(usize, _)| rig.frames(peer);
        let go_away = Got::GoAway(Code::Rebalance.number());
        members.iter().map(frames).filter(|frames| frames.first() == Some(&go_away)).count()
    };
    rig.pass_ms(1_000);
    assert_eq!(asked(&mut rig), 4);
    rig.pass_ms(1_000);
    assert_eq!(asked(&mut rig), 4);
    let closed = members.iter().filter(|&&(peer, _)| rig.net.is_closed(peer)).count();
    assert!((3..=5).contains(&closed), "{closed}");
    // New ones are taken while others are asked to go, and are asked in their turn or not at all.
    assert!(!rig.net.has_stopped_accepting());
    rig.pass_ms(10_000);
    assert!(members.iter().all(|&(peer, _)| rig.net.is_closed(peer)));
    let reasons = rig.closed();
    assert_eq!(reasons.len(), 20);
    assert!(reasons.iter().all(|it| it.reason == u32::from(Code::Rebalance.number())));
}

#[test]
fn a_drain_at_once_leaves_no_connection() {
    let mut rig = Rig::new(ShardConfig::default());
    let members = rig.members(50);
    rig.tell(drain(0, Code::ShuttingDown, 500));
    rig.settle();
    assert!(rig.net.has_stopped_accepting());
    assert!(members.iter().all(|&(peer, _)| !rig.net.is_closed(peer)));
    rig.deliver(Audience::App(APP), live(App, 1), false);
    rig.pass_ms(750);
    for &(peer, _) in &members {
        let code = Code::ShuttingDown.number();
        assert_eq!(rig.frames(peer), [Got::GoAway(code), Got::Push(App, 1), Got::Close(code)]);
        assert!(rig.net.is_closed(peer));
    }
}

#[test]
fn a_stopped_shard_has_closed_everything() {
    let mut rig = Rig::new(ShardConfig::default());
    let members = rig.members(5);
    let silent = rig.net.connect();
    rig.settle();
    rig.net.set_room(members[0].0, 0);
    rig.tell(ToShard::Stop);
    let mut goes_on = true;
    for _ in 0..20 {
        rig.pass_one_tick();
        goes_on = goes_on && rig.turn();
    }
    assert!(!goes_on);
    assert!(rig.net.is_closed(silent) && members.iter().all(|&(peer, _)| rig.net.is_closed(peer)));
    assert_eq!(rig.frames(members[1].0), [Got::Close(Code::ShuttingDown.number())]);
}
