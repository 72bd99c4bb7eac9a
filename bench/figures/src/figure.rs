//! One figure: what was measured, how much, of what.

use serde::{Deserialize, Serialize};

/// A figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What was measured; stays the same from run to run.
    pub name: String,
    /// How much: the median, where there are several rounds.
    pub value: f64,
    /// Of what.
    pub unit: Unit,
    /// Slowest round over fastest: near 1 on a quiet machine.
    pub spread: f64,
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Nanoseconds for each call or message.
    #[serde(rename = "ns")]
    Nanoseconds,
    /// Microseconds.
    #[serde(rename = "µs")]
    Microseconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Connections.
    #[serde(rename = "connections")]
    Connections,
    /// Instructions for each call, in user mode.
    #[serde(rename = "instructions")]
    Instructions,
    /// One cost over another.
    #[serde(rename = "×")]
    Ratio,
    /// Bytes for each connection.
    #[serde(rename = "B")]
    Bytes,
    /// Events a second.
    #[serde(rename = "/s")]
    PerSecond,
}

impl Figure {
    /// The median of several rounds.
    ///
    /// # Panics
    /// When there was no round.
    pub fn median(name: impl Into<String>, mut rounds: Vec<f64>, unit: Unit) -> Self {
        rounds.sort_by(f64::total_cmp);
        let (fastest, slowest) = (rounds[0], rounds[rounds.len() - 1]);
        let value = rounds[rounds.len() / 2];
        // What has not grown at all (memory of few connections) has no ratio.
        let spread = if fastest > 0.0 { slowest / fastest } else { 1.0 };
        Self { name: name.into(), value, unit, spread }
    }

    /// The same under the name of its group.
    pub fn within(self, group: &str) -> Self {
        Self { name: format!("{group}: {}", self.name), ..self }
    }
}

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Nanoseconds => "ns",
            Self::Microseconds => "µs",
            Self::Milliseconds => "ms",
            Self::Connections => "connections",
            Self::Instructions => "instructions",
            Self::Ratio => "×",
            Self::Bytes => "B",
            Self::PerSecond => "/s",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_round_counts() {
        let figure = Figure::median("a", vec![30.0, 10.0, 20.0], Unit::Nanoseconds);
        assert_eq!((figure.value, figure.spread), (20.0, 3.0));
        assert_eq!(figure.within("codec").name, "codec: a");
    }

    #[test]
    fn units_read_as_they_are_printed() {
        let costs = [Unit::Nanoseconds, Unit::Microseconds, Unit::Milliseconds, Unit::Instructions];
        let others = [Unit::Ratio, Unit::Bytes, Unit::PerSecond, Unit::Connections];
        for unit in costs.into_iter().chain(others) {
            let text = serde_json::to_value(unit).unwrap();
            assert_eq!(text, unit.to_string());
        }
    }
}
