//! `gpusher-bench`: takes figures, prints them, and keeps them in a history file if asked to.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use gpusher_bench::environment::Environment;
use gpusher_bench::history::Run;
use gpusher_bench::table::{self, Spec};
use gpusher_bench::timing::Effort;
use gpusher_bench::{GROUPS, floor, history, instructions};
use std::fs;
use std::path::PathBuf;

/// What one core does, part by part, how far a broadcast is from what the kernel alone costs, and the published comparison.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Appends the figures to this file, one JSON object a run.
    #[arg(long, global = true, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Writes the run as one JSON object; `-` is standard output.
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Times the parts: codec, session, outbox, mailbox and so on.
    Core(Core),
    /// A broadcast by the gateway's shard, a bare ring and a bare send(2) loop, to the same sockets in turns.
    Floor(Floor),
    /// Runs the published comparison and prints its table.
    Table(Table),
    /// Prints the last runs of a history file, a column each.
    History(History),
}

#[derive(Debug, Args)]
struct Core {
    /// Groups to run; all if none is named.
    #[arg(value_parser = GROUPS.map(|(name, _)| name))]
    groups: Vec<String>,
    /// One short round each: says that it runs, not how fast.
    #[arg(long)]
    toy: bool,
    /// Counts instructions under valgrind instead of timing.
    #[arg(long, conflicts_with = "toy")]
    instructions: bool,
    /// Runs each a fixed number of times, to be observed.
    #[arg(long, hide = true, conflicts_with = "toy")]
    counted: bool,
}

#[derive(Debug, Args)]
struct Floor {
    /// Connections that get each message.
    #[arg(long, default_value_t = 10_000)]
    connections: u32,
    /// Broadcasts by each way.
    #[arg(long, default_value_t = 20)]
    rounds: u32,
    /// Bytes of content.
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// Connections per shard: so many messages wait in sockets before they are read.
    #[arg(long, default_value_t = 250_000)]
    per_shard: u32,
    /// Connections per ring: below the descriptor limit. With more connections than this, sockets are kept in the rings' own tables.
    #[arg(long, default_value_t = 19_000)]
    per_ring: u32,
}

#[derive(Debug, Args)]
struct Table {
    /// Goes to millions of connections: takes hours, and 16 GB.
    #[arg(long)]
    long: bool,
    /// Only these runs.
    #[arg(long = "only", value_name = "RUN")]
    only: Vec<String>,
    /// Another description than the published one.
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
    /// Where reports and output of the runs are left.
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
}

#[derive(Debug, Args)]
struct History {
    /// Part of a figure's name; all if none is given.
    figure: Option<String>,
    /// Columns.
    #[arg(long, default_value_t = 6)]
    last: usize,
}

fn main() -> Result<()> {
    let Arguments { command, history, json } = Arguments::parse();
    let run = match command {
        Command::Core(core) => core.run()?,
        Command::Floor(floor) => floor.run()?,
        Command::Table(table) => table.run()?,
        Command::History(History { figure, last }) => {
            let path = history.unwrap_or_else(|| history::DEFAULT_PATH.into());
            let wanted = figure.unwrap_or_default();
            print!("{}", history::columns(&history::read(&path)?, &wanted, last));
            return Ok(());
        }
    };
    history::tell(&run, json.as_deref())?;
    match history {
        Some(path) => history::append(&path, &run),
        None => Ok(()),
    }
}

impl Core {
    fn run(&self) -> Result<Run> {
        let mut run = Run::new(Environment::read());
        if self.instructions {
            run.figures = instructions::count(&self.groups)?;
        } else {
            let is_wanted =
                |group| self.groups.is_empty() || self.groups.iter().any(|it| it == group);
            for (group, take) in GROUPS.into_iter().filter(|&(group, _)| is_wanted(group)) {
                let figures = take(self.effort()).into_iter().map(|it| it.within(group));
                run.figures.extend(figures);
            }
        }
        Ok(run)
    }

    fn effort(&self) -> Effort {
        match (self.toy, self.counted) {
            (_, true) => Effort::Counted { calls: instructions::CALLS },
            (true, _) => Effort::TOY,
            _ => Effort::FULL,
        }
    }
}

impl Floor {
    fn run(&self) -> Result<Run> {
        let Self { connections, rounds, size, per_shard, per_ring } = *self;
        let plan = floor::Plan { connections, rounds, content_bytes: size, per_shard, per_ring };
        gpusher_sys::limits::raise_descriptor_limit()?;
        let mut run = Run::new(Environment::read());
        run.figures = floor::run(&plan)?.figures();
        Ok(run)
    }
}

impl Table {
    fn run(&self) -> Result<Run> {
        let text = match &self.spec {
            None => table::PUBLISHED.to_owned(),
            Some(path) => fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?,
        };
        let spec = self.wanted(Spec::parse(&text, self.long)?)?;
        fs::create_dir_all(&self.folder)?;
        let own = std::env::current_exe()?;
        let binaries = own.parent().context("a binary is in a folder")?;
        let mut outcomes = Vec::new();
        for (number, run) in (1..).zip(&spec.runs) {
            eprintln!(
                "{number} of {}: {}, at most {} s",
                spec.runs.len(),
                run.name,
                run.seconds_max
            );
            outcomes.push(table::perform(run, binaries, &self.folder)?);
        }
        let mut run = Run::new(Environment::read());
        eprintln!();
        println!("{}", table::markdown(&spec, &outcomes, &run.environment));
        run.figures = spec.figures(&outcomes);
        Ok(run)
    }

    fn wanted(&self, mut spec: Spec) -> Result<Spec> {
        if let Some(unknown) =
            self.only.iter().find(|name| spec.runs.iter().all(|run| run.name != **name))
        {
            bail!("there is no run {unknown:?} here");
        }
        if !self.only.is_empty() {
            spec.runs.retain(|run| self.only.contains(&run.name));
            spec.rows.retain(|row| self.only.contains(&row.run));
        }
        Ok(spec)
    }
}
