//! `gpusher-faults`: the command line.
//!
//! Exit codes: 0 all promises kept, 1 the product broke one, 2 it could not be done, 64 wrong arguments.

#![forbid(unsafe_code)]

mod arguments;
mod namespace;
mod up;

use anyhow::{Context, Result};
use arguments::{Arguments, Command, Common};
use clap::Parser;
use gpusher_faults::deployment::Programs;
use gpusher_faults::fault::{CATALOGUE, Fault, find};
use gpusher_faults::report::{explain, table};
use gpusher_faults::run::{Outcome, Plan, run};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

const BROKEN: u8 = 1;
const IMPOSSIBLE: u8 = 2;
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    match perform(&arguments.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("gpusher-faults: {error:#}");
            IMPOSSIBLE.into()
        }
    }
}

fn perform(command: &Command) -> Result<ExitCode> {
    match command {
        Command::List => {
            for fault in CATALOGUE {
                println!("{:<20} {}", fault.name, fault.about);
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Run(arguments) => {
            let Some(fault) = find(&arguments.fault) else {
                eprintln!("gpusher-faults: no fault is called {}; see `list`", arguments.fault);
                return Ok(USAGE.into());
            };
            go_through(&[fault], &arguments.common)
        }
        Command::All(arguments) => {
            let all: Vec<&Fault> = CATALOGUE.iter().collect();
            go_through(&all, &arguments.common)
        }
        Command::Up(arguments) => {
            let programs = arguments.system.programs()?;
            runtime()?.block_on(up::up(arguments, &programs))
        }
    }
}

/// One fault after the other, each on a system of its own.
fn go_through(faults: &[&'static Fault], common: &Common) -> Result<ExitCode> {
    let programs = common.system.programs()?;
    if !common.no_namespace {
        namespace::enter()?;
    }
    let runtime = runtime()?;
    let mut outcomes = Vec::new();
    let mut impossible = Vec::new();
    for fault in faults {
        match runtime.block_on(one(fault, common, &programs)) {
            Ok(outcome) => {
                println!("{}{}", table(std::slice::from_ref(&outcome)), explain(&outcome));
                outcomes.push(outcome);
            }
            Err(error) => impossible.push(format!("{}: {error:#}", fault.name)),
        }
    }
    if faults.len() > 1 {
        println!("{}", table(&outcomes));
    }
    impossible.iter().for_each(|text| println!("not done: {text}"));
    if let Some(path) = &common.json {
        let text = serde_json::to_string_pretty(&outcomes).context("outcomes are plain data")?;
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let broken = outcomes.iter().any(|outcome| !outcome.failures.is_empty());
    Ok(match () {
        () if broken => BROKEN.into(),
        () if outcomes.is_empty() => IMPOSSIBLE.into(),
        () => ExitCode::SUCCESS,
    })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

async fn one(fault: &'static Fault, common: &Common, programs: &Programs) -> Result<Outcome> {
    let temporary = tempfile::Builder::new().prefix("gpusher-faults-").tempdir()?;
    let folder = common.system.folder.as_ref().map(|folder| folder.join(fault.name));
    let folder: PathBuf = folder.unwrap_or_else(|| temporary.path().to_owned());
    let plan = Plan {
        programs: programs.clone(),
        shape: common.system.shape(),
        backends: common.system.backends(),
        fault,
        cycles: common.cycles,
        hold: common.hold(),
        clients: common.clients,
        rates: common.rates(),
        seed: common.seed.unwrap_or_else(chance),
        folder,
        keys: common.system.keys.clone(),
        verbose: true,
    };
    tokio::select! {
        outcome = run(&plan) => outcome,
        // What was started ends with the run.
        _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
    }
}

fn chance() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_nanos() as u64 % 1_000_000_007
}
