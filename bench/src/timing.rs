//! Times a closure: rounds of many calls each, the median round counts.

use crate::figure::{Figure, Unit};
use std::time::{Duration, Instant};

/// How a closure is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Wall time.
    Timed {
        /// Length of one round.
        round: Duration,
        /// Rounds.
        rounds: u32,
    },
    /// So many calls within [`counted`], for an observer that counts the instructions of that function. The figure's value is how often it was
    /// done.
    Counted {
        /// Calls.
        calls: u32,
    },
}

impl Effort {
    /// For people who want figures.
    pub const FULL: Self = Self::Timed { round: Duration::from_millis(200), rounds: 7 };
    /// For tests that want to know that it runs.
    pub const TOY: Self = Self::Timed { round: Duration::from_micros(200), rounds: 1 };

    /// `full`, or `toy` where one look is enough.
    pub fn pick<T>(self, full: T, toy: T) -> T {
        if self == Self::FULL { full } else { toy }
    }
}

/// Times `call`.
pub fn time(name: &str, effort: Effort, call: impl FnMut()) -> Figure {
    time_each(name, effort, 1, call)
}

/// Times a `call` that does something so many times.
pub fn time_each(name: &str, effort: Effort, times: u32, mut call: impl FnMut()) -> Figure {
    match effort {
        Effort::Timed { round, rounds } => {
            let calls = calls_per_round(round, &mut call);
            let round = |_| one_round(calls, &mut call) / f64::from(times);
            Figure::median(name, (0..rounds).map(round).collect(), Unit::Nanoseconds)
        }
        Effort::Counted { calls } => {
            // What happens once (lazy tables, growing buffers) is not part of it.
            call();
            counted(calls, &mut call);
            Figure::median(name, vec![f64::from(calls) * f64::from(times)], Unit::Instructions)
        }
    }
}

/// Calls it so often. An observer finds this function by its name.
#[inline(never)]
pub fn counted(calls: u32, call: &mut dyn FnMut()) {
    for _ in 0..calls {
        call();
    }
}

/// Nanoseconds for each call.
fn one_round(calls: u32, call: &mut impl FnMut()) -> f64 {
    let started = Instant::now();
    for _ in 0..calls {
        call();
    }
    started.elapsed().as_nanos() as f64 / f64::from(calls)
}

/// Doubles until a round is long enough; that also warms up.
fn calls_per_round(round: Duration, call: &mut impl FnMut()) -> u32 {
    let mut calls = 1;
    loop {
        let started = Instant::now();
        for _ in 0..calls {
            call();
        }
        if started.elapsed() >= round || calls >= 1 << 28 {
            return calls;
        }
        calls *= 2;
    }
}
