//! What can be said on the command line, and what it means.

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use gpusher_loadtest::account::{Account, Token};
use gpusher_loadtest::compare;
use gpusher_loadtest::driver;
use gpusher_loadtest::plan::Plan;
use gpusher_loadtest::protocol;
use gpusher_loadtest::run::RunConfig;
use gpusher_loadtest::server::{Layout, Server, Settings};
use gpusher_loadtest::step::{HELP, Step};
use std::net::{SocketAddrV4, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What else this program does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Compare(compare::Arguments),
}

/// Holds many connections against a push server, pushes, and says what came of it.
#[derive(Debug, Parser)]
#[command(version, after_help = HELP, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// What to do once all are logged in; see below. None, and no plan: hold, app, unicast.
    #[arg(value_name = "STEP")]
    steps: Vec<String>,
    /// File with more steps, one a line; `#` begins a comment.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,

    /// `gpusher-control` to start for the run, with the gateway in it.
    #[arg(long, value_name = "BINARY", help_heading = "System")]
    start: Option<PathBuf>,
    /// `gpusher-gateway` to start as a process of its own, beside --start: its memory and CPU are then its own.
    #[arg(long, value_name = "BINARY", requires = "start", help_heading = "System")]
    gateway_process: Option<PathBuf>,
    /// A key of the configuration of what is started, as KEY=VALUE; those of the gateway begin with `gateway.`. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE", help_heading = "System")]
    keys: Vec<String>,
    /// Where a running system takes clients: anybody's, if --protocol is spoken there. Several, separated by commas: clients are dealt out.
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:8881",
        value_delimiter = ',',
        env = "GPUSHER_CLIENTS",
        help_heading = "System"
    )]
    connect: Vec<String>,
    /// Where a running system takes pushes.
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:7030",
        env = "GPUSHER_PUSHES",
        help_heading = "System"
    )]
    pushes: String,
    /// Process id of a running system, for its CPU and memory. May be repeated: the first holds the connections, the CPU time of all
    /// is the system's.
    #[arg(
        long = "pid",
        value_name = "PID",
        value_delimiter = ',',
        env = "GPUSHER_PIDS",
        help_heading = "System"
    )]
    pids: Vec<u32>,
    /// API key for pushes.
    #[arg(long, env = "GPUSHER_API_KEY", help_heading = "System")]
    api_key: Option<String>,
    /// Secret to sign the clients' tokens with; what is started checks them then.
    #[arg(long, env = "GPUSHER_TOKEN_SECRET", help_heading = "System")]
    token_secret: Option<String>,

    /// Client connections.
    #[arg(long, default_value_t = 10_000, help_heading = "Clients")]
    pub(crate) connections: u32,
    /// What the clients speak.
    #[arg(long, value_enum, default_value = "1", help_heading = "Clients")]
    protocol: protocol::Name,
    /// Logins a second; `max`: as fast as they are accepted.
    #[arg(long, value_name = "RATE", default_value = "5000", help_heading = "Clients")]
    logins: String,
    /// Logins that may be under way at once.
    #[arg(long, default_value_t = 1_000, help_heading = "Clients")]
    logins_under_way: u32,
    /// Seconds between two heartbeats of a connection.
    #[arg(long, default_value_t = 30, help_heading = "Clients")]
    heartbeat_s: u32,
    /// Topics that the clients are dealt out to, one each.
    #[arg(long, default_value_t = 0, help_heading = "Clients")]
    topics: u32,
    /// Users are named this and their index.
    #[arg(long, default_value = "loadtest", help_heading = "Clients")]
    user_prefix: String,
    /// Number of the app.
    #[arg(long, default_value_t = 1000, help_heading = "Clients")]
    app_id: u32,
    /// Tag of the app.
    #[arg(long, default_value = "app_gpusher", help_heading = "Clients")]
    tag: String,
    /// Connections of one thread at most; not given: a thread for each core.
    #[arg(long, help_heading = "Clients")]
    connections_per_thread: Option<u32>,
    /// Seconds that all must be logged in for before memory is read and the steps begin.
    #[arg(long, default_value_t = 2.0, help_heading = "Clients")]
    settle_s: f64,

    /// Measures, at the end, what bare sends cost on this machine.
    #[arg(long, help_heading = "Report")]
    pub(crate) floor: bool,
    /// Writes the report as JSON; `-` is standard output.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub(crate) json: Option<PathBuf>,
    /// Writes the report as a page with plots.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub(crate) html: Option<PathBuf>,
}

/// One in so many more connections than are wanted may be held: the kernel does not deal them out evenly.
const SPARE_SHARE: u32 = 10;
/// What is done unless something is said.
const STEPS: [&str; 3] = ["hold:seconds=3", "app", "unicast"];
/// API key of a system that is started with a token secret.
const API_KEY: &str = "loadtest-api-key";

impl Arguments {
    /// The run; where the server is, is not settled yet.
    pub(crate) fn run_config(&self) -> Result<RunConfig> {
        ensure!(self.connections > 0 && self.heartbeat_s > 0, "counts begin at 1");
        let plain = |name: &str| !name.contains(['"', '\\']) && !name.contains(char::is_control);
        ensure!(plain(&self.user_prefix) && plain(&self.tag), "names must need no quoting in JSON");
        let most = driver::connections_max()?;
        let token = self.token_secret.as_ref();
        let account = Account {
            app_id: self.app_id,
            tag: self.tag.clone(),
            user_prefix: self.user_prefix.clone(),
            token: token.map_or(Token::Any, |secret| Token::signed(secret.as_bytes())),
            topics: self.topics,
        };
        Ok(RunConfig {
            plan: Plan {
                servers: Arc::default(),
                protocol: self.protocol,
                account,
                first: 0,
                count: self.connections,
                start_ns: 0,
                logins_per_s: self.logins_per_s()?,
                logins_under_way: self.logins_under_way.max(1),
                heartbeat: Duration::from_secs(self.heartbeat_s.into()),
            },
            connections_per_thread: self.connections_per_thread.unwrap_or(most).clamp(1, most),
            settle: Duration::from_secs_f64(self.settle_s.max(0.0)),
            steps: self.named_steps()?,
            api_key: self.api_key(),
            command: command_line(std::env::args()),
        })
    }

    fn logins_per_s(&self) -> Result<f64> {
        if self.logins == "max" {
            return Ok(f64::INFINITY);
        }
        let rate: f64 = self.logins.parse().context("--logins is a rate, or max")?;
        ensure!(rate > 0.0, "--logins must be above 0");
        Ok(rate)
    }

    fn named_steps(&self) -> Result<Vec<(String, Step)>> {
        let mut names = self.steps.clone();
        if let Some(path) = &self.plan {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
            names.extend(lines.filter(|line| !line.is_empty()).map(str::to_owned));
        }
        if names.is_empty() {
            names = STEPS.map(str::to_owned).to_vec();
        }
        names.into_iter().map(|name| Ok((name.clone(), name.parse()?))).collect()
    }

    fn api_key(&self) -> Option<String> {
        let started = self.start.is_some() && self.token_secret.is_some();
        self.api_key.clone().or_else(|| started.then(|| API_KEY.to_owned()))
    }

    /// Bytes of the floor's messages.
    pub(crate) fn size(&self) -> usize {
        64
    }

    /// The system under test, started if it is to be.
    pub(crate) fn server(&self) -> Result<Server> {
        let Some(control) = &self.start else {
            let clients = self.connect.iter().map(|at| resolve(at)).collect::<Result<_>>()?;
            let pushes = resolve(&self.pushes)?;
            return Ok(Server::running(clients, pushes, &self.pids));
        };
        let layout = match &self.gateway_process {
            None => Layout::One(control.clone()),
            Some(gateway) => Layout::Apart { gateway: gateway.clone(), control: control.clone() },
        };
        let mut keys = self.fitting_keys()?;
        for key in &self.keys {
            let (key, value) = key.split_once('=').context("--set takes KEY=VALUE")?;
            keys.push((key.to_owned(), value.to_owned()));
        }
        let token_secret = self.token_secret.clone();
        Server::start(Settings { layout, keys, token_secret, api_key: self.api_key() })
    }

    /// What the gateway needs for so many connections, and for the clients' heartbeats.
    fn fitting_keys(&self) -> Result<Vec<(String, String)>> {
        let mut keys = Vec::new();
        let mut key = |key: &str, value: String| keys.push((format!("gateway.{key}"), value));
        key("deadlines.heartbeat_ms", (self.heartbeat_s * 1_000).to_string());
        key("deadlines.idle_ms", (self.heartbeat_s * 3_000).to_string());
        if self.connections > driver::connections_per_ring()? / 2 {
            key("descriptors", "direct".to_owned());
            let most = u64::from(self.connections) + u64::from(self.connections / SPARE_SHARE);
            key("connections_max", most.to_string());
        }
        Ok(keys)
    }
}

/// As it was given, but for secrets.
fn command_line(arguments: impl Iterator<Item = String>) -> String {
    let mut hide = false;
    let shown = arguments.map(|argument| {
        let name = argument.split('=').next().unwrap_or_default();
        let secret = matches!(name, "--token-secret" | "--api-key");
        let hidden = std::mem::replace(&mut hide, secret && name == argument);
        match (hidden, secret && name != argument) {
            (true, _) => "***".to_owned(),
            (false, true) => format!("{name}=***"),
            (false, false) => argument,
        }
    });
    shown.collect::<Vec<_>>().join(" ")
}

fn resolve(text: &str) -> Result<SocketAddrV4> {
    let mut found = text.to_socket_addrs().with_context(|| format!("{text} is not HOST:PORT"))?;
    let first = found.find_map(|address| match address {
        std::net::SocketAddr::V4(address) => Some(address),
        std::net::SocketAddr::V6(_) => None,
    });
    first.with_context(|| format!("{text} has no IPv4 address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_in_the_report() {
        let line = ["lt", "--token-secret", "one", "--api-key=two", "app"].map(str::to_owned);
        assert_eq!(command_line(line.into_iter()), "lt --token-secret *** --api-key=*** app");
    }

    #[test]
    fn a_plan_adds_its_steps() {
        let folder = tempfile::tempdir().unwrap();
        let plan = folder.path().join("plan");
        std::fs::write(&plan, "# first\nhold:seconds=1  # briefly\n\nunicast\n").unwrap();
        let plan = plan.to_str().unwrap();
        let arguments = Arguments::parse_from(["lt", "app", "--plan", plan]);
        let names: Vec<_> =
            arguments.named_steps().unwrap().into_iter().map(|step| step.0).collect();
        assert_eq!(names, ["app", "hold:seconds=1", "unicast"]);
    }
}
