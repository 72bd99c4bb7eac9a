//! A client that does not read delays nobody, costs what its outbox may hold, and is closed when it has not read for too long.

use super::rig::*;
use crate::mail::Audience;
use crate::metrics::ShardCount;
use crate::shard::ShardConfig;
use gpusher_proto::gateway::{Message, SlowPolicy};
use gpusher_proto::wire::ChannelKind::{App, Own};
use gpusher_proto::wire::Code;
use gpusher_session::OutboxLimits;

#[test]
fn the_others_get_everything_at_once() {
    let mut rig = Rig::new(ShardConfig::default());
    let members = rig.members(10);
    let (slow, _) = members[4];
    rig.net.set_room(slow, 0);
    for seq in 1..=100 {
        let job = rig.deliver(Audience::App(APP), live(App, seq), false);
        rig.settle();
        let outcome = rig.outcome(job);
        assert_eq!((outcome.written, outcome.queued), (9, 1));
    }
    for &(peer, _) in members.iter().filter(|&&(peer, _)| peer != slow) {
        assert_eq!(rig.seqs(peer), (1..=100).collect::<Vec<_>>());
    }
    rig.net.set_room(slow, usize::MAX);
    rig.settle();
    assert_eq!(rig.seqs(slow), (1..=100).collect::<Vec<_>>());
    assert_eq!(rig.count(ShardCount::OutboxBytes), 0, "the outbox is gone");
}

#[test]
fn partial_writes_of_any_size_arrive_whole_and_in_order() {
    for room in [1, 7, 20, 33, 64, 200] {
        let mut rig = Rig::new(ShardConfig::default());
        let (peer, conn) = rig.member("slow");
        let mut received = Vec::new();
        for seq in 1..=20 {
            rig.unicast(conn, live(Own, seq));
            if seq % 3 == 0 {
                rig.net.set_room(peer, room);
                rig.settle();
            }
        }
        for _ in 0..2_000 {
            rig.net.set_room(peer, room);
            rig.settle();
            received.extend(rig.net.take_received(peer));
        }
        let whole: Vec<u8> = (1..=20)
            .flat_map(|seq| {
                let push = gpusher_proto::wire::EncodedPush::new(live(Own, seq));
                push.frame(gpusher_proto::wire::Encoding::V1).to_vec()
            })
            .collect();
        assert!(received == whole, "room {room}");
    }
}

#[test]
fn live_messages_beyond_the_limit_go_by_policy_and_are_counted() {
    let outbox = OutboxLimits { entries_max: 3, ..OutboxLimits::default() };
    let config = ShardConfig { outbox, ..ShardConfig::default() };
    let run = |slow: SlowPolicy| {
        let mut rig = Rig::new(config.clone());
        let (peer, conn) = rig.member("slow");
        rig.net.set_room(peer, 0);
        for seq in 1..=5 {
            rig.unicast(conn, Message { slow: slow as i32, ..live(Own, seq) });
            rig.settle();
        }
        rig.net.set_room(peer, usize::MAX);
        rig.settle();
        (rig.seqs(peer), rig.count(ShardCount::DroppedOverflow), rig.net.is_closed(peer))
    };
    assert_eq!(run(SlowPolicy::DropOldest), (vec![3, 4, 5], 2, false));
    assert_eq!(run(SlowPolicy::DropNewest), (vec![1, 2, 3], 2, false));
    let (_, _, closed) = run(SlowPolicy::Close);
    assert!(closed);
}

#[test]
fn who_does_not_read_for_too_long_is_closed() {
    let config = ShardConfig { outbox_age_ms_max: 5_000, ..ShardConfig::default() };
    let mut rig = Rig::new(config);
    let (slow, conn) = rig.member("slow");
    let (quick, _) = rig.member("quick");
    rig.net.set_room(slow, 0);
    rig.unicast(conn, live(Own, 1));
    rig.pass_ms(5_000);
    assert!(!rig.net.is_closed(slow));
    rig.pass_ms(500);
    assert!(rig.net.is_closed(slow) && !rig.net.is_closed(quick));
    assert_eq!(rig.closed()[0].reason, u32::from(Code::SlowConsumer.number()));
}

#[test]
fn a_client_that_asks_without_reading_the_answers_is_closed() {
    let mut rig = Rig::new(ShardConfig::default());
    let (peer, _) = rig.member("slow");
    rig.net.set_room(peer, 0);
    for _ in 0..60 {
        for _ in 0..100 {
            rig.say(peer, HEARTBEAT);
        }
        rig.pass_ms(1_000);
    }
    assert!(rig.net.is_closed(peer));
    assert_eq!(rig.closed()[0].reason, u32::from(Code::SlowConsumer.number()));
}

#[test]
fn all_outboxes_together_are_bounded() {
    let config = ShardConfig { outbox_bytes_max: 100_000, ..ShardConfig::default() };
    let mut rig = Rig::new(config);
    let members = rig.members(50);
    for &(peer, _) in &members {
        rig.net.set_room(peer, 0);
    }
    for seq in 1..=200 {
        rig.deliver(Audience::App(APP), live(App, seq), false);
        rig.settle();
    }
    // A frame and its bookkeeping more than the limit, at most one for each connection.
    assert!(rig.count(ShardCount::OutboxBytes) < 200_000, "{}", rig.count(ShardCount::OutboxBytes));
    assert!(rig.count(ShardCount::DroppedOverflow) > 0);
}
