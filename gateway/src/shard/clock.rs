//! The time, as the shard is told it: tests and simulation tell it another.

/// Both clocks that a shard reads.
pub trait Clock {
    /// Milliseconds that never go back: deadlines.
    fn monotonic_ms(&self) -> u64;
    /// Milliseconds since 1970: expiry of messages and tokens.
    fn unix_ms(&self) -> u64;
}

/// The kernel's.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn monotonic_ms(&self) -> u64 {
        gpusher_sys::clock::monotonic_ms()
    }

    fn unix_ms(&self) -> u64 {
        gpusher_sys::clock::unix_ms()
    }
}

/// The two clocks, read together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) monotonic_ms: u64,
    pub(crate) unix_ms: u64,
}

impl Now {
    pub(crate) fn read(clock: &impl Clock) -> Self {
        Self { monotonic_ms: clock.monotonic_ms(), unix_ms: clock.unix_ms() }
    }

    /// Deadlines are looked at this often; times kept per connection are counted in it.
    pub(crate) const TICK_MS: u64 = 250;

    /// Fine enough to say which of two connections came first.
    const MOMENT_MS: u64 = 16;

    /// Number of the present moment, for logins; wraps after two years.
    pub(crate) fn moment(self) -> u32 {
        (self.monotonic_ms / Self::MOMENT_MS) as u32
    }

    /// Unix time of an earlier moment, in milliseconds.
    pub(crate) fn unix_ms_of(self, moment: u32) -> i64 {
        let ago_ms = u64::from(self.moment().wrapping_sub(moment)) * Self::MOMENT_MS;
        i64::try_from(self.unix_ms.saturating_sub(ago_ms)).unwrap_or(i64::MAX)
    }

    /// Number of the present tick; wraps after 34 years.
    pub(crate) fn tick(self) -> u32 {
        (self.monotonic_ms / Self::TICK_MS) as u32
    }
}
