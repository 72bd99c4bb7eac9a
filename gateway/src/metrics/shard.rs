//! Counters and gauges of one shard: written by its thread alone, read by anybody.

use super::catalogue::{Counts, bump, catalogue};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

catalogue! {
    /// One value per shard.
    pub enum ShardCount {
        /// Connections open, admitted or not.
        Connections = Gauge "connections",
        /// Connections admitted.
        Members = Gauge "members",
        /// Bytes of memory the shard's tables, outboxes and partial frames take.
        MemoryBytes = Gauge "memory_bytes",
        /// Bytes waiting in outboxes.
        OutboxBytes = Gauge "outbox_bytes",
        /// Bytes of frames received in part.
        PartialBytes = Gauge "partial_bytes",
        /// Fan-out jobs waiting or under way.
        JobsWaiting = Gauge "jobs_waiting",
        /// Connections accepted.
        Accepted = Counter "accepted",
        /// Connections closed at once because the shard was full.
        AcceptedOverLimit = Counter "accepted_over_limit",
        /// Times accepting failed (descriptors, memory).
        AcceptFailed = Counter "accept_failed",
        /// Connections closed.
        Closed = Counter "closed",
        /// Logins that passed the gateway's own checks.
        Logins = Counter "logins",
        /// Logins overtaken by a kept message of another logic, which is replayed to them.
        LoginsOvertaken = Counter "logins_overtaken",
        /// Logins admitted by the gateway alone because no logic was attached.
        LoginsAlone = Counter "logins_alone",
        /// Logins refused.
        LoginsRefused = Counter "logins_refused",
        /// Frames received.
        FramesReceived = Counter "frames_received",
        /// Bytes received.
        BytesReceived = Counter "bytes_received",
        /// Messages taken whole by sockets.
        MessagesWritten = Counter "messages_written",
        /// Bytes taken by sockets.
        BytesWritten = Counter "bytes_written",
        /// Messages put in outboxes.
        MessagesQueued = Counter "messages_queued",
        /// Messages not delivered because they had expired.
        DroppedExpired = Counter "dropped_expired",
        /// Messages not delivered because they were recalled.
        DroppedRecalled = Counter "dropped_recalled",
        /// Live messages dropped because an outbox was full.
        DroppedOverflow = Counter "dropped_overflow",
        /// Live messages lost with the connection in whose outbox they waited.
        DroppedClosed = Counter "dropped_closed",
        /// Times kept messages left a full outbox, to be replayed from their log.
        Spilled = Counter "spilled",
        /// Joins refused: the connection has as many topics as it may.
        JoinsRefused = Counter "joins_refused",
        /// Connections named by logic that are not there (any more).
        Absent = Counter "absent",
        /// Events of connections not reported because no logic was attached.
        EventsUnlinked = Counter "events_unlinked",
        /// Turns in which the link's queue was full.
        LinkFull = Counter "link_full",
    }
}

/// Codes of `proto/WIRE.md` section 4 are below this.
const CODES: usize = 512;

/// The values of one shard. Only its own thread writes.
#[derive(Debug)]
pub struct ShardCounts {
    counts: Counts<ShardCount>,
    closed_by_code: Box<[AtomicU64]>,
    driver: OnceLock<Box<[(&'static str, AtomicU64)]>>,
}

impl Default for ShardCounts {
    fn default() -> Self {
        let closed_by_code = (0..CODES).map(|_| AtomicU64::new(0)).collect();
        Self { counts: Counts::default(), closed_by_code, driver: OnceLock::new() }
    }
}

impl ShardCounts {
    /// Adds to a counter or gauge. Only for the shard's own thread.
    pub fn add(&self, what: ShardCount, amount: u64) {
        self.counts.add(what, amount);
    }

    /// Sets a gauge. Only for the shard's own thread.
    pub fn set(&self, what: ShardCount, amount: u64) {
        self.counts.set(what, amount);
    }

    /// The present value.
    pub fn get(&self, what: ShardCount) -> u64 {
        self.counts.get(what)
    }

    /// Counts a connection closed with this wire code (0: the peer left). Only for the shard's own thread.
    pub fn closed(&self, code: u16) {
        self.add(ShardCount::Closed, 1);
        bump(&self.closed_by_code[usize::from(code).min(CODES - 1)], 1);
    }

    /// Notes the driver's own counters; their names are always the same. Only for the shard's own thread.
    pub fn set_driver(&self, counters: &[(&'static str, u64)]) {
        let slots = self
            .driver
            .get_or_init(|| counters.iter().map(|&(name, _)| (name, AtomicU64::new(0))).collect());
        for ((_, slot), &(_, value)) in slots.iter().zip(counters) {
            slot.store(value, Relaxed);
        }
    }

    /// The driver's counters: limits of the kernel's side that were hit, and how much work it did.
    pub fn driver(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let slots = self.driver.get().map_or(&[][..], |slots| slots);
        slots.iter().map(|(name, value)| (*name, value.load(Relaxed)))
    }

    /// Wire codes that connections were closed with, and how many.
    pub fn closed_by_code(&self) -> impl Iterator<Item = (u16, u64)> {
        let counts = self.closed_by_code.iter().enumerate();
        counts
            .map(|(code, count)| (code as u16, count.load(Relaxed)))
            .filter(|&(_, count)| count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Catalogue;

    #[test]
    fn values_are_kept_apart() {
        let counts = ShardCounts::default();
        counts.add(ShardCount::Logins, 2);
        counts.add(ShardCount::Logins, 1);
        counts.set(ShardCount::Connections, 7);
        counts.closed(6);
        counts.closed(u16::MAX);
        assert_eq!(counts.get(ShardCount::Logins), 3);
        assert_eq!(counts.get(ShardCount::Connections), 7);
        assert_eq!(counts.get(ShardCount::Closed), 2);
        assert_eq!(counts.closed_by_code().collect::<Vec<_>>(), [(6, 1), (511, 1)]);
    }

    #[test]
    fn the_drivers_counters_are_replaced() {
        let counts = ShardCounts::default();
        assert_eq!(counts.driver().count(), 0);
        counts.set_driver(&[("a", 1), ("b", 2)]);
        counts.set_driver(&[("a", 3), ("b", 4)]);
        assert_eq!(counts.driver().collect::<Vec<_>>(), [("a", 3), ("b", 4)]);
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = ShardCount::ALL.iter().map(|count| count.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ShardCount::ALL.len());
    }
}
