//! A recalled or expired message goes to nobody it has not gone to; every member is accounted for.

use super::rig::*;
use crate::mail::Audience;
use crate::metrics::ShardCount;
use crate::shard::ShardConfig;
use gpusher_proto::gateway::{Message, Position};
use gpusher_proto::wire::ChannelKind::{App, Own};

fn slices_of_four() -> ShardConfig {
    let mut config = ShardConfig::default();
    config.slice.sends_max = 4;
    config
}

#[test]
fn a_recall_stops_a_fan_out_under_way_and_leaves_tombstones() {
    let mut rig = Rig::new(slices_of_four());
    let members = rig.members(10);
    let message = kept(App, 1);
    let first = rig.deliver(Audience::App(APP), message.clone(), false);
    let second = rig.deliver(Audience::App(APP), live(App, 2), false);
    rig.turn();
    rig.recall(&message, Audience::App(APP));
    rig.settle();
    let outcome = rig.outcome(first);
    assert_eq!((outcome.written, outcome.recalled), (4, 6));
    assert_eq!(rig.outcome(second).written, 10);
    let tombstone = Got::Recall(message.id);
    for (index, &(peer, _)) in members.iter().enumerate() {
        let frames = rig.frames(peer);
        let got_it = frames.contains(&Got::Push(App, 1));
        assert_eq!(got_it, index < 4);
        assert_eq!(frames.last(), Some(&tombstone));
        assert!(frames.contains(&Got::Push(App, 2)));
    }
}

#[test]
fn a_recall_takes_it_from_lines_and_outboxes() {
    let mut rig = Rig::new(slices_of_four());
    let members = rig.members(10);
    let (slow, conn) = members[0];
    rig.net.set_room(slow, 5);
    rig.unicast(conn, live(Own, 1));
    rig.settle();
    let unicast = kept(Own, 2);
    rig.unicast(conn, unicast.clone());
    rig.settle();
    // One pass is under way; the message waits behind it.
    rig.deliver(Audience::App(APP), live(App, 1), false);
    rig.turn();
    let waiting = live(App, 2);
    let job = rig.deliver(Audience::App(APP), waiting.clone(), false);
    rig.turn();
    rig.recall(&waiting, Audience::App(APP));
    rig.recall(&unicast, Audience::Connections(vec![conn]));
    rig.net.set_room(slow, usize::MAX);
    rig.settle();
    assert_eq!(rig.outcome(job).recalled, 10);
    let frames = rig.frames(slow);
    assert!(!frames.contains(&Got::Push(Own, 2)) && !frames.contains(&Got::Push(App, 2)));
    assert!(frames.contains(&Got::Recall(unicast.id)) && frames.contains(&Got::Recall(waiting.id)));
    assert_eq!(rig.count(ShardCount::DroppedRecalled), 11);
    assert_eq!(rig.drained().len(), 1, "what was reported waiting does not wait any more");
}

#[test]
fn a_message_recalled_in_the_same_batch_is_not_sent() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, conn) = rig.member("alice");
    let message = live(Own, 1);
    let job = rig.unicast(conn, message.clone());
    rig.recall(&message, Audience::Connections(vec![conn]));
    rig.settle();
    let outcome = rig.outcome(job);
    assert_eq!((outcome.written, outcome.recalled), (0, 1));
    assert_eq!(rig.frames(peer), [Got::Recall(message.id)]);
}

#[test]
fn an_expired_message_goes_to_nobody_else() {
    let mut rig = Rig::new(slices_of_four());
    let members = rig.members(20);
    let expires_at_ms = (rig.unix_ms() + 500) as i64;
    let fan_out = rig.deliver(Audience::App(APP), Message { expires_at_ms, ..live(App, 1) }, false);
    rig.turn();
    rig.turn();
    let (slow, conn) = members[19];
    rig.net.set_room(slow, 0);
    rig.unicast(conn, live(Own, 1));
    rig.unicast(conn, Message { expires_at_ms, ..live(Own, 2) });
    rig.turn();
    // The clock moves on before the last slice.
    rig.pass_one_tick();
    rig.pass_one_tick();
    rig.settle();
    let late = rig.unicast(conn, Message { expires_at_ms, ..live(Own, 3) });
    rig.net.set_room(slow, usize::MAX);
    rig.settle();
    assert_eq!(rig.outcome(late).expired, 1);
    assert_eq!(rig.seqs(slow), [1], "the second expired in the outbox");
    let outcome = rig.outcome(fan_out);
    assert_eq!(outcome.written + outcome.queued + outcome.expired, 20);
    assert!(outcome.expired > 0);
    assert_eq!(rig.count(ShardCount::DroppedExpired), u64::from(outcome.expired) + 2);
}

#[test]
fn a_recall_is_not_told_before_the_verdict() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, conn) = rig.login_v1("alice");
    rig.recall(&kept(Own, 1), Audience::Connections(vec![conn]));
    rig.settle();
    assert_eq!(rig.frames(peer), [], "WELCOME or CLOSE comes first");
    rig.admit(conn);
    rig.settle();
    assert_eq!(rig.frames(peer).len(), 1);
}

#[test]
fn a_recall_stops_a_fan_out_whose_members_have_all_gone() {
    let mut rig = Rig::new(slices_of_four());
    let members = rig.members(20);
    let message = live(App, 1);
    let job = rig.deliver(Audience::App(APP), message.clone(), false);
    rig.turn();
    members.iter().for_each(|&(peer, _)| rig.net.hang_up(peer, 0));
    rig.turn();
    rig.recall(&message, Audience::App(APP));
    rig.settle();
    assert_eq!(rig.outcome(job).written, 8);
    let next = rig.deliver(Audience::App(APP), live(App, 2), false);
    rig.settle();
    assert_eq!(rig.outcome(next).written, 0);
}

#[test]
fn what_is_recalled_before_it_is_sent_leaves_no_trace() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, conn) = rig.member("alice");
    rig.net.set_room(peer, 0);
    rig.unicast(conn, live(Own, 1));
    rig.settle();
    rig.tell(sync_start(conn));
    rig.settle();
    let message = kept(Own, 2);
    let job = rig.deliver(Audience::Connections(vec![conn]), message.clone(), true);
    // Nobody knows who has it, so nobody is told.
    rig.recall(&message, Audience::Connections(Vec::new()));
    rig.sync_done(conn, &[(Own, 2)]);
    rig.net.set_room(peer, usize::MAX);
    rig.settle();
    assert_eq!(rig.outcome(job).recalled, 1);
    assert_eq!(rig.frames(peer), [Got::Push(Own, 1), Got::Synced]);
}

#[test]
fn who_leaves_does_not_claim_what_waited_before_one_that_expired() {
    let mut rig = Rig::new(slices_of_four());
    let members = rig.members(20);
    let expires_at_ms = (rig.unix_ms() + 500) as i64;
    let message = Message { expires_at_ms, ..kept(App, 2) };
    rig.deliver(Audience::App(APP), kept(App, 1), false);
    let late = rig.deliver(Audience::App(APP), message, false);
    rig.turn();
    rig.pass_one_tick();
    rig.pass_one_tick();
    // The second leaves the pass before the first has come to the last member.
    rig.turn();
    rig.net.hang_up(members[19].0, 0);
    rig.turn();
    let [closed] = &rig.closed()[..] else { panic!("closed once") };
    assert_eq!((&closed.through[..], &closed.unwritten_from[..]), (&[][..], &[][..]));
    rig.settle();
    assert!(rig.outcome(late).expired > 0);
    rig.net.hang_up(members[18].0, 0);
    rig.settle();
    assert_eq!(rig.closed()[0].through, [Position { channel: App as i32, seq: 1 }]);
}
