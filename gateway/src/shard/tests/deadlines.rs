//! Silence has a limit, at every stage.

use super::rig::*;
use crate::mail::Audience;
use crate::metrics::ShardCount;
use crate::shard::ShardConfig;
use gpusher_proto::wire::ChannelKind::App;
use gpusher_proto::wire::Code;

fn config() -> ShardConfig {
    ShardConfig { login_deadline_ms: 2_000, idle_timeout_ms: 5_000, ..ShardConfig::default() }
}

#[test]
fn a_login_that_does_not_come_in_time_ends_the_connection() {
    let mut rig = Rig::new(config());
    let silent = rig.net.connect();
    let dripping = rig.net.connect();
    rig.settle();
    for byte in &login("slow").to_vec().unwrap()[..8] {
        rig.net.say(dripping, &[*byte]);
        rig.pass_ms(250);
        assert!(!rig.net.is_closed(silent) && !rig.net.is_closed(dripping));
    }
    rig.pass_ms(250);
    assert!(rig.net.is_closed(silent) && rig.net.is_closed(dripping));
    assert_eq!(rig.frames(dripping), [Got::Close(Code::LoginDeadline.number())]);
    let codes: Vec<(u16, u64)> = rig.counts.closed_by_code().collect();
    assert_eq!(codes, [(Code::LoginDeadline.number(), 2)]);
    assert_eq!(rig.closed(), [], "logic never knew them");
}

#[test]
fn a_verdict_that_does_not_come_ends_the_connection() {
    let mut rig = Rig::new(config());
    let (peer, _) = rig.login_v1("alice");
    rig.pass_ms(2_000);
    assert!(!rig.net.is_closed(peer));
    rig.pass_ms(250);
    assert_eq!(rig.frames(peer), [Got::Close(Code::NotAvailable.number())]);
    assert!(rig.net.is_closed(peer));
}

#[test]
fn a_heartbeat_is_enough() {
    let mut rig = Rig::new(config());
    let (lively, _) = rig.member("lively");
    let (silent, _) = rig.member("silent");
    for _ in 0..4 {
        rig.pass_ms(4_000);
        rig.say(lively, HEARTBEAT);
        rig.settle();
        assert_eq!(rig.frames(lively), [Got::Heartbeat]);
    }
    assert!(!rig.net.is_closed(lively) && rig.net.is_closed(silent));
    assert_eq!(rig.frames(silent), [Got::Close(Code::IdleTimeout.number())]);
}

#[test]
fn what_the_server_sends_does_not_count_as_life() {
    let mut rig = Rig::new(config());
    let (peer, _) = rig.member("silent");
    for seq in 1..=6 {
        rig.pass_ms(1_000);
        rig.deliver(Audience::App(APP), live(App, seq), false);
    }
    assert!(rig.net.is_closed(peer));
}

#[test]
fn accepting_goes_on_after_a_pause() {
    let mut rig = Rig::new(config());
    rig.settle();
    rig.net.fail_accept(24);
    rig.settle();
    assert!(!rig.net.is_accepting());
    rig.pass_ms(250);
    assert!(rig.net.is_accepting());
    assert_eq!(rig.count(ShardCount::AcceptFailed), 1);
}

#[test]
fn beyond_the_last_slot_connections_are_closed_at_once() {
    let mut rig = Rig::new(ShardConfig { connections_max: 2, ..config() });
    let (first, _) = rig.member("first");
    rig.member("second");
    let third = rig.net.connect();
    rig.settle();
    assert!(rig.net.is_closed(third));
    assert_eq!(rig.count(ShardCount::AcceptedOverLimit), 1);
    rig.net.hang_up(first, 0);
    rig.settle();
    rig.member("fourth");
}
