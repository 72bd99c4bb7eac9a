//! The time, which passes when the simulation says so.

use gpusher_control::logic::core::Now;
use gpusher_gateway::shard::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// Where time begins. Some part of a year, so that nothing relies on zero.
const BEGIN_MONOTONIC_MS: u64 = 1_000_000;
/// Of the wall clock, to the monotonic one.
const UNIX_OFFSET_MS: i64 = 1_800_000_000_000;

/// One clock for all processes. They agree on the time: a gateway's and logic's wall clocks may differ in life, and expiry is then as good as
/// they agree. The wall clock may be set, and then says something else to all of them.
#[derive(Debug, Clone)]
pub struct SimClock(Arc<Hands>);

#[derive(Debug)]
struct Hands {
    monotonic_ms: AtomicU64,
    offset_ms: AtomicI64,
    /// The latest that the wall clock has shown.
    latest_ms: AtomicI64,
}

impl Default for SimClock {
    fn default() -> Self {
        let clock = Self(Arc::new(Hands {
            monotonic_ms: AtomicU64::new(BEGIN_MONOTONIC_MS),
            offset_ms: AtomicI64::new(UNIX_OFFSET_MS),
            latest_ms: AtomicI64::new(0),
        }));
        clock.set_back_ms(0);
        clock
    }
}

impl SimClock {
    /// Lets time pass.
    pub fn advance(&self, ms: u64) {
        self.0.monotonic_ms.fetch_add(ms, Relaxed);
        self.0.latest_ms.fetch_max(self.unix(), Relaxed);
    }

    /// Somebody sets the wall clock back, or, by a negative number, forward.
    pub fn set_back_ms(&self, ms: i64) {
        self.0.offset_ms.fetch_sub(ms, Relaxed);
        self.0.latest_ms.fetch_max(self.unix(), Relaxed);
    }

    /// The latest Unix time that it has shown: what had expired by then may be gone.
    pub fn latest_unix(&self) -> i64 {
        self.0.latest_ms.load(Relaxed)
    }

    /// Milliseconds since some beginning.
    pub fn ms(&self) -> u64 {
        self.0.monotonic_ms.load(Relaxed)
    }

    /// The same as Unix time.
    pub fn unix(&self) -> i64 {
        self.ms() as i64 + self.0.offset_ms.load(Relaxed)
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
        self.unix() as u64
    }
}
