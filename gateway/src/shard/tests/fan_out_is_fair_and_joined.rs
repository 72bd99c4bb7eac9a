//! Fan-out goes in slices, several waiting messages in one write, and lets everything else pass.

use super::rig::*;
use crate::mail::Audience;
use crate::shard::ShardConfig;
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::wire::ChannelKind::{App, Everyone, Own, Topic};
use gpusher_proto::wire::Encoding;

fn slices_of(sends_max: usize) -> ShardConfig {
    let mut config = ShardConfig::default();
    config.slice.sends_max = sends_max;
    config
}

#[test]
fn several_waiting_messages_go_out_in_one_write() {
    let mut rig = Rig::new(ShardConfig::default());
    let members = rig.members(5);
    let (old, conn) = rig.login_v0("old", "app_gpusher");
    rig.admit(conn);
    rig.sync_done(conn, &[]);
    rig.settle();
    rig.frames(old);
    rig.net.take_writes(old);
    let jobs: Vec<u64> =
        (1..=7).map(|seq| rig.deliver(Audience::App(APP), live(App, seq), false)).collect();
    rig.settle();
    for (peer, _) in members {
        assert_eq!(rig.net.take_writes(peer).len(), 1);
        assert_eq!(rig.seqs(peer), (1..=7).collect::<Vec<_>>());
    }
    assert_eq!(rig.net.take_writes(old).len(), 1);
    assert_eq!(rig.frames(old).len(), 7);
    for job in jobs {
        assert_eq!(rig.outcome(job).written, 6);
    }
}

#[test]
fn one_write_is_bounded() {
    let mut config = ShardConfig::default();
    config.slice.joined_bytes_max = 1_000;
    let mut rig = Rig::new(config);
    let (peer, _) = rig.member("alice");
    for seq in 1..=50 {
        rig.deliver(Audience::App(APP), live(App, seq), false);
    }
    rig.settle();
    assert_eq!(rig.seqs(peer), (1..=50).collect::<Vec<_>>());
    let writes = rig.net.take_writes(peer);
    assert!(writes.len() > 1 && writes.iter().all(|&bytes| bytes <= 1_000), "{writes:?}");
}

#[test]
fn unicasts_for_one_connection_go_out_in_one_write() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, conn) = rig.member("alice");
    let (other, other_conn) = rig.member("bob");
    for seq in 1..=30 {
        rig.unicast(conn, live(Own, seq));
        rig.unicast(other_conn, live(Own, seq));
    }
    rig.settle();
    for peer in [peer, other] {
        assert_eq!(rig.net.take_writes(peer).len(), 1);
        assert_eq!(rig.seqs(peer), (1..=30).collect::<Vec<_>>());
    }
    assert!(rig.done().iter().all(|outcome| outcome.written == 1 && outcome.waiting.is_empty()));
}

#[test]
fn unicasts_and_logins_pass_a_large_fan_out() {
    let mut rig = Rig::new(slices_of(4));
    let members = rig.members(100);
    let broadcast = rig.deliver(Audience::Everyone, live(Everyone, 1), false);
    rig.turn();
    let (peer, conn) = members[99];
    let unicast = rig.unicast(conn, live(Own, 1));
    let late = rig.net.connect();
    rig.net.say(late, &HEARTBEAT.to_vec().unwrap());
    rig.turn();
    assert_eq!(rig.outcome(unicast).written, 1);
    assert_eq!(rig.seqs(peer), [1]);
    rig.turn();
    rig.turn();
    assert!(!rig.frames(late).is_empty(), "it was told that a heartbeat is no login");
    assert!(rig.done().is_empty(), "the broadcast is still under way");
    rig.settle();
    assert_eq!(rig.outcome(broadcast).written, 100);
}

#[test]
fn a_small_audience_does_not_wait_for_a_large_one() {
    let mut rig = Rig::new(slices_of(4));
    let members = rig.members(100);
    let (peer, conn) = members[50];
    rig.say(peer, join(1, "chess"));
    rig.settle();
    rig.tell(crate::mail::ToShard::Answer(gpusher_proto::gateway::Answer {
        conn: conn.raw(),
        request: 1,
        code: 0,
        value: 0,
    }));
    rig.settle();
    rig.frames(peer);
    let broadcast = rig.deliver(Audience::Everyone, live(Everyone, 1), false);
    rig.turn();
    let small = rig.deliver(topic("chess"), live(Topic, 1), false);
    rig.turn();
    rig.turn();
    assert_eq!(rig.outcome(small).written, 1);
    assert_eq!(rig.frames(peer), [Got::Push(Topic, 1)]);
    rig.settle();
    assert_eq!(rig.outcome(broadcast).written, 100);
}

#[test]
fn a_turn_sends_no_more_than_its_slice() {
    let mut rig = Rig::new(slices_of(8));
    rig.members(100);
    rig.deliver(Audience::App(APP), live(App, 1), false);
    let before = rig.net.sends();
    rig.turn();
    assert_eq!(rig.net.sends() - before, 8);
}

#[test]
fn slices_are_shorter_while_there_are_unicasts() {
    let mut config = slices_of(8);
    config.slice.sends_beside_unicasts_max = 2;
    let mut rig = Rig::new(config);
    let members = rig.members(100);
    rig.deliver(Audience::App(APP), live(App, 1), false);
    rig.unicast(members[99].1, live(Own, 1));
    let sends_of_a_turn = |rig: &mut Rig| {
        let before = rig.net.sends();
        rig.turn();
        rig.net.sends() - before
    };
    assert_eq!(sends_of_a_turn(&mut rig), 1 + 2);
    assert_eq!(sends_of_a_turn(&mut rig), 2);
    rig.pass_one_tick();
    assert_eq!(sends_of_a_turn(&mut rig), 8);
}

#[test]
fn a_delivery_to_many_connections_goes_in_slices_and_names_the_absent() {
    let mut config = ShardConfig::default();
    config.slice.unicasts_max = 10;
    let mut rig = Rig::new(config);
    let members = rig.members(25);
    let (gone, stale) = members[3];
    rig.net.hang_up(gone, 0);
    rig.settle();
    let (_, newcomer) = rig.member("takes the slot");
    assert_eq!(newcomer.slot(), stale.slot());
    let ids: Vec<ConnId> = members.iter().map(|&(_, conn)| conn).collect();
    let foreign = ConnId::new(9, 9, 9, 9);
    let audience = Audience::Connections([&ids[..], &[foreign]].concat());
    let job = rig.deliver(audience, live(Own, 1), false);
    // Nothing that comes later passes it.
    let next = rig.unicast(ids[24], live(Own, 2));
    rig.settle();
    let outcome = rig.outcome(job);
    assert_eq!((outcome.written, &outcome.absent[..]), (24, &[stale, foreign][..]));
    assert_eq!(rig.outcome(next).written, 1);
    assert_eq!(rig.seqs(members[24].0), [1, 2]);
}

#[test]
fn each_encoding_is_made_once() {
    let mut rig = Rig::new(ShardConfig::default());
    let members = rig.members(3);
    rig.deliver(Audience::App(APP), live(App, 1), false);
    rig.settle();
    let expected = gpusher_proto::wire::EncodedPush::new(live(App, 1));
    for (peer, _) in members {
        assert_eq!(rig.net.take_received(peer)[..], expected.frame(Encoding::V1)[..]);
    }
}

#[test]
fn a_delivery_to_nobody_is_done_at_once() {
    let mut rig = Rig::new(ShardConfig::default());
    let jobs = [
        rig.deliver(Audience::App(5), live(App, 1), false),
        rig.deliver(Audience::Everyone, live(Everyone, 1), false),
        rig.deliver(topic("nobody"), live(Topic, 1), false),
        rig.deliver(Audience::Connections(vec![]), live(Own, 1), false),
    ];
    rig.settle();
    for job in jobs {
        let outcome = rig.outcome(job);
        assert_eq!((outcome.written, outcome.queued, outcome.absent.len()), (0, 0, 0));
    }
}
