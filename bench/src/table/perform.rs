//! Runs a program, for a limited time, and takes its report or the reason why there is none.

use super::RunSpec;
use anyhow::{Context, Result};
use serde_json::Value;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What became of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Its report counts.
    Valid(Value),
    /// There is none, or it does not count; why.
    Nothing(String),
}

/// Exit code of a load generator that was the bottleneck itself.
const EXIT_INVALID: i32 = 2;
/// Exit code of one that found the product wanting.
const EXIT_FAILED: i32 = 1;

/// Runs it; what it prints is left in `folder`, beside its report.
///
/// # Errors
/// When the folder cannot be used. What is wrong with the run itself is an outcome.
pub fn perform(run: &RunSpec, binaries: &Path, folder: &Path) -> Result<Outcome> {
    let json = folder.join(format!("{}.json", run.name));
    let log = folder.join(format!("{}.log", run.name));
    let _ = fs::remove_file(&json);
    let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let binaries = binaries.to_string_lossy();
    let fill =
        |word: &String| word.replace("{bin}", &binaries).replace("{json}", &json.to_string_lossy());
    let words: Vec<String> = run.command.iter().map(fill).collect();
    let (program, arguments) = words.split_first().context("an empty command")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let status = match command.spawn() {
        Ok(child) => wait(child, Duration::from_secs(run.seconds_max))?,
        Err(error) => return Ok(Outcome::Nothing(format!("not run: {program}: {error}"))),
    };
    let report = fs::read(&json).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let last_line = || last_line(&fs::read_to_string(&log).unwrap_or_default());
    Ok(judge(run, status, report, last_line))
}

fn judge(
    run: &RunSpec,
    status: Option<ExitStatus>,
    report: Option<Value>,
    last_line: impl Fn() -> String,
) -> Outcome {
    let Some(status) = status else {
        return Outcome::Nothing(format!("not done after {} s", run.seconds_max));
    };
    match (status.code(), report) {
        (Some(0), Some(report)) => Outcome::Valid(report),
        (Some(0), None) => Outcome::Nothing("it left no report".to_owned()),
        (Some(EXIT_INVALID), Some(report)) if report.get("invalid").is_some() => {
            let why = report["invalid"].as_str().unwrap_or("the generator was the bottleneck");
            Outcome::Nothing(format!("invalid: {why}"))
        }
        (Some(EXIT_FAILED), Some(_)) => {
            Outcome::Nothing("failed: something was lost, doubled or out of order".to_owned())
        }
        _ => Outcome::Nothing(format!("not run: {status}: {}", last_line())),
    }
}

/// None: it took too long, and was killed.
fn wait(mut child: Child, time: Duration) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + time;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn last_line(text: &str) -> String {
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no word").trim().to_owned()
}
