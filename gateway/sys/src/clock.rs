//! Clocks: the two a shard reads, and the one measurements need.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since boot, not counting suspension; never goes back. For deadlines. A few
/// nanoseconds: no system call.
#[must_use]
pub fn monotonic_ms() -> u64 {
    read(libc::CLOCK_MONOTONIC) / 1_000_000
}

/// Nanoseconds of CPU time that the calling thread has used, in user and kernel mode.
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Nanoseconds.
fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is live and of the type that the call fills in.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert!(result == 0, "every Linux has this clock");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
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
    fn clocks_run_forward() {
        let (monotonic, unix, cpu) = (monotonic_ms(), unix_ms(), thread_cpu_ns());
        assert!(thread_cpu_ns() > cpu);
        assert!(monotonic_ms() >= monotonic);
        assert!(unix > 1_700_000_000_000);
    }
}
