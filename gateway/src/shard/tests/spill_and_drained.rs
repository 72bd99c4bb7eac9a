//! Kept messages that find no room are not lost and not reordered: logic hears from where to replay, on the same connection.

use super::rig::*;
use crate::mail::Audience;
use crate::metrics::ShardCount;
use crate::shard::ShardConfig;
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::gateway::Position;
use gpusher_proto::wire::ChannelKind::{App, Own};
use gpusher_session::OutboxLimits;

fn small_outbox(entries_max: usize) -> ShardConfig {
    let outbox = OutboxLimits { entries_max, ..OutboxLimits::default() };
    ShardConfig { outbox, ..ShardConfig::default() }
}

fn replay(rig: &mut Rig, conn: ConnId, seqs: impl Iterator<Item = u64>) {
    for seq in seqs {
        rig.deliver(Audience::Connections(vec![conn]), kept(Own, seq), true);
    }
}

fn position(channel: gpusher_proto::wire::ChannelKind, seq: u64) -> Position {
    Position { channel: channel as i32, seq }
}

#[test]
fn a_spill_is_told_when_the_socket_has_taken_the_rest_and_replayed_on_the_same_connection() {
    let mut rig = Rig::new(small_outbox(4));
    let (peer, conn) = rig.member("slow");
    rig.net.set_room(peer, 10);
    let mut outcomes = Vec::new();
    for seq in 1..=8 {
        let job = rig.unicast(conn, kept(Own, seq));
        rig.settle();
        outcomes.push(rig.outcome(job));
    }
    // The first is partly written and stays; three more wait until the fifth makes all that is not on its way leave.
    let queued: u32 = outcomes.iter().map(|outcome| outcome.queued).sum();
    let overflowed: u32 = outcomes.iter().map(|outcome| outcome.overflowed).sum();
    assert_eq!((queued, overflowed), (4, 4));
    assert!(rig.count(ShardCount::Spilled) >= 4);
    assert_eq!(rig.drained(), [], "not before the socket has taken what is ready");

    rig.net.set_room(peer, usize::MAX);
    rig.settle();
    assert_eq!(rig.seqs(peer), [1]);
    let [drained] = &rig.drained()[..] else { panic!("drained once") };
    assert_eq!(drained.spilled_from, [position(Own, 2)]);

    // It holds: what is new waits for the replay.
    rig.unicast(conn, live(Own, 9));
    rig.unicast(conn, kept(Own, 10));
    replay(&mut rig, conn, 2..=8);
    rig.settle();
    assert_eq!(rig.seqs(peer), (2..=8).collect::<Vec<_>>());
    replay(&mut rig, conn, 10..=10);
    rig.sync_done(conn, &[(Own, 10)]);
    rig.settle();
    assert_eq!(rig.frames(peer), [Got::Push(Own, 10), Got::Push(Own, 9), Got::Synced]);
    rig.unicast(conn, kept(Own, 11));
    rig.settle();
    assert_eq!(rig.seqs(peer), [11]);
}

#[test]
fn an_earlier_sync_done_does_not_end_the_hold_of_a_later_spill() {
    let mut rig = Rig::new(small_outbox(2));
    let (peer, conn) = rig.login_v1("alice");
    rig.admit(conn);
    rig.settle();
    rig.frames(peer);
    // More is held than there is room for, while the replay of the login is under way.
    for seq in 5..=8 {
        rig.unicast(conn, kept(Own, seq));
    }
    rig.settle();
    assert_eq!(rig.drained(), [], "the SyncDone of the login is still to come");
    rig.sync_done(conn, &[(Own, 4)]);
    rig.settle();
    assert_eq!(rig.frames(peer), [], "SYNCED would not be true");
    let [drained] = &rig.drained()[..] else { panic!("drained once") };
    assert_eq!(drained.spilled_from, [position(Own, 5)]);
    replay(&mut rig, conn, 5..=8);
    rig.sync_done(conn, &[(Own, 8)]);
    rig.settle();
    let pushes = (5..=8).map(|seq| Got::Push(Own, seq));
    assert_eq!(rig.frames(peer), pushes.chain([Got::Synced]).collect::<Vec<_>>());
}

#[test]
fn a_replay_that_logic_had_begun_by_itself_does_not_end_the_hold_of_a_gap() {
    let mut rig = Rig::new(small_outbox(2));
    let (peer, conn) = rig.member("alice");
    rig.net.set_room(peer, 0);
    for seq in 1..=3 {
        rig.unicast(conn, kept(Own, seq));
        rig.settle();
    }
    rig.done();
    rig.net.set_room(peer, usize::MAX);
    rig.settle();
    // These were on their way when the shard told of the gap.
    rig.tell(sync_start(conn));
    rig.sync_done(conn, &[]);
    rig.unicast(conn, kept(Own, 4));
    rig.settle();
    assert_eq!(rig.frames(peer), [], "the gap comes first");
    let [drained] = &rig.drained()[..] else { panic!("drained once") };
    assert_eq!(drained.spilled_from, [position(Own, 1)]);
    rig.tell(sync_start(conn));
    replay(&mut rig, conn, 1..=3);
    rig.sync_done(conn, &[(Own, 3)]);
    rig.settle();
    let pushes = (1..=4).map(|seq| Got::Push(Own, seq));
    assert_eq!(rig.frames(peer), pushes.chain([Got::Synced]).collect::<Vec<_>>());
}

#[test]
fn a_page_that_waits_is_told_when_the_socket_has_it() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, conn) = rig.login_v1("alice");
    rig.admit(conn);
    rig.settle();
    rig.frames(peer);
    rig.net.set_room(peer, 0);
    let job = rig.deliver(Audience::Connections(vec![conn]), kept(Own, 1), true);
    rig.settle();
    let outcome = rig.outcome(job);
    assert_eq!((outcome.written, outcome.queued, &outcome.waiting[..]), (0, 1, &[conn][..]));
    // Held besides: the page is what logic waits for.
    rig.unicast(conn, kept(Own, 2));
    rig.settle();
    assert_eq!(rig.drained(), []);
    rig.net.set_room(peer, usize::MAX);
    rig.settle();
    assert_eq!(rig.seqs(peer), [1]);
    let [drained] = &rig.drained()[..] else { panic!("drained once") };
    assert_eq!(drained.spilled_from, []);
    rig.sync_done(conn, &[(Own, 1)]);
    rig.settle();
    assert_eq!(rig.frames(peer), [Got::Push(Own, 2), Got::Synced]);
    assert_eq!(rig.drained().len(), 1, "the held message was reported waiting, and is written");
}

#[test]
fn a_page_for_which_there_is_no_room_is_asked_for_again() {
    let mut rig = Rig::new(small_outbox(1));
    let (peer, conn) = rig.login_v1("alice");
    rig.admit(conn);
    rig.settle();
    rig.frames(peer);
    rig.net.set_room(peer, 0);
    for seq in 1..=3 {
        replay(&mut rig, conn, seq..=seq);
        rig.settle();
    }
    assert_eq!(rig.done().iter().map(|outcome| outcome.overflowed).sum::<u32>(), 2);
    assert_eq!(rig.drained(), [], "a socket without room has not drained");
    rig.net.set_room(peer, usize::MAX);
    rig.settle();
    let [drained] = &rig.drained()[..] else { panic!("drained once") };
    assert_eq!(
        drained.spilled_from,
        [position(Own, 1)],
        "although the login's SyncDone is to come"
    );
    assert!(rig.seqs(peer).is_empty());
    rig.tell(sync_start(conn));
    replay(&mut rig, conn, 1..=3);
    rig.sync_done(conn, &[(Own, 3)]);
    rig.settle();
    let pushes = (1..=3).map(|seq| Got::Push(Own, seq));
    assert_eq!(rig.frames(peer), pushes.chain([Got::Synced]).collect::<Vec<_>>());
}

#[test]
fn what_was_not_written_is_told_at_the_end() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, conn) = rig.member("alice");
    rig.deliver(Audience::App(APP), kept(App, 6), false);
    rig.settle();
    rig.net.set_room(peer, 10);
    rig.unicast(conn, kept(Own, 3));
    rig.deliver(Audience::App(APP), kept(App, 7), false);
    rig.deliver(Audience::App(APP), live(App, 8), false);
    rig.settle();
    rig.events();
    rig.net.hang_up(peer, 0);
    rig.settle();
    let [closed] = &rig.closed()[..] else { panic!("closed once") };
    assert_eq!(closed.unwritten_from, [position(Own, 3), position(App, 7)]);
    assert_eq!(closed.through, [position(App, 7)]);
    assert_eq!(rig.count(ShardCount::DroppedClosed), 1);
}

#[test]
fn what_a_failed_socket_was_just_sent_counts_as_not_written() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, conn) = rig.member("alice");
    rig.net.hang_up(peer, 104);
    let job = rig.unicast(conn, kept(Own, 3));
    rig.settle();
    assert_eq!(rig.outcome(job).written, 0);
    assert_eq!(rig.closed()[0].unwritten_from, [position(Own, 3)]);
}

#[test]
fn a_connection_under_replay_claims_nothing() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, conn) = rig.member("alice");
    rig.tell(sync_start(conn));
    rig.deliver(Audience::App(APP), kept(App, 6), false);
    rig.settle();
    rig.net.hang_up(peer, 0);
    rig.settle();
    let [closed] = &rig.closed()[..] else { panic!("closed once") };
    assert_eq!(closed.through, []);
    assert_eq!(closed.unwritten_from, [position(App, 6)]);
}

#[test]
fn what_was_staged_before_a_spill_does_not_pass_the_gap() {
    let mut rig = Rig::new(small_outbox(2));
    let (peer, conn) = rig.login_v1("alice");
    rig.admit(conn);
    rig.settle();
    rig.frames(peer);
    rig.net.set_room(peer, 0);
    replay(&mut rig, conn, 1..=1);
    rig.settle();
    rig.net.set_room(peer, usize::MAX);
    // The socket has room again: what waits is to be flushed in the next turn.
    rig.turn();
    // In that turn the next of the page comes, and then more is held than there is room for.
    replay(&mut rig, conn, 2..=2);
    rig.unicast(conn, kept(Own, 3));
    rig.unicast(conn, kept(Own, 4));
    rig.settle();
    assert_eq!(rig.seqs(peer), [0; 0], "the first of the page has left unwritten");
    let [drained] = &rig.drained()[..] else { panic!("drained once") };
    assert_eq!(drained.spilled_from, [position(Own, 1)]);
}
