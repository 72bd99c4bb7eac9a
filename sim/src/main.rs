//! Runs seeds: one with its trace, or many until a promise is broken.

#![forbid(unsafe_code)]

use clap::Parser;
use gpusher_sim::{Fault, Options, Report, run, shrink};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Simulates the whole system: every seed is a run that can be repeated exactly.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Run this seed.
    #[arg(long, conflicts_with_all = ["seeds", "for"])]
    seed: Option<u64>,
    /// Run so many seeds.
    #[arg(long)]
    seeds: Option<u64>,
    /// Run seeds for so long: 90s, 10m, 8h.
    #[arg(long, value_parser = duration)]
    r#for: Option<Duration>,
    /// The first of several seeds.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Steps with traffic and faults.
    #[arg(long)]
    steps: Option<u64>,
    /// Clients.
    #[arg(long)]
    clients: Option<usize>,
    /// Logics that share the work.
    #[arg(long, default_value_t = 1)]
    logics: usize,
    /// Traffic without faults.
    #[arg(long)]
    no_faults: bool,
    /// Damage so many messages in a thousand on their way: then it only counts that nothing panics.
    #[arg(long, default_value_t = 0)]
    damage: u64,
    /// Leave a kind of fault out; may be repeated.
    #[arg(long)]
    without: Vec<Fault>,
    /// Print every event of the run.
    #[arg(long)]
    trace: bool,
    /// Go on after a broken promise.
    #[arg(long)]
    keep_going: bool,
    /// Events shown before a broken promise.
    #[arg(long, default_value_t = 60)]
    tail: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(seed) = arguments.seed {
        let report = run(options(&arguments, seed));
        println!("seed {seed}: {}", summary(&report));
        return show(&arguments, report, false);
    }
    let begin = Instant::now();
    let mut broken = 0;
    let mut done = 0;
    let (mut steps, mut accepted) = (0, 0);
    let mut injected: BTreeMap<Fault, u64> = BTreeMap::new();
    for seed in arguments.from.. {
        let enough = match (arguments.seeds, arguments.r#for) {
            (Some(seeds), _) => done >= seeds,
            (None, Some(time)) => begin.elapsed() >= time,
            (None, None) => done >= 100,
        };
        if enough {
            break;
        }
        let report = run(options(&arguments, seed));
        done += 1;
        steps += report.steps;
        accepted += report.accepted;
        for (&fault, count) in &report.injected {
            *injected.entry(fault).or_default() += count;
        }
        if report.violation.is_some() {
            broken += 1;
            println!("seed {seed}: {}", summary(&report));
            if !arguments.keep_going {
                return show(&arguments, report, true);
            }
        }
    }
    let faults: Vec<String> =
        injected.iter().map(|(fault, count)| format!("{count} {fault}")).collect();
    println!(
        "{done} seeds in {:.1} s, {steps} steps, {accepted} pushes, {} faults ({}), {broken} with a broken promise",
        begin.elapsed().as_secs_f64(),
        injected.values().sum::<u64>(),
        faults.join(", "),
    );
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn options(arguments: &Arguments, seed: u64) -> Options {
    let usual = Options::of(seed);
    Options {
        steps: arguments.steps.unwrap_or(usual.steps),
        clients: arguments.clients.unwrap_or(usual.clients),
        logics: arguments.logics,
        faults: !arguments.no_faults,
        damage_permille: arguments.damage,
        without: arguments.without.iter().copied().collect(),
        print: arguments.trace,
        ..usual
    }
}

fn summary(report: &Report) -> String {
    let Report { steps, events, hash, accepted, received, .. } = report;
    let run = format!(
        "{steps} steps, {events} events, {accepted} pushes, {received} kept received, trace {hash:016x}"
    );
    match &report.violation {
        None => run,
        Some(violation) => format!("{run}\n{violation}"),
    }
}

fn show(arguments: &Arguments, report: Report, shrinks: bool) -> ExitCode {
    if report.violation.is_none() {
        return ExitCode::SUCCESS;
    }
    let report = if shrinks { shrink(report) } else { report };
    if !arguments.trace {
        let skip = report.tail.len().saturating_sub(arguments.tail);
        report.tail.iter().skip(skip).for_each(|event| println!("{event}"));
    }
    println!("{}", summary(&report));
    println!("again: {}", report.options);
    ExitCode::FAILURE
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let count: u64 = digits.parse().map_err(|_| format!("{text} is no time such as 10m"))?;
    match &text[digits.len()..] {
        "s" | "" => Ok(Duration::from_secs(count)),
        "m" => Ok(Duration::from_secs(count * 60)),
        "h" => Ok(Duration::from_secs(count * 3_600)),
        unit => Err(format!("{unit} is no unit of time: s, m or h")),
    }
}
