//! Instructions instead of time: the same closures under valgrind's callgrind, which counts what one function executes, repeatably on any machine.
//!
//! One observed process goes through all closures, each inside [`crate::timing::counted`]. Callgrind collects only within that function and writes a file each
//! time it is left; the process says, in the same order, how often it did what.

use crate::figure::{Figure, Unit};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Calls of each closure: the count is exact, so that few do.
pub const CALLS: u32 = 20;

/// [`crate::timing::counted`], as callgrind knows it. Dumps are made for whole names only, not for patterns.
const FUNCTION: &str = "gpusher_bench::timing::counted";

/// Runs this binary's groups (all if none is named) under callgrind.
///
/// # Errors
/// When valgrind is not installed, or what it leaves cannot be understood.
pub fn count(groups: &[String]) -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--collect-atstart=no", "--compress-strings=no"]);
    command.arg(format!("--toggle-collect={FUNCTION}")).arg(format!("--dump-after={FUNCTION}"));
    command.arg(format!("--callgrind-out-file={}", folder.path().join("out").display()));
    let report = folder.path().join("report.json");
    command.arg(std::env::current_exe()?).arg("core").args(groups);
    command.arg("--counted").arg("--json").arg(&report);
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => bail!("cannot start valgrind: {error}; install the package valgrind"),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the counted process ended with {}: {said}", output.status);
    let run: crate::history::Run = serde_json::from_slice(&fs::read(report)?)?;
    per_call(run.figures, &totals(folder.path())?)
}

/// What each file says, in the order of their numbers.
fn totals(folder: &Path) -> Result<Vec<u64>> {
    let mut files: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path.extension().and_then(|it| it.to_str()?.parse().ok());
        files.extend(
            number.filter(|_| path.file_stem().is_some_and(|it| it == "out")).map(|it| (it, path)),
        );
    }
    files.sort();
    files.iter().map(|(_, path)| total(&fs::read_to_string(path)?)).collect()
}

fn total(file: &str) -> Result<u64> {
    let line = file.lines().find_map(|line| line.strip_prefix("summary:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.context("callgrind's file has no summary")
}

/// The figures come with how often each was done; the count within their function is divided by it.
fn per_call(times: Vec<Figure>, totals: &[u64]) -> Result<Vec<Figure>> {
    ensure!(
        times.len() == totals.len(),
        "{} functions were counted, of {}: was the binary stripped?",
        totals.len(),
        times.len()
    );
    let figure = |(figure, &total): (Figure, &u64)| {
        let value = total as f64 / figure.value;
        Figure { value, unit: Unit::Instructions, ..figure }
    };
    Ok(times.into_iter().zip(totals).map(figure).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_divided_by_how_often_it_was_done() {
        let times = vec![Figure::median("a", vec![20.0], Unit::Instructions)];
        let figures = per_call(times.clone(), &[5_000]).unwrap();
        assert_eq!((figures[0].value, figures[0].name.as_str()), (250.0, "a"));
        assert!(per_call(times, &[]).is_err());
    }

    #[test]
    fn files_are_read_in_the_order_of_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        for (name, total) in [("out.10", 3), ("out.9", 2), ("report.json", 9)] {
            let text = format!("# callgrind format\nevents: Ir\nsummary: {total}\n");
            fs::write(folder.path().join(name), text).unwrap();
        }
        assert_eq!(totals(folder.path()).unwrap(), [2, 3]);
    }
}
