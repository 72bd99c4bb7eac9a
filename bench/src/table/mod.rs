//! The published comparison: which programs are run, and which figures of theirs make the table of `docs/PERFORMANCE.md`. What they are is said in
//! `table.toml`; a figure is one row there.

mod find;
mod markdown;
mod perform;

pub use markdown::markdown;
pub use perform::{Outcome, perform};

use crate::figure::{Figure, Unit};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeSet;

/// The table that is published.
pub const PUBLISHED: &str = include_str!("table.toml");

/// Runs, and rows that are read from what they leave behind.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// In the order in which they are done.
    #[serde(rename = "run")]
    pub runs: Vec<RunSpec>,
    /// In the order of the table.
    #[serde(rename = "row")]
    pub rows: Vec<Row>,
}

/// A program to run.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// Rows refer to it by this.
    pub name: String,
    /// Program and arguments. `{bin}` is the folder of the binaries, `{json}` the file that it must leave its report in.
    pub command: Vec<String>,
    /// It is stopped after so many seconds.
    pub seconds_max: u64,
    /// Only in the long variant.
    #[serde(default)]
    pub long: bool,
}

/// A figure.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What is measured, in words.
    pub what: String,
    /// Of which run.
    pub run: String,
    /// Where it is in the run's JSON: keys, indices, or parts of an element's name, with `/` between them.
    pub path: String,
    /// Multiplied with what is found there; to get from nanoseconds to microseconds, say.
    #[serde(default = "one")]
    pub scale: f64,
    /// After scaling.
    pub unit: Unit,
    /// What it must reach; none: it is printed for what it is.
    pub reach: Option<f64>,
    /// Which way is better.
    #[serde(default)]
    pub better: Better,
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Costs.
    #[default]
    Lower,
    /// Rates.
    Higher,
}

fn one() -> f64 {
    1.0
}

impl Spec {
    /// Reads a table's description; of the long runs only if they are wanted.
    ///
    /// # Errors
    /// When it is not TOML of this shape, or rows and runs do not fit together.
    pub fn parse(text: &str, long: bool) -> Result<Self> {
        let mut spec: Self = toml::from_str(text).context("not a description of a table")?;
        let names: BTreeSet<_> = spec.runs.iter().map(|run| run.name.clone()).collect();
        ensure!(names.len() == spec.runs.len(), "two runs of one name");
        for row in &spec.rows {
            ensure!(names.contains(&row.run), "row {:?} is of no run: {:?}", row.what, row.run);
        }
        for run in &spec.runs {
            let used = spec.rows.iter().any(|row| row.run == run.name);
            ensure!(used, "no row is of run {:?}", run.name);
            let leaves = run.command.iter().any(|word| word.contains("{json}"));
            ensure!(leaves, "run {:?} leaves no JSON", run.name);
        }
        spec.runs.retain(|run| long || !run.long);
        let kept: BTreeSet<_> = spec.runs.iter().map(|run| &run.name).collect();
        spec.rows.retain(|row| kept.contains(&row.run));
        Ok(spec)
    }

    /// What became of a row.
    pub fn cell(&self, row: &Row, outcomes: &[Outcome]) -> Cell {
        let index = self.runs.iter().position(|run| run.name == row.run).expect("it was checked");
        match &outcomes[index] {
            Outcome::Nothing(why) => Cell::Nothing(why.clone()),
            Outcome::Valid(report) => match find::number(report, &row.path) {
                Some(value) => Cell::Value(value * row.scale),
                None => Cell::Nothing(match find::missing(report, &row.path) {
                    Some(why) => why.to_owned(),
                    None => format!("the report has no {}", row.path),
                }),
            },
        }
    }

    /// All figures that there are, for the history.
    pub fn figures(&self, outcomes: &[Outcome]) -> Vec<Figure> {
        let figure = |row: &Row| match self.cell(row, outcomes) {
            Cell::Value(value) => {
                Some(Figure { name: row.what.clone(), value, unit: row.unit, spread: 1.0 })
            }
            Cell::Nothing(_) => None,
        };
        self.rows.iter().filter_map(figure).collect()
    }
}

/// What stands in a row's column of figures.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// A figure.
    Value(f64),
    /// Why there is none.
    Nothing(String),
}

impl Row {
    /// Whether a figure is as good as it must be; none if nothing is asked of it.
    pub fn is_reached(&self, value: f64) -> Option<bool> {
        self.reach.map(|reach| match self.better {
            Better::Lower => value <= reach,
            Better::Higher => value >= reach,
        })
    }
}

#[cfg(test)]
mod tests;
