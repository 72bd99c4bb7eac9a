//! A token bucket in six bytes: every connection has one.

/// The generic cell rate algorithm: instead of tokens and the time they were counted at, one time, at which the bucket would be full again.
///
/// Units of 1/64 ms in 48 bits hold milliseconds since 1970 until the year 2109.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RateLimit([u8; 6]);

const UNITS_PER_MS: u64 = 64;

impl RateLimit {
    /// A full bucket.
    pub(crate) const NEW: Self = Self([0; 6]);

    /// Takes a token if there is one. `per_second` 0 means no limit. Time may not go backwards by more than the bucket is worth.
    pub(crate) fn try_take(&mut self, now_ms: u64, per_second: u32, burst: u32) -> bool {
        if per_second == 0 {
            return true;
        }
        let now = now_ms * UNITS_PER_MS;
        let interval = (1000 * UNITS_PER_MS / u64::from(per_second)).max(1);
        let full_at = self.full_at().max(now) + interval;
        if full_at - now > interval * u64::from(burst.max(1)) {
            return false;
        }
        self.0.copy_from_slice(&full_at.to_be_bytes()[2..]);
        true
    }

    fn full_at(self) -> u64 {
        self.0.iter().fold(0, |units, byte| units << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bucket: &mut RateLimit, now_ms: u64) -> u32 {
        (0..1000).take_while(|_| bucket.try_take(now_ms, 100, 200)).count() as u32
    }

    #[test]
    fn burst_then_rate() {
        for start_ms in [0, 1, 1_800_000_000_000] {
            let mut bucket = RateLimit::NEW;
            assert_eq!(taken(&mut bucket, start_ms), 200, "a fresh bucket is full");
            assert_eq!(taken(&mut bucket, start_ms + 9), 0);
            assert_eq!(taken(&mut bucket, start_ms + 10), 1);
            assert_eq!(taken(&mut bucket, start_ms + 1010), 100);
            assert_eq!(taken(&mut bucket, start_ms + 1_000_000), 200, "never more than the burst");
        }
    }

    #[test]
    fn a_steady_sender_at_the_rate_is_never_refused() {
        let mut bucket = RateLimit::NEW;
        for turn in 0..100_000u64 {
            assert!(bucket.try_take(turn * 10, 100, 1), "{turn}");
        }
        assert!(!bucket.try_take(999_990, 100, 1));
    }

    #[test]
    fn none_means_none() {
        let mut bucket = RateLimit::NEW;
        assert!((0..10_000).all(|_| bucket.try_take(5, 0, 0)));
    }
}
