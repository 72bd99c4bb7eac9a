//! `gpusher-faults`: the command line.
//!
//! Exit codes: 0 all promises kept, 1 the product broke one, 2 it could not be done, 64 wrong arguments.

#![forbid(unsafe_code)]

mod arguments;
mod namespace;
mod up;

use anyhow::{Context, Result};
use arguments::{Arguments, Command, Common, SoakArguments, TableArguments};
use clap::Parser;
use gpusher_faults::deployment::Programs;
use gpusher_faults::fault::{CATALOGUE, Fault, find};
use gpusher_faults::report::{classes, explain, summed, table};
use gpusher_faults::run::{Outcome, Plan, run};
use gpusher_faults::soak::{SHORT_TABLES, picture, soak};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

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
            if arguments.system.namespaces {
                namespace::enter()?;
            }
            runtime()?.block_on(async {
                tokio::select! {
                    code = up::up(arguments, &programs) => code,
                    () = asked_to_stop() => anyhow::bail!("stopped"),
                }
            })
        }
        Command::Table(arguments) => add_up(arguments),
        Command::Soak(arguments) => endure(arguments),
    }
}

/// One fault after the other, each on a system of its own.
fn go_through(faults: &[&'static Fault], common: &Common) -> Result<ExitCode> {
    let (programs, runtime) = prepare(common)?;
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
        println!("{}\n{}", table(&outcomes), classes(&outcomes));
    }
    impossible.iter().for_each(|text| println!("not done: {text}"));
    if let Some(path) = &common.json {
        write(path, &serde_json::to_string_pretty(&outcomes).context("outcomes are plain data")?)?;
    }
    let broken = outcomes.iter().any(|outcome| !outcome.failures.is_empty());
    Ok(match () {
        () if broken => BROKEN.into(),
        () if outcomes.is_empty() => IMPOSSIBLE.into(),
        () => ExitCode::SUCCESS,
    })
}

fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// The programs, and a network of our own for them if that is to be had.
fn prepare(common: &Common) -> Result<(Programs, Runtime)> {
    let programs = common.system.programs()?;
    if !common.no_namespace {
        namespace::enter()?;
    }
    Ok((programs, runtime()?))
}

/// One table of many runs.
fn add_up(arguments: &TableArguments) -> Result<ExitCode> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    for path in &arguments.files {
        let text = fs::read_to_string(path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        let run: Vec<Outcome> = serde_json::from_str(&text)
            .with_context(|| format!("{} is not what a run writes", path.display()))?;
        outcomes.extend(run);
    }
    let outcomes = summed(outcomes);
    println!("{}\n{}", table(&outcomes), classes(&outcomes));
    let failed = outcomes.iter().any(|outcome| !outcome.failures.is_empty());
    outcomes.iter().for_each(|outcome| print!("{}", explain(outcome)));
    Ok(if failed { BROKEN.into() } else { ExitCode::SUCCESS })
}

/// Clients come and go for long.
fn endure(arguments: &SoakArguments) -> Result<ExitCode> {
    let common = &arguments.common;
    let (programs, runtime) = prepare(common)?;
    let fault = find("none").context("the catalogue has it")?;
    let schedule = arguments.schedule();
    let course = runtime.block_on(async {
        let (mut plan, _temporary) = plan(fault, common, &programs)?;
        let short = SHORT_TABLES.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
        // What was asked for comes later, and wins.
        plan.keys.splice(0..0, short);
        tokio::select! {
            course = soak(&plan, &schedule) => course,
            () = asked_to_stop() => anyhow::bail!("stopped"),
        }
    })?;
    println!("{}", course.summary());
    if let Some(path) = &common.json {
        write(path, &serde_json::to_string(&course).context("a course is plain data")?)?;
    }
    if let Some(path) = &arguments.plot {
        write(path, &picture(&course))?;
    }
    Ok(if course.failures.is_empty() { ExitCode::SUCCESS } else { BROKEN.into() })
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

async fn one(fault: &'static Fault, common: &Common, programs: &Programs) -> Result<Outcome> {
    let (plan, _temporary) = plan(fault, common, programs)?;
    tokio::select! {
        outcome = run(&plan) => outcome,
        () = asked_to_stop() => anyhow::bail!("stopped"),
    }
}

/// Waits for SIGINT or SIGTERM. What was started ends with the future that this one is selected against.
async fn asked_to_stop() {
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be listened to");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// A plan, and the folder that goes with its data unless one was named.
fn plan(fault: &'static Fault, common: &Common, programs: &Programs) -> Result<(Plan, TempDir)> {
    let temporary = tempfile::Builder::new().prefix("gpusher-faults-").tempdir()?;
    let folder = common.system.folder.as_ref().map(|folder| folder.join(fault.name));
    let folder: PathBuf = folder.unwrap_or_else(|| temporary.path().to_owned());
    let plan = Plan {
        programs: programs.clone(),
        shape: common.system.shape(),
        backends: common.system.backends(),
        hosts_apart: common.system.namespaces,
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
    Ok((plan, temporary))
}

fn chance() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_nanos() as u64 % 1_000_000_007
}
