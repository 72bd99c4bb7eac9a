//! An even rate: how many of something are due by now, and when the next one is.

/// Times are nanoseconds of the run's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    start_ns: u64,
    per_s: f64,
    count: u64,
    done: u64,
}

impl Pace {
    /// `count` of them from `start_ns` on. An infinite rate: all at once.
    pub(crate) fn new(start_ns: u64, per_s: f64, count: u64) -> Self {
        assert!(per_s > 0.0, "the rate must be positive");
        Self { start_ns, per_s, count, done: 0 }
    }

    /// Nothing is ever due.
    pub(crate) fn never() -> Self {
        Self::new(0, 1.0, 0)
    }

    /// Due and not done.
    pub(crate) fn due(&self, now_ns: u64) -> u64 {
        if now_ns < self.start_ns {
            return 0;
        }
        let due = 1.0 + (now_ns - self.start_ns) as f64 * self.per_s / 1e9;
        (due.min(self.count as f64) as u64).saturating_sub(self.done)
    }

    /// One more is done; returns when it was due.
    pub(crate) fn take(&mut self) -> u64 {
        let due_ns = self.due_ns(self.done);
        self.done += 1;
        due_ns
    }

    /// When the next one is due; none if all are done.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        (self.done < self.count).then(|| self.due_ns(self.done))
    }

    /// How many were taken.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    fn due_ns(&self, number: u64) -> u64 {
        self.start_ns + (number as f64 * 1e9 / self.per_s) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_due_at_its_time() {
        let mut pace = Pace::new(5_000, 1e6, 3);
        assert_eq!(
            [0, 4_999, 5_000, 5_999, 6_000, 99_000].map(|ns| pace.due(ns)),
            [0, 0, 1, 1, 2, 3]
        );
        assert_eq!([pace.take(), pace.take()], [5_000, 6_000]);
        assert_eq!((pace.due(99_000), pace.next_ns()), (1, Some(7_000)));
        pace.take();
        assert_eq!((pace.due(99_000), pace.next_ns()), (0, None));
        assert_eq!(Pace::new(7, f64::INFINITY, 9).due(7), 9);
        assert_eq!(Pace::never().next_ns(), None);
    }
}
