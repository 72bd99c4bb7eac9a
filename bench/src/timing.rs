//! Times a closure: rounds of many calls each, the median round counts.

use serde::Serialize;
use std::time::{Duration, Instant};

/// How long to measure for.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Length of one round.
    pub round: Duration,
    /// Rounds.
    pub rounds: u32,
}

impl Effort {
    /// For people who want figures.
    pub const FULL: Self = Self { round: Duration::from_millis(200), rounds: 7 };
    /// For tests that want to know that it runs.
    pub const TOY: Self = Self { round: Duration::from_micros(200), rounds: 1 };
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// What was timed.
    pub name: String,
    /// Median over the rounds, in nanoseconds for each call.
    pub median_ns: f64,
    /// Slowest round over fastest: near 1 on a quiet machine.
    pub spread: f64,
}

/// Times `call`.
pub fn time(name: &str, effort: Effort, mut call: impl FnMut()) -> Figure {
    let calls = calls_per_round(effort.round, &mut call);
    let mut rounds_ns: Vec<f64> = (0..effort.rounds)
        .map(|_| {
            let started = Instant::now();
            for _ in 0..calls {
                call();
            }
            started.elapsed().as_nanos() as f64 / f64::from(calls)
        })
        .collect();
    rounds_ns.sort_by(f64::total_cmp);
    let (fastest, slowest) = (rounds_ns[0], rounds_ns[rounds_ns.len() - 1]);
    Figure {
        name: name.to_owned(),
        median_ns: rounds_ns[rounds_ns.len() / 2],
        spread: slowest / fastest,
    }
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
