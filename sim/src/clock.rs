//! The time, which passes when the simulation says so.

use gpusher_control::logic::core::Now;
use gpusher_gateway::shard::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Where time begins. Some part of a year, so that nothing relies on zero.
const BEGIN_MONOTONIC_MS: u64 = 1_000_000;
/// Of the wall clock, to the monotonic one.
const UNIX_OFFSET_MS: u64 = 1_800_000_000_000;

/// One clock for all processes. They agree on the time: a gateway's and logic's wall clocks may differ in life, and expiry is then as good as
/// they agree.
#[derive(Debug, Clone)]
pub struct SimClock(Arc<AtomicU64>);

impl Default for SimClock {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(BEGIN_MONOTONIC_MS)))
    }
}

impl SimClock {
    /// Lets time pass.
    pub fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Relaxed);
    }

    /// Milliseconds since some beginning.
    pub fn ms(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// The same as Unix time.
    pub fn unix(&self) -> i64 {
        (self.ms() + UNIX_OFFSET_MS) as i64
    }

    /// As logic wants it.
    pub fn now(&self) -> Now {
        Now { mono_ms: self.ms(), unix_ms: self.unix() }
    }
}

impl Clock for SimClock {
    fn monotonic_ms(&self) -> u64 {
        self.ms()
    }

    fn unix_ms(&self) -> u64 {
        self.ms() + UNIX_OFFSET_MS
    }
}
