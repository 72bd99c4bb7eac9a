//! Other servers doing the same work, in the same run, in turn: A B A B. Medians and ratios count; single figures of a shared
//! machine do not.
//!
//! Each measurement is a process of its own, this same program with `--connect`: no run sees what another left behind.

mod arguments;
mod measurement;
mod system;
mod table;

pub use arguments::Arguments;
pub use measurement::Measurement;
pub use system::System;

use anyhow::Result;
use serde::Serialize;
use std::time::Duration;
use system::Started;

/// What came of a system.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Which one.
    pub system: System,
    /// What it says of its version.
    pub version: String,
    /// One for each round.
    pub rounds: Vec<Measurement>,
    /// Why there are fewer than were asked for, and what to do about it.
    pub missing: Option<String>,
}

/// Saturation should last about that long: long enough for a rate, short enough for many rounds.
const SATURATED: Duration = Duration::from_secs(3);

/// Runs all rounds, tells about progress on standard error, prints the table. What goes wrong with a system is in its outcome.
pub fn compare(arguments: &Arguments) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = arguments.systems().into_iter().map(Outcome::new).collect();
    // The first round is not counted: it tells how many messages a system can be offered in the time.
    let mut saturating = vec![arguments.first_saturating(); outcomes.len()];
    for round in 0..=arguments.rounds {
        for (outcome, saturating) in outcomes.iter_mut().zip(&mut saturating) {
            if outcome.missing.is_some() {
                continue;
            }
            eprintln!("round {round} of {}: {} ...", arguments.rounds, outcome.system.name());
            match measure(outcome, arguments, *saturating) {
                Err(error) => outcome.missing = Some(format!("{error:#}")),
                Ok(measurement) if round == 0 => {
                    *saturating = arguments.saturating(measurement.messages_per_s, SATURATED);
                }
                Ok(measurement) => outcome.rounds.push(measurement),
            }
        }
    }
    table::print(arguments, &outcomes);
    outcomes
}

fn measure(outcome: &mut Outcome, arguments: &Arguments, saturating: u32) -> Result<Measurement> {
    let started = Started::start(outcome.system, arguments)?;
    outcome.version.clone_from(&started.version);
    Measurement::take(&started, arguments, saturating)
}

impl Outcome {
    fn new(system: System) -> Self {
        Self { system, version: String::new(), rounds: Vec::new(), missing: None }
    }

    /// Whether gpusher kept its promises, if this is gpusher: every message arrived once and in order. The others promise less.
    pub fn passed(&self) -> bool {
        let kept = self.missing.is_none() && self.rounds.iter().all(Measurement::clean);
        self.system != System::Gpusher || kept
    }
}
