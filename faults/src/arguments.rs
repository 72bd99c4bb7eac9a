//! The command line.

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use gpusher_faults::deployment::{Backends, Programs, Shape};
use gpusher_faults::soak::Schedule;
use gpusher_faults::traffic::Rates;
use std::path::PathBuf;
use std::time::Duration;

/// The real programs under real faults; in the end every accepted message is accounted for.
#[derive(Debug, Parser)]
#[command(
    name = "gpusher-faults",
    version,
    after_help = "Exit codes: 0 all promises kept; 1 the product broke one; 2 it could not be done; 64 wrong arguments."
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Name all faults.
    List,
    /// One fault, again and again.
    Run(RunArguments),
    /// All faults that this machine and the deployment allow.
    All(AllArguments),
    /// No fault: the system, for as long as a command runs. The command finds where it is in its environment (GPUSHER_CLIENTS,
    /// GPUSHER_PUSHES, GPUSHER_API_KEY and so on), as `gpusher-loadtest` takes it.
    Up(UpArguments),
    /// The table of earlier runs (`--json`), those of one fault and shape added up.
    Table(TableArguments),
    /// No fault: clients come and go for long, and nothing may be left of them. Bounded tables are configured short, so that they are full when
    /// the first look is taken; `--set` wins over that.
    Soak(SoakArguments),
}

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// Which; see `list`.
    #[arg(long)]
    pub(super) fault: String,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, Args)]
pub(super) struct AllArguments {
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, Args)]
pub(super) struct TableArguments {
    /// What the runs wrote.
    #[arg(required = true)]
    pub(super) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct SoakArguments {
    /// Minutes from the first look to the last.
    #[arg(long, default_value_t = 60.0)]
    minutes: f64,
    /// Minutes before the first look: caches fill, and the purge begins, which takes what was acknowledged by all ten minutes ago.
    #[arg(long, default_value_t = 12.0)]
    warm_up: f64,
    /// Minutes until everybody is away for a moment, again and again.
    #[arg(long, default_value_t = 10.0)]
    rest_every: f64,
    /// Connections a second that end and begin.
    #[arg(long, default_value_t = 20.0)]
    logins: f64,
    /// Draw it there, as SVG.
    #[arg(long)]
    pub(super) plot: Option<PathBuf>,
    #[command(flatten)]
    pub(super) common: Common,
}

impl SoakArguments {
    pub(super) fn schedule(&self) -> Schedule {
        let minutes = |minutes: f64| Duration::from_secs_f64(minutes.clamp(0.1, 10_000.0) * 60.0);
        Schedule {
            lasts: minutes(self.minutes),
            warm_up: minutes(self.warm_up),
            rest_every: minutes(self.rest_every),
            logins_per_s: self.logins.clamp(0.01, 1_000.0),
        }
    }
}

/// Which processes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Deployed {
    /// Everything in one process.
    Embedded,
    /// Each role in a process of its own.
    Apart,
    /// Three gateways, two logics, two messages, two webs; with embedded backends one logic and one message.
    Grid,
}

/// Where store, routes and queue are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Behind {
    /// In the process with the message role.
    Embedded,
    /// The queue on Kafka, routes and discovery in Redis, the store on PostgreSQL; started for the run.
    KafkaRedisPostgres,
    /// The queue on Kafka, routes in Redis, discovery in etcd, the store on MariaDB; started for the run.
    KafkaEtcdMariadb,
}

/// What is started.
#[derive(Debug, Clone, Args)]
pub(super) struct System {
    /// Which processes there are.
    #[arg(long, value_enum, default_value = "apart")]
    pub(super) shape: Deployed,
    /// What is behind them; not given: servers for a grid, else embedded.
    #[arg(long, value_enum)]
    pub(super) backends: Option<Behind>,
    /// Give each process a host of its own: a network namespace, joined with the others by a bridge (as root).
    #[arg(long)]
    pub(super) namespaces: bool,
    /// `gpusher-control`; it is looked for beside this program.
    #[arg(long)]
    pub(super) control: Option<PathBuf>,
    /// `gpusher-gateway`; it is looked for beside this program.
    #[arg(long)]
    pub(super) gateway: Option<PathBuf>,
    /// Configuration of the processes beside what the run needs, as key=value; keys of gateways begin with `gateway.`.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(super) keys: Vec<(String, String)>,
    /// Keep data and logs there.
    #[arg(long)]
    pub(super) folder: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(super) struct Common {
    #[command(flatten)]
    pub(super) system: System,
    /// How often each fault is done.
    #[arg(long, default_value_t = 3)]
    pub(super) cycles: usize,
    /// Seconds that the fault is held, instead of what it has.
    #[arg(long)]
    pub(super) hold: Option<f64>,
    /// Client connections, about.
    #[arg(long, default_value_t = 1_000)]
    pub(super) clients: usize,
    /// Pushes a second.
    #[arg(long, default_value_t = 100)]
    pub(super) rate: u64,
    /// Messages a second, about, of pushes to whole apps and everyone.
    #[arg(long, default_value_t = 1_000)]
    pub(super) broadcasts: u64,
    /// Repeats the chance of another run, the machine's apart.
    #[arg(long)]
    pub(super) seed: Option<u64>,
    /// Write the outcomes there.
    #[arg(long)]
    pub(super) json: Option<PathBuf>,
    /// Stay in the network and mounts of this machine: some faults cannot be done then.
    #[arg(long)]
    pub(super) no_namespace: bool,
}

#[derive(Debug, Args)]
pub(super) struct UpArguments {
    #[command(flatten)]
    pub(super) system: System,
    /// What to run; the system ends with it.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) command: Vec<String>,
}

impl System {
    pub(super) fn shape(&self) -> Shape {
        match self.shape {
            Deployed::Embedded => Shape::Embedded,
            Deployed::Apart => Shape::Apart,
            Deployed::Grid => {
                let shared = if self.backends() == Backends::Embedded { 1 } else { 2 };
                Shape::Grid { gateways: 3, logics: shared, messages: shared, webs: 2 }
            }
        }
    }

    pub(super) fn backends(&self) -> Backends {
        match (self.backends, self.shape) {
            (Some(Behind::KafkaEtcdMariadb), _) => Backends::KafkaEtcdMariaDb,
            (Some(Behind::KafkaRedisPostgres), _) | (None, Deployed::Grid) => {
                Backends::KafkaRedisPostgres
            }
            (Some(Behind::Embedded), _) | (None, _) => Backends::Embedded,
        }
    }

    /// # Errors
    /// If this program does not know where it is, or a program is missing.
    pub(super) fn programs(&self) -> Result<Programs> {
        let own = std::env::current_exe().context("where this program is")?;
        let beside = |name: &str| own.with_file_name(name);
        let programs = Programs {
            control: self.control.clone().unwrap_or_else(|| beside("gpusher-control")),
            gateway: self.gateway.clone().unwrap_or_else(|| beside("gpusher-gateway")),
        };
        for program in [&programs.control, &programs.gateway] {
            ensure!(
                program.exists(),
                "{} is missing: build it, or name it with --control and --gateway",
                program.display()
            );
        }
        Ok(programs)
    }
}

impl Common {
    pub(super) fn rates(&self) -> Rates {
        Rates { pushes_per_s: self.rate.max(1), broadcast_messages_per_s: self.broadcasts }
    }

    pub(super) fn hold(&self) -> Option<Duration> {
        self.hold.map(|seconds| Duration::from_secs_f64(seconds.clamp(0.0, 3_600.0)))
    }
}

fn key_value(text: &str) -> std::result::Result<(String, String), String> {
    let pair = text.split_once('=').ok_or("not of the form key=value")?;
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}
