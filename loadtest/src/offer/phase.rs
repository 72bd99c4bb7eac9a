//! What is pushed to whom and when, and what came of it.

use crate::message::Stamp;
use crate::protocol::{Push, To};

/// Whom a phase pushes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// One client after the other, by index below the bound.
    Users(u32),
    /// Every client of the app.
    App,
    /// Every client of every app.
    Everyone,
    /// One topic after the other, by number below the bound.
    Topics(u32),
}

impl Audience {
    /// Receivers of a push, and its number among what they get: both count from 0.
    fn of(self, index: u32) -> (To, u32) {
        match self {
            Self::Users(users) => (To::User(index % users), index / users),
            Self::App => (To::App, index),
            Self::Everyone => (To::Everyone, index),
            Self::Topics(topics) => (To::Topic(index % topics), index / topics),
        }
    }
}

/// What is pushed.
#[derive(Debug, Clone)]
pub struct Phase {
    /// Number of the series, written into each push.
    pub series: u32,
    /// Who gets them.
    pub audience: Audience,
    /// Pushes a second; what is offered, whatever the answers do. Infinite: as fast as they are accepted.
    pub rate_per_s: f64,
    /// How many.
    pub count: u32,
    /// Bytes of content, at least.
    pub size: usize,
    /// Whether they are kept for who is not connected.
    pub kept: bool,
    /// Pushes that share a request. Such a request goes out when its last push is due.
    pub batch: u32,
    /// Connections that requests are spread over.
    pub lines: u32,
}

impl Phase {
    pub(super) fn push(&self, index: u32, intended_ns: u64) -> Push {
        let (to, number) = self.audience.of(index);
        let stamp = Stamp { series: self.series, number: number + 1, intended_ns };
        Push { to, stamp, size: self.size, kept: self.kept }
    }

    /// How many pushes should have been handed over that long after the start; whole batches only, but for the last.
    pub(super) fn due(&self, elapsed_ns: u64) -> u32 {
        if self.is_saturated() {
            return self.count;
        }
        let due = 1.0 + elapsed_ns as f64 * self.rate_per_s / 1e9;
        let due = due.min(f64::from(self.count)) as u32;
        if due == self.count { due } else { due - due % self.batch }
    }

    /// When a push is due after the start, if not at any time.
    pub(super) fn due_ns(&self, index: u32) -> Option<u64> {
        (!self.is_saturated()).then(|| (f64::from(index) * 1e9 / self.rate_per_s) as u64)
    }

    /// Time from one request to the next.
    pub(super) fn gap_ns(&self) -> u64 {
        (f64::from(self.batch) * 1e9 / self.rate_per_s) as u64
    }

    pub(super) fn is_saturated(&self) -> bool {
        self.rate_per_s.is_infinite()
    }
}

/// What came of a phase.
#[derive(Debug, Default, Clone, Copy)]
pub struct Offered {
    /// Pushes handed over.
    pub handed: u32,
    /// The first intended time, in nanoseconds of the run's clock.
    pub start_ns: u64,
    /// Pushes answered with success.
    pub accepted: u64,
    /// Pushes refused or failed.
    pub refused: u64,
    /// From the first intended time to the last answer, in nanoseconds.
    pub spent_ns: u64,
    /// Rate that was reached as a share of the one asked for, but for the time in which the server kept all lines busy: below
    /// 0.95 the generator was the bottleneck.
    pub offered_ratio: f64,
    /// Whether a rate was asked for.
    pub paced: bool,
    /// Time in which pushes were due and all lines waited for answers, in nanoseconds.
    pub busy_ns: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(rate_per_s: f64, batch: u32) -> Phase {
        Phase {
            series: 1,
            audience: Audience::Users(3),
            rate_per_s,
            count: 10,
            size: 0,
            kept: false,
            batch,
            lines: 1,
        }
    }

    #[test]
    fn pushes_are_due_at_their_time_and_batches_when_whole() {
        let single = phase(1_000.0, 1);
        assert_eq!([0, 999_999, 1_000_000, 60_000_000].map(|ns| single.due(ns)), [1, 1, 2, 10]);
        let batched = phase(1_000.0, 4);
        assert_eq!([0, 2_999_999, 3_000_000, 8_999_999].map(|ns| batched.due(ns)), [0, 0, 4, 8]);
        assert_eq!(batched.due(9_000_000), 10);
        assert_eq!(phase(f64::INFINITY, 4).due(0), 10);
    }

    #[test]
    fn each_receiver_counts_its_own() {
        let numbers = |index| {
            let push = phase(1.0, 1).push(index, 0);
            (push.to, push.stamp.number)
        };
        assert_eq!(numbers(2), (To::User(2), 1));
        assert_eq!(numbers(3), (To::User(0), 2));
    }
}
