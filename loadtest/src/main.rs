//! `gpusher-loadtest`: the command line.
//!
//! Exit codes: 0 passed, 1 the product lost, doubled or disordered something, 2 the run is not valid (the generator was the
//! bottleneck), 64 wrong arguments, 70 something else broke.

#![forbid(unsafe_code)]

mod arguments;

use anyhow::{Context, Result};
use arguments::{Arguments, Command};
use clap::Parser;
use gpusher_loadtest::compare::{self, Outcome};
use gpusher_loadtest::report::{Report, html, print};
use gpusher_loadtest::run::run;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// The floor needs a descriptor for each socket, of the 20,000 that a cautious machine gives.
const FLOOR_SOCKETS_MAX: u32 = 10_000;
const FLOOR_ROUNDS: u32 = 5;

fn main() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| {
        let _ = error.print();
        std::process::exit(if error.use_stderr() { 64 } else { 0 });
    });
    let done = match &arguments.command {
        Some(Command::Compare(arguments)) => compare_systems(arguments),
        None => measure(&arguments).and_then(|report| tell(&arguments, &report)),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("gpusher-loadtest: {error:#}");
            ExitCode::from(70)
        }
    }
}

fn compare_systems(arguments: &compare::Arguments) -> Result<ExitCode> {
    let outcomes = compare::compare(arguments);
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&outcomes).context("outcomes are plain data")?;
        write(path, &text)?;
    }
    Ok(ExitCode::from(u8::from(!outcomes.iter().all(Outcome::passed))))
}

fn measure(arguments: &Arguments) -> Result<Report> {
    let config = arguments.run_config()?;
    let mut server = arguments.server()?;
    let mut config = config;
    config.plan.servers = server.clients.as_slice().into();
    let mut report = run(&mut server, &config)?;
    drop(server);
    if arguments.floor {
        let sockets = arguments.connections.min(FLOOR_SOCKETS_MAX);
        let floor = gpusher_bench::floor::measure(sockets, FLOOR_ROUNDS, arguments.size())?;
        report.bare_ring_cpu_us_per_message = Some(floor.ring_ns / 1e3);
        report.bare_send_cpu_us_per_message = floor.system_calls_ns.map(|ns| ns / 1e3);
    }
    Ok(report)
}

fn tell(arguments: &Arguments, report: &Report) -> Result<ExitCode> {
    print(report);
    if let Some(path) = &arguments.json {
        write(path, &serde_json::to_string_pretty(report).context("a report is plain data")?)?;
    }
    if let Some(path) = &arguments.html {
        write(path, &html(report))?;
    }
    Ok(ExitCode::from(match (&report.invalid, report.passed()) {
        (Some(_), _) => 2,
        (None, false) => 1,
        (None, true) => 0,
    }))
}

/// `-` is standard output.
fn write(path: &Path, text: &str) -> Result<()> {
    if path == Path::new("-") {
        return Ok(writeln!(std::io::stdout(), "{text}")?);
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
