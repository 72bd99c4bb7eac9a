//! `gpusher-bench`: prints the figures, and appends them to a history file if asked to.

#![forbid(unsafe_code)]

use anyhow::{Context, Result};
use clap::Parser;
use gpusher_bench::GROUPS;
use gpusher_bench::environment::Environment;
use gpusher_bench::timing::{Effort, Figure};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

/// Times what one core does, part by part.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Groups to run; all if none is named.
    #[arg(value_parser = GROUPS.map(|(name, _)| name))]
    groups: Vec<String>,
    /// One short round each: says that it runs, not how fast.
    #[arg(long)]
    toy: bool,
    /// Appends one JSON line to this file.
    #[arg(long)]
    history: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let environment = Environment::read();
    println!("{environment:#?}");
    if !environment.optimised && !arguments.toy {
        eprintln!("this build is not optimised: its figures mean nothing");
    }
    let effort = if arguments.toy { Effort::TOY } else { Effort::FULL };
    let mut figures = Vec::new();
    for (name, take) in GROUPS {
        if arguments.groups.is_empty() || arguments.groups.iter().any(|group| group == name) {
            figures.extend(print(name, take(effort)));
        }
    }
    match arguments.history {
        Some(path) => append(&path, &environment, &figures),
        None => Ok(()),
    }
}

fn print(group: &str, figures: Vec<Figure>) -> Vec<Figure> {
    println!("\n{group}");
    for figure in &figures {
        println!("  {:<60} {:>10.1} ns   ×{:.2}", figure.name, figure.median_ns, figure.spread);
    }
    figures
}

fn append(path: &PathBuf, environment: &Environment, figures: &[Figure]) -> Result<()> {
    let line = serde_json::json!({ "environment": environment, "figures": figures });
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot append to {}", path.display()))?;
    writeln!(file, "{line}").context("cannot append to the history")
}
