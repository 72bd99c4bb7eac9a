//! Runs as they are kept: one JSON object a line, appended, read back in columns.

use crate::environment::Environment;
use crate::figure::Figure;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter, Write as _};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

/// Where runs are kept if nothing else is said.
pub const DEFAULT_PATH: &str = "bench/history.jsonl";

/// Figures, and what they have to be read with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Where and of what they were taken.
    pub environment: Environment,
    /// In the order in which they were taken.
    pub figures: Vec<Figure>,
}

impl Run {
    /// Without figures.
    pub fn new(environment: Environment) -> Self {
        Self { environment, figures: Vec::new() }
    }
}

impl Display for Run {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.environment)?;
        for Figure { name, value, unit, spread } in &self.figures {
            writeln!(f, "{name:<72} {value:>10.*} {unit:<12} ±×{spread:.2}", decimals(*value))?;
        }
        Ok(())
    }
}

fn decimals(value: f64) -> usize {
    match value {
        ..10.0 => 3,
        ..1_000.0 => 1,
        _ => 0,
    }
}

/// Prints the run as a table, and writes it to the file as one JSON object. With `-` for the file, prints the object instead.
///
/// # Errors
/// When the file cannot be written.
pub fn tell(run: &Run, json: Option<&Path>) -> Result<()> {
    let text = serde_json::to_string(run)?;
    match json {
        Some(path) if path == Path::new("-") => println!("{text}"),
        Some(path) => {
            print!("{run}");
            std::fs::write(path, text)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        None => print!("{run}"),
    }
    Ok(())
}

/// Adds a run to the file, which is made if it is not there.
///
/// # Errors
/// When it cannot be written.
pub fn append(path: &Path, run: &Run) -> Result<()> {
    let cannot = || format!("cannot append to {}", path.display());
    let mut line = serde_json::to_vec(run)?;
    line.push(b'\n');
    let mut file = OpenOptions::new().create(true).append(true).open(path).with_context(cannot)?;
    file.write_all(&line).with_context(cannot)
}

/// All runs of the file, oldest first.
///
/// # Errors
/// When it cannot be read, or a line is not a run.
pub fn read(path: &Path) -> Result<Vec<Run>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().zip(1..);
    lines
        .map(|(line, number)| {
            serde_json::from_str(line)
                .with_context(|| format!("line {number} of {} is not a run", path.display()))
        })
        .collect()
}

/// A column for each of the last runs that have a figure with `wanted` in its name, a line for each figure.
pub fn columns(runs: &[Run], wanted: &str, last: usize) -> String {
    let is_wanted = |figure: &&Figure| figure.name.contains(wanted);
    let having: Vec<&Run> =
        runs.iter().filter(|run| run.figures.iter().any(|it| is_wanted(&it))).collect();
    let shown = &having[having.len().saturating_sub(last)..];
    let figures = shown.iter().flat_map(|run| run.figures.iter().filter(is_wanted));
    let names: BTreeSet<(&str, String)> =
        figures.map(|it| (it.name.as_str(), it.unit.to_string())).collect();

    let mut table = String::new();
    let mut line = |first: &str, unit: &str, cell: &dyn Fn(&Run) -> String| {
        write!(table, "{first:<72} {unit:<12}").expect("a string takes everything");
        for run in shown {
            write!(table, " {:>12}", cell(run)).expect("a string takes everything");
        }
        table.push('\n');
    };
    line("", "", &|run| run.environment.date.chars().take(10).collect());
    line("", "", &|run| run.environment.commit.clone());
    for (name, unit) in &names {
        line(name, unit, &|run| {
            let same = |it: &&Figure| it.name == *name && it.unit.to_string() == *unit;
            let value = run.figures.iter().find(same).map(|it| it.value);
            value.map_or_else(|| "-".into(), |value| format!("{value:.*}", decimals(value)))
        });
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Unit;

    fn run(commit: &str, figures: &[(&str, f64)]) -> Run {
        let mut run = Run::new(Environment::read());
        run.environment.commit = commit.into();
        let figure = |&(name, value)| Figure::median(name, vec![value], Unit::Nanoseconds);
        run.figures = figures.iter().map(figure).collect();
        run
    }

    #[test]
    fn what_was_appended_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let runs = [run("a", &[("x", 1.0)]), run("b", &[("x", 2.5), ("y", 3.0)])];
        runs.iter().for_each(|run| append(&path, run).unwrap());
        assert_eq!(read(&path).unwrap(), runs);

        std::fs::write(&path, "{}\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("line 1"));
    }

    #[test]
    fn columns_are_the_last_runs_that_have_the_figure() {
        let runs = [
            run("first", &[("codec: x", 1.0)]),
            run("second", &[("codec: x", 2.0), ("codec: y", 7.0), ("other", 8.0)]),
            run("third", &[("other", 9.0)]),
            run("fourth", &[("codec: x", 4.0)]),
        ];
        let table = columns(&runs, "codec", 2);
        let words: Vec<Vec<&str>> =
            table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[1], ["second", "fourth"]);
        assert_eq!(words[2], ["codec:", "x", "ns", "2.000", "4.000"]);
        assert_eq!(words[3], ["codec:", "y", "ns", "7.000", "-"]);
        assert_eq!(words.len(), 4);
    }
}
