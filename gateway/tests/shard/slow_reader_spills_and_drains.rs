//! A client that does not read gets more kept messages than its outbox takes; the others are not delayed. When it reads, logic hears from
//! where to replay, and the client gets everything in order and once on the same connection.

use crate::harness::{Client, Got, Harness, message, on_every_driver};
use gpusher_gateway::mail::Audience;
use gpusher_proto::gateway::ChannelKind::Own;
use gpusher_proto::gateway::event::Kind;

const MESSAGES: u64 = 2_000;

fn nothing_is_lost(harness: &mut Harness) {
    let mut slow = harness.member("slow");
    let mut quick = harness.member("quick");
    let mut overflowed = 0;
    for seq in 1..=MESSAGES {
        for client in [&slow, &quick] {
            let audience = Audience::Connections(vec![client.conn]);
            let job = harness.deliver(audience, message(Own, seq, true), false);
            overflowed += harness.outcome(job).overflowed;
        }
        assert_eq!(harness.next(&mut quick), Got::Push(Own, seq));
    }
    assert!(overflowed > 0, "two megabytes are more than buffers and outbox take");

    let mut received = 0;
    let (from, gap) = drained_from(harness, &mut slow, &mut received);
    for seq in from..=MESSAGES {
        let audience = Audience::Connections(vec![slow.conn]);
        let job = harness.deliver(audience, message(Own, seq, true), true);
        assert_eq!(harness.outcome(job).overflowed, 0);
        while received < seq {
            read(harness, &mut slow, &mut received);
        }
    }
    harness.sync_done(slow.conn, MESSAGES, gap);
    assert_eq!(harness.next(&mut slow), Got::Synced);
    let audience = Audience::Connections(vec![slow.conn]);
    harness.deliver(audience, message(Own, MESSAGES + 1, true), false);
    assert_eq!(harness.next(&mut slow), Got::Push(Own, MESSAGES + 1));
}

/// Reads until the shard says from where to replay, and names the gap.
fn drained_from(harness: &mut Harness, slow: &mut Client, received: &mut u64) -> (u64, u32) {
    loop {
        read(harness, slow, received);
        let spilled = |event: &Kind| match event {
            Kind::Drained(drained) => drained.spilled_from.first().map(|it| (it.seq, drained.gap)),
            _ => None,
        };
        if let Some((from, gap)) = harness.take_event(spilled) {
            assert_eq!(from, *received + 1, "the gap begins where the client is");
            return (from, gap);
        }
    }
}

/// One turn, and what the slow client gets.
fn read(harness: &mut Harness, slow: &mut Client, received: &mut u64) {
    harness.turn();
    while let Some(got) = slow.try_next() {
        assert_eq!(got, Got::Push(Own, *received + 1));
        *received += 1;
    }
}

on_every_driver!(nothing_is_lost);
