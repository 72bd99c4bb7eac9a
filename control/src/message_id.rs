//! Message ids: unique without asking anybody, and in the order of time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

const NODE_BITS: u32 = 10;
const COUNT_BITS: u32 = 12;
/// 2025-01-01, Unix milliseconds: 41 bits reach the year 2094.
const BEGIN_MS: u64 = 1_735_689_600_000;

/// Gives ids of 63 bits: milliseconds (41), node (10), count within the millisecond (12). A clock that is set back, or more
/// than 4,096 ids in a millisecond, borrow from the future; ids stay unique and increasing while the process runs.
#[derive(Debug)]
pub struct MessageIds {
    node: u64,
    /// Unix milliseconds.
    clock: fn() -> u64,
    /// Milliseconds and count of the last id.
    last: AtomicU64,
}

impl MessageIds {
    /// Nodes are numbered below this. Two processes that give ids at the same time need different nodes.
    pub const NODES_MAX: u32 = 1 << NODE_BITS;

    /// Ids of a node; its number is taken modulo [`Self::NODES_MAX`].
    pub fn new(node: u32) -> Self {
        Self::with_clock(node, || {
            let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            since_epoch.as_millis() as u64
        })
    }

    /// The same by another clock, which tells Unix milliseconds.
    pub fn with_clock(node: u32, clock: fn() -> u64) -> Self {
        Self { node: u64::from(node % Self::NODES_MAX), clock, last: AtomicU64::new(0) }
    }

    /// The next id; never 0.
    pub fn next(&self) -> u64 {
        let now_ms = (self.clock)().saturating_sub(BEGIN_MS).max(1);
        let at = now_ms << COUNT_BITS;
        let step = |last: u64| at.max(last + 1);
        let last = self.last.fetch_update(Relaxed, Relaxed, |last| Some(step(last)));
        let tick = step(last.unwrap_or_else(|last| last));
        let (ms, count) = (tick >> COUNT_BITS, tick & ((1 << COUNT_BITS) - 1));
        ms << (NODE_BITS + COUNT_BITS) | self.node << COUNT_BITS | count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_increase_and_nodes_do_not_meet() {
        let (one, two) = (MessageIds::new(1), MessageIds::new(2));
        let mut ids: Vec<u64> = (0..10_000).map(|_| one.next()).collect();
        assert!(ids.is_sorted_by(|left, right| left < right));
        ids.extend((0..10_000).map(|_| two.next()));
        ids.sort_unstable();
        assert!(ids.is_sorted_by(|left, right| left < right) && ids[0] > 0);
        assert!(ids[ids.len() - 1] < 1 << 63);
    }
}
