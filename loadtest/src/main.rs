//! `gpusher-loadtest`: the command line.
//!
//! Exit codes: 0 passed, 1 the product lost, doubled or disordered something, 2 the run is not valid (the generator was the
//! bottleneck), 64 wrong arguments, 70 something else broke.

#![forbid(unsafe_code)]

use anyhow::{Context, Result};
use clap::Parser;
use gpusher_loadtest::account::{Account, Token};
use gpusher_loadtest::driver;
use gpusher_loadtest::offer::{Audience, Phase};
use gpusher_loadtest::plan::Plan;
use gpusher_loadtest::protocol;
use gpusher_loadtest::report::Report;
use gpusher_loadtest::run::{NamedPhase, RunConfig, run};
use gpusher_loadtest::server::Server;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Holds many connections against gpusher, pushes, and says what came of it.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// `gpusher-control` to start for the run; without it a running system is used.
    #[arg(long, value_name = "BINARY")]
    start: Option<PathBuf>,
    /// Argument for the started server; may be repeated.
    #[arg(long = "server-argument", value_name = "ARGUMENT", allow_hyphen_values = true)]
    server_arguments: Vec<String>,
    /// Where a running system takes clients.
    #[arg(long, default_value = "127.0.0.1:8881")]
    clients: SocketAddrV4,
    /// Where a running system takes pushes.
    #[arg(long, default_value = "127.0.0.1:7030")]
    pushes: SocketAddrV4,
    /// Process id of a running system, for its CPU and memory.
    #[arg(long)]
    pid: Option<u32>,
    /// API key for pushes.
    #[arg(long, env = "GPUSHER_API_KEY")]
    api_key: Option<String>,
    /// Client connections.
    #[arg(long, default_value_t = 10_000)]
    connections: u32,
    /// Threads that hold them.
    #[arg(long, default_value_t = 1)]
    threads: u32,
    /// What the clients speak.
    #[arg(long, value_enum, default_value = "1")]
    protocol: protocol::Name,
    /// Logins a second.
    #[arg(long, default_value_t = 5_000.0)]
    logins_per_s: f64,
    /// Seconds between two heartbeats of a connection.
    #[arg(long, default_value_t = 30)]
    heartbeat_s: u64,
    /// Seconds to hold the connections before the first push.
    #[arg(long, default_value_t = 3)]
    hold_s: u64,
    /// Broadcasts to everybody, and how many a second.
    #[arg(long, default_value_t = 20)]
    broadcasts: u32,
    #[arg(long, default_value_t = 2.0)]
    broadcasts_per_s: f64,
    /// Pushes to single users, and how many a second.
    #[arg(long, default_value_t = 2_000)]
    unicasts: u32,
    #[arg(long, default_value_t = 500.0)]
    unicasts_per_s: f64,
    /// Connections that pushes are spread over.
    #[arg(long, default_value_t = 64)]
    lines: u32,
    /// Bytes of content.
    #[arg(long, default_value_t = 64)]
    size: usize,
    /// Keep pushes for who is not connected.
    #[arg(long)]
    kept: bool,
    /// Name of the first user's letters; the index follows.
    #[arg(long, default_value = "loadtest")]
    user_prefix: String,
    /// Prints the report as JSON.
    #[arg(long)]
    json: bool,
}

/// The floor needs a descriptor for each socket, of the 20,000 that a cautious machine gives.
const FLOOR_SOCKETS_MAX: u32 = 10_000;
const FLOOR_ROUNDS: u32 = 5;

impl Arguments {
    fn run_config(&self, clients: SocketAddrV4) -> RunConfig {
        RunConfig {
            plan: Plan {
                server: clients,
                protocol: self.protocol,
                account: Account {
                    app_id: 1000,
                    tag: "app_gpusher".to_owned(),
                    user_prefix: self.user_prefix.clone(),
                    token: Token::Any,
                    topics: 0,
                },
                first: 0,
                count: self.connections,
                logins_per_s: self.logins_per_s,
                heartbeat: Duration::from_secs(self.heartbeat_s),
            },
            threads: self.threads,
            hold: Duration::from_secs(self.hold_s),
            phases: self.phases(),
            api_key: self.api_key.clone(),
        }
    }

    fn phases(&self) -> Vec<NamedPhase> {
        let phase = |series, audience, rate_per_s, count| Phase {
            series,
            audience,
            rate_per_s,
            count,
            size: self.size,
            kept: self.kept,
            batch: 1,
            lines: self.lines,
        };
        let broadcasts = phase(1, Audience::App, self.broadcasts_per_s, self.broadcasts);
        let users = Audience::Users(self.connections);
        let unicasts = phase(2, users, self.unicasts_per_s, self.unicasts);
        [("broadcast", broadcasts), ("unicast", unicasts)]
            .into_iter()
            .filter(|(_, phase)| phase.count > 0)
            .map(|(name, phase)| NamedPhase {
                name: format!("{name} {}/s", phase.rate_per_s),
                phase,
            })
            .collect()
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| {
        let _ = error.print();
        std::process::exit(if error.use_stderr() { 64 } else { 0 });
    });
    match measure(&arguments) {
        Ok(report) => verdict(&arguments, &report),
        Err(error) => {
            eprintln!("gpusher-loadtest: {error:#}");
            ExitCode::from(70)
        }
    }
}

fn verdict(arguments: &Arguments, report: &Report) -> ExitCode {
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(report).expect("a report is plain data"));
    } else {
        report.print();
    }
    ExitCode::from(match (&report.invalid, report.passed()) {
        (Some(_), _) => 2,
        (None, false) => 1,
        (None, true) => 0,
    })
}

fn measure(arguments: &Arguments) -> Result<Report> {
    gpusher_sys::limits::raise_descriptor_limit().context("cannot raise the descriptor limit")?;
    let server = match &arguments.start {
        Some(binary) => Server::start(binary, &arguments.server_arguments)?,
        None => Server::running(arguments.clients, arguments.pushes, arguments.pid),
    };
    let config = arguments.run_config(server.clients);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut report = runtime.block_on(run(&server, &config, driver::open))?;
    drop(server);
    let sockets = arguments.connections.min(FLOOR_SOCKETS_MAX);
    let floor = gpusher_bench::floor::measure(sockets, FLOOR_ROUNDS, arguments.size)?;
    report.set_floor(floor);
    Ok(report)
}
