//! Outbox entries by number, and what became of them.

// Each test file uses its part.
#![allow(dead_code)]

use bytes::Bytes;
use gpusher_proto::gateway::SlowPolicy;
use gpusher_proto::wire::{ChannelKind, Position};
use gpusher_session::{Class, Entry, Lane, Offered, Outbox, OutboxLimits, Removal};

/// Room for ten messages or a hundred bytes, and twenty bytes of control frames.
pub(crate) const LIMITS: OutboxLimits =
    OutboxLimits { bytes_max: 100, entries_max: 10, control_bytes_max: 20 };

pub(crate) const OLDEST: Class = Class::Live(SlowPolicy::DropOldest);
pub(crate) const NEWEST: Class = Class::Live(SlowPolicy::DropNewest);
pub(crate) const CLOSE: Class = Class::Live(SlowPolicy::Close);

/// An entry of that many bytes; the number is job, message id and, in the own channel, sequence.
pub(crate) fn entry(number: u64, class: Class, bytes: usize) -> Entry<u64> {
    Entry {
        frame: Bytes::from(vec![number as u8; bytes]),
        message_id: number,
        position: Position { kind: ChannelKind::Own, seq: number },
        class,
        expires_at_ms: 0,
        job: number,
    }
}

pub(crate) fn kept_of(kind: ChannelKind, seq: u64) -> Entry<u64> {
    Entry { position: Position { kind, seq }, ..entry(seq, Class::Kept, 10) }
}

/// Offers and tells what that pushed out.
pub(crate) fn offer(
    outbox: &mut Outbox<u64>,
    entry: Entry<u64>,
    lane: Lane,
) -> (Offered, Vec<(Removal, u64)>) {
    let mut removed = Vec::new();
    let offered =
        outbox.offer(entry, lane, &LIMITS, &mut |why, entry| removed.push((why, entry.job)));
    outbox.check_invariants();
    (offered, removed)
}

/// Queues what has room.
#[track_caller]
pub(crate) fn queue(outbox: &mut Outbox<u64>, entry: Entry<u64>, lane: Lane) {
    assert_eq!(offer(outbox, entry, lane), (Offered::Queued, vec![]));
}

/// Writes all that is ready to a socket that takes everything.
pub(crate) fn write_all(outbox: &mut Outbox<u64>) -> Vec<u64> {
    let mut written = Vec::new();
    while outbox.has_ready() {
        let bytes = outbox.pieces().map(|piece| piece.len()).sum();
        outbox.advance(bytes, &mut |entry| written.push(entry.job));
        outbox.check_invariants();
    }
    written
}
