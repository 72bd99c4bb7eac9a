//! `gpusher-runtimes`: the same minimal gateway (accept, hold, broadcast, echo) on our drivers and on other runtimes, each in a process of its own, and one
//! client for all.
//!
//! Every server has one thread, on the last core; the client has the first. Where a machine has but one, they share it and say so.

#![forbid(unsafe_code)]

mod child;
mod client;
mod contender;
mod measure;
mod servers;

use anyhow::Result;
use clap::Parser;
use contender::Contender;
use gpusher_figures::environment::Environment;
use gpusher_figures::history::{self, Run};
use std::path::PathBuf;

/// Compares runtimes as the base of a gateway.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Which; all if none is named.
    #[arg(value_enum)]
    contenders: Vec<Contender>,
    /// Connections held by each.
    #[arg(long, default_value_t = 10_000)]
    connections: u32,
    /// How often each is started afresh; medians count.
    #[arg(long, default_value_t = 3)]
    repeats: u32,
    /// Broadcasts, and echoes one after the other, per start.
    #[arg(long, default_value_t = 11)]
    broadcasts: u32,
    #[arg(long, default_value_t = 5_000)]
    echoes: u32,
    /// Appends the figures to this file, one JSON object a run.
    #[arg(long)]
    history: Option<PathBuf>,
    /// Writes the run as one JSON object; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Be that server: prints its port, ends with its standard input.
    #[arg(long, value_enum, hide = true)]
    serve: Option<Contender>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    gpusher_sys::limits::raise_descriptor_limit()?;
    if let Some(contender) = arguments.serve {
        child::end_with_parent();
        return servers::serve(contender);
    }
    let contenders = match &*arguments.contenders {
        [] => Contender::ALL.to_vec(),
        named => named.to_vec(),
    };
    let mut run = Run::new(Environment::read());
    run.figures = measure::compare(&contenders, &arguments.work(), arguments.repeats)?;
    history::tell(&run, arguments.json.as_deref())?;
    match arguments.history {
        Some(path) => history::append(&path, &run),
        None => Ok(()),
    }
}

impl Arguments {
    fn work(&self) -> measure::Work {
        let Self { connections, broadcasts, echoes, .. } = *self;
        measure::Work { connections, broadcasts, echoes }
    }
}
