//! The dates of logins.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Where the wall clock is set back by more, logic takes a device's earlier connections for those of a clock that was ahead.
const BACK_MS_MAX: u64 = 60_000;

/// When connections logged in, for all shards of a gateway. Of two connections of a device the one with the later date stays, or else the one that comes later; so no
/// date is before one that was given, although the clock be set back.
#[derive(Debug, Default)]
pub struct LoginDates(AtomicU64);

impl LoginDates {
    /// The date of a login at this time, in Unix milliseconds.
    pub(crate) fn date(&self, unix_ms: u64) -> u64 {
        let next = |last: u64| match last.saturating_sub(unix_ms) {
            0..=BACK_MS_MAX => last.max(unix_ms),
            _ => unix_ms,
        };
        let (Ok(last) | Err(last)) = self.0.fetch_update(Relaxed, Relaxed, |last| Some(next(last)));
        next(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_stand_still_while_a_clock_that_was_set_back_catches_up() {
        let dates = LoginDates::default();
        assert_eq!(dates.date(500_000), 500_000);
        assert_eq!(
            [495_000, 440_000, 500_001].map(|at| dates.date(at)),
            [500_000, 500_000, 500_001]
        );
    }

    #[test]
    fn a_clock_that_is_set_back_far_is_followed() {
        let dates = LoginDates::default();
        let times = [500_000, 439_999, 440_000];
        assert_eq!(times.map(|at| dates.date(at)), times);
    }
}
