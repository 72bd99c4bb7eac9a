//! The two clocks a shard reads.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since boot, not counting suspension; never goes back. For deadlines. A few
/// nanoseconds: no system call.
#[must_use]
pub fn monotonic_ms() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is live and of the type that the call fills in.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    assert!(result == 0, "every Linux has a monotonic clock");
    time.tv_sec as u64 * 1_000 + time.tv_nsec as u64 / 1_000_000
}

/// Milliseconds since 1970, as the host believes. For expiry times that other hosts set. 0 before
/// 1970.
#[must_use]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_run_forward() {
        let (monotonic, unix) = (monotonic_ms(), unix_ms());
        assert!(monotonic_ms() >= monotonic);
        assert!(unix > 1_700_000_000_000);
    }
}
