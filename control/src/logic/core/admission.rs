//! How many logins a second are taken, and when the others may come back.
//!
//! A gateway that ends sends a million clients away at once, and they come back at once. Those above the rate get times of return one after the
//! other, at the same rate: who comes at its time finds its place free, and nobody tries again and again.

/// Of a rate, so much may come at once.
const BURST_MS: u64 = 1_000;
/// Times of return begin this much later: a client needs a moment to go and come.
const RETURN_MS_MIN: u64 = 1_000;
/// No client is sent away for longer than this: the line is that long, and who is told the end of it may find more before it.
const RETURN_MS_MAX: u64 = 600_000;
/// Thousandths of a millisecond: a rate of a million is one each.
const MICROS: u64 = 1_000;

/// A rate of logins. Time is the caller's.
#[derive(Debug)]
pub struct Admission {
    /// Between two logins; none: no limit.
    interval_us: Option<u64>,
    /// When the place of the next login would be, if they came evenly.
    next_us: u64,
    /// The last time of return given out.
    last_return_us: u64,
}

impl Admission {
    /// So many logins a second; 0: as many as come.
    pub fn new(logins_per_s: u32) -> Self {
        let interval_us = (1_000 * MICROS).checked_div(logins_per_s.into()).map(|us| us.max(1));
        Self { interval_us, next_us: 0, last_return_us: 0 }
    }

    /// Takes a login.
    ///
    /// # Errors
    /// The time in ms after which the client may come back.
    pub fn take(&mut self, now_ms: u64) -> Result<(), u32> {
        let Some(interval_us) = self.interval_us else { return Ok(()) };
        let now_us = now_ms * MICROS;
        if self.next_us <= now_us + BURST_MS * MICROS {
            self.next_us = self.next_us.max(now_us) + interval_us;
            return Ok(());
        }
        let earliest_us = now_us + RETURN_MS_MIN * MICROS;
        let latest_us = now_us + RETURN_MS_MAX * MICROS;
        self.last_return_us = (self.last_return_us + interval_us).clamp(earliest_us, latest_us);
        Err(u32::try_from((self.last_return_us - now_us) / MICROS).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_at_once_come_back_at_the_rate() {
        const RATE: u32 = 20_000;
        let mut admission = Admission::new(RATE);
        let mut waiting: Vec<u64> = vec![5; 1_000_000];
        let (mut taken_per_s, mut refusals) = (Vec::new(), 0);
        while !waiting.is_empty() {
            waiting.sort_unstable();
            waiting = waiting
                .into_iter()
                .filter_map(|at_ms| {
                    let second = (at_ms / 1_000) as usize;
                    taken_per_s.resize(taken_per_s.len().max(second + 1), 0);
                    match admission.take(at_ms) {
                        Ok(()) => {
                            taken_per_s[second] += 1;
                            None
                        }
                        Err(after_ms) => {
                            refusals += 1;
                            Some(at_ms + u64::from(after_ms))
                        }
                    }
                })
                .collect();
        }
        assert_eq!(taken_per_s.iter().sum::<u32>(), 1_000_000);
        assert!(taken_per_s.iter().all(|&taken| taken <= 2 * RATE + 1), "{taken_per_s:?}");
        assert!(refusals < 1_010_000, "each is sent away about once: {refusals}");
        assert!(taken_per_s.len() <= 53, "without a pause: {} s", taken_per_s.len());
    }

    #[test]
    fn who_comes_at_a_lower_rate_is_never_refused() {
        let mut admission = Admission::new(100);
        assert!((0..10_000).all(|n| admission.take(n * 10) == Ok(())));
        let mut unlimited = Admission::new(0);
        assert!((0..1_000_000).all(|_| unlimited.take(0) == Ok(())));
    }

    #[test]
    fn a_time_of_return_is_bounded() {
        let mut admission = Admission::new(1);
        let longest = (0..10_000).filter_map(|_| admission.take(0).err()).max();
        assert_eq!(u64::from(longest.unwrap()), RETURN_MS_MAX);
    }
}
