//! Configuration: one commented file (`deploy/control.toml`, printed by `print-config`), the environment over it, the command line over
//! both; parsed once into the types used at run time.

mod file;
#[cfg(test)]
mod fuzz;
mod rules;
mod runtime;
#[cfg(test)]
mod tests;

use crate::auth::Secret;
use crate::backend::{QueueUrl, RoutesUrl, StoreUrl};
use crate::error::{Code, Error, Result};
use crate::message::purge::PurgeOptions;
use crate::queue::kafka_options::KafkaOptions;
use crate::queue::local::LocalOptions;
use crate::store::sqlite::Durability;
use crate::{logic, web};
#[cfg(any(feature = "postgres", feature = "mysql"))]
use crate::{server_url::ServerUrl, store::ServerOptions};
use gpusher_discovery::DiscoveryUrl;
use gpusher_gateway::config::{Io, overlay};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::{Table, Value};

/// The defaults, with the documentation of every key.
pub const DEFAULTS: &str = include_str!("../../../deploy/control.toml");

/// Environment variables that begin with this mirror the paths of the file.
pub const ENVIRONMENT_PREFIX: &str = "GPUSHER_CONTROL__";

/// Everything the process is told. `deploy/control.toml` says what each value means.
#[derive(Debug, Clone)]
pub struct Config {
    /// What this process does; never empty.
    pub roles: BTreeSet<Role>,
    /// For message ids.
    pub node: u32,
    /// What this process keeps.
    pub data_dir: PathBuf,
    /// For stopping in order.
    pub stop_timeout: Duration,
    /// Logging.
    pub log: Log,
    /// Tokens, keys, secrets.
    pub auth: Auth,
    /// The other processes.
    pub discovery: DiscoveryConfig,
    /// Users, apps, logs.
    pub store: StoreConfig,
    /// Who is where.
    pub routes: RoutesUrl,
    /// Accepted jobs.
    pub queue: QueueConfig,
    /// HTTP.
    pub web: WebConfig,
    /// Where the message role listens.
    pub message_listen: SocketAddr,
    /// Where it shows health and numbers, if neither web nor logic of its process does.
    pub message_pages: SocketAddr,
    /// What the message role removes.
    pub retention: PurgeOptions,
    /// Routing and delivery.
    pub logic: LogicConfig,
    /// Client connections. Its `auth` and link secret are settled when the process starts.
    pub gateway: gpusher_gateway::RuntimeConfig,
}

/// A part of the control plane that a process can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// HTTP.
    Web,
    /// Routing and delivery.
    Logic,
    /// Store, routes, queue.
    Message,
    /// Client connections.
    Gateway,
}

/// Logging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// What is logged, as in `RUST_LOG`.
    pub filter: String,
    /// How.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For collectors.
    Json,
}

/// Whether callers must prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Clients by token, HTTP callers by API key.
    Required,
    /// Nobody: development on loopback.
    Open,
}

/// Tokens, keys, secrets.
#[derive(Debug, Clone)]
pub struct Auth {
    /// Whether they are asked for.
    pub mode: AuthMode,
    /// Signs tokens; none: one is generated.
    pub token_secret: Option<Secret>,
    /// How long a token is good for.
    pub token_lifetime: Duration,
    /// What HTTP callers present.
    pub api_keys: Vec<Secret>,
    /// What processes present to each other.
    pub link_secret: Option<Secret>,
}

/// The other processes.
#[derive(Debug, Clone)]
pub struct DiscoveryConfig {
    /// Where processes find each other.
    pub url: DiscoveryUrl,
    /// How long a registration outlives its process.
    pub lease: Duration,
    /// Gateways besides those registered, host:port.
    pub gateways: Vec<String>,
    /// Names of instances of logic besides those registered; without a registry, all of them. Never empty.
    pub logics: Vec<String>,
}

/// Users, apps, logs.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Where.
    pub url: StoreUrl,
    /// What a call that has returned survives.
    pub durability: Durability,
    /// Connections that read a SQLite file.
    pub readers: u32,
    /// Pages of a SQLite file that its writer keeps in memory, in bytes.
    pub cache_bytes_max: u64,
    /// Connections to a server.
    pub connections: u32,
    /// After which a call to a server is given up.
    pub timeout: Duration,
}

/// Accepted jobs.
#[derive(Debug, Clone)]
pub struct QueueConfig {
    /// Where.
    pub url: QueueUrl,
    /// Of the local queue.
    pub local: LocalOptions,
    /// Of the queue on Kafka; servers and instance are settled when it is opened.
    pub kafka: KafkaOptions,
}

/// HTTP.
#[derive(Debug, Clone)]
pub struct WebConfig {
    /// Where.
    pub listen: SocketAddr,
    /// The role's settings. Keys and mode are settled when the process starts.
    pub settings: web::Config,
}

/// Routing and delivery.
#[derive(Debug, Clone)]
pub struct LogicConfig {
    /// Of this instance.
    pub name: String,
    /// Health and metrics, where web is not in the process.
    pub listen: SocketAddr,
    /// The role's limits.
    pub limits: logic::Limits,
}

impl StoreConfig {
    /// How the store on a server is reached.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(crate) fn server(&self, url: &ServerUrl) -> ServerOptions {
        let (connections, call_timeout) = (self.connections, self.timeout);
        ServerOptions { url: url.clone(), connections, call_timeout }
    }
}

impl Config {
    /// Reads the file, if one is named, and the environment.
    ///
    /// # Errors
    /// `invalid`, with the key and what may stand there.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self> {
        let text = match file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| invalid(format!("cannot read {}: {error}", path.display())))?,
        };
        Self::parse(&text, environment)
    }

    /// As [`Config::load`], from the text of a file.
    ///
    /// # Errors
    /// `invalid`, with the key and what may stand there.
    pub fn parse(
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self> {
        let mut table = defaults();
        overlay::apply_text(&mut table, text).map_err(invalid)?;
        overlay::apply_environment(&mut table, ENVIRONMENT_PREFIX, environment).map_err(invalid)?;
        let file: file::File = table.try_into().map_err(invalid)?;
        file.into_runtime()
    }

    /// The same, open to anybody on this machine, with epoll also where io_uring is blocked, and with little ceremony at the end.
    #[must_use]
    pub fn for_development(mut self) -> Self {
        self.auth.mode = AuthMode::Open;
        if self.gateway.io == Io::Uring {
            self.gateway.io = Io::Auto;
        }
        self.gateway.deadlines.stop_grace = Duration::from_millis(500);
        self
    }

    /// Whether this process has the role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

/// The embedded file, with the gateway's own below `[gateway]`, so that its keys are known here too.
fn defaults() -> Table {
    let mut table: Table = DEFAULTS.parse().expect("the embedded defaults are TOML");
    let gateway = gpusher_gateway::config::DEFAULTS.parse().expect("so are the gateway's");
    table.insert("gateway".into(), Value::Table(gateway));
    table
}

fn invalid(error: impl fmt::Display) -> Error {
    Error::new(Code::Invalid, error.to_string().trim_end())
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Web => "web",
            Self::Logic => "logic",
            Self::Message => "message",
            Self::Gateway => "gateway",
        })
    }
}
