//! What the gateway says of its load: every second, sooner when the number of connections moves.

use crate::metrics::{ShardCount, ShardCounts};
use gpusher_proto::gateway::Load;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between reports when little changes, and when much does.
const EVERY: Duration = Duration::from_secs(1);
const SOONEST: Duration = Duration::from_millis(200);

/// Connections more or less, as a share of those there were, that make a report due sooner; at least [`MUCH_MIN`].
const MUCH_DIVISOR: u64 = 20;
const MUCH_MIN: u64 = 100;

/// Sums over shards, and when they were last reported.
#[derive(Debug)]
pub(crate) struct LoadReport {
    shards: Vec<Arc<ShardCounts>>,
    connections_max: u64,
    reported: Load,
    reported_at: Instant,
}

impl LoadReport {
    pub(crate) fn new(shards: Vec<Arc<ShardCounts>>, connections_max: u64, now: Instant) -> Self {
        Self { shards, connections_max, reported: Load::default(), reported_at: now }
    }

    /// The load, if it is due.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Load> {
        let waited = now.duration_since(self.reported_at);
        if waited < SOONEST {
            return None;
        }
        let load = self.sum();
        let moved = load.connections.abs_diff(self.reported.connections);
        let much = moved >= MUCH_MIN.max(self.reported.connections / MUCH_DIVISOR);
        (much || waited >= EVERY).then(|| {
            self.reported = load;
            self.reported_at = now;
            load
        })
    }

    fn sum(&self) -> Load {
        let sum = |what| self.shards.iter().map(|shard| shard.get(what)).sum();
        let dropped = [
            ShardCount::DroppedExpired,
            ShardCount::DroppedRecalled,
            ShardCount::DroppedOverflow,
            ShardCount::DroppedClosed,
        ];
        Load {
            connections: sum(ShardCount::Connections),
            connections_max: self.connections_max,
            logins: sum(ShardCount::Logins),
            messages_written: sum(ShardCount::MessagesWritten),
            bytes_written: sum(ShardCount::BytesWritten),
            dropped: dropped.into_iter().map(sum).sum(),
            memory_bytes: sum(ShardCount::MemoryBytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_change_is_reported_sooner() {
        let start = Instant::now();
        let shard = Arc::new(ShardCounts::default());
        let mut report = LoadReport::new(vec![Arc::clone(&shard)], 1000, start);
        assert_eq!(report.poll(start + SOONEST), None);
        shard.set(ShardCount::Connections, MUCH_MIN);
        shard.add(ShardCount::DroppedOverflow, 2);
        let load = report.poll(start + SOONEST).unwrap();
        assert_eq!((load.connections, load.connections_max, load.dropped), (100, 1000, 2));
        assert_eq!(report.poll(start + SOONEST * 2), None);
        assert!(report.poll(start + SOONEST + EVERY).is_some());
    }
}
