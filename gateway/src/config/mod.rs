//! Configuration: one commented file (`deploy/gateway.toml`, printed by `--print-config`), the environment over it, the command line over
//! both; parsed once into the types used at run time.

mod file;
#[cfg(test)]
mod fuzz;
pub mod overlay;
mod rules;
#[cfg(test)]
mod tests;

pub use rules::Refused;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// The defaults, with the documentation of every key.
pub const DEFAULTS: &str = include_str!("../../../deploy/gateway.toml");

/// Environment variables that begin with this mirror the paths of the file.
pub const ENVIRONMENT_PREFIX: &str = "GPUSHER_GATEWAY__";

/// Everything the gateway is told. `deploy/gateway.toml` says what each value means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeConfig {
    /// Number of this gateway.
    pub id: u32,
    /// Where clients connect. Port 0: any that is free.
    pub listen: SocketAddr,
    /// Where clients are told to connect; none: where the gateway listens.
    pub client_addr: Option<String>,
    /// Where logic attaches by gRPC; none: only in the process.
    pub rpc_listen: Option<SocketAddr>,
    /// Health and metrics; none: nowhere.
    pub admin_listen: Option<SocketAddr>,
    /// Number of shards; none: one per core.
    pub shards: Option<usize>,
    /// How shards talk to the kernel.
    pub io: Io,
    /// Where sockets are kept.
    pub descriptors: Descriptors,
    /// Connections at most; none: what descriptors and tables allow.
    pub connections_max: Option<usize>,
    /// How tokens are checked.
    pub auth: Auth,
    /// How logic finds the gateway.
    pub discovery: DiscoveryConfig,
    /// The link to logic.
    pub link: LinkConfig,
    /// What each part may take.
    pub limits: Limits,
    /// How long things may take.
    pub deadlines: Deadlines,
}

/// How shards talk to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Io {
    /// io_uring, or a refusal to start.
    Uring,
    /// epoll.
    Epoll,
    /// io_uring where it works.
    Auto,
}

/// Where sockets are kept under io_uring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Descriptors {
    /// In the process's table.
    Plain,
    /// In each ring's table.
    Direct,
}

/// How tokens are checked.
#[derive(Clone, PartialEq, Eq)]
pub enum Auth {
    /// Any token is good. For development on loopback.
    Any,
    /// HS256 with this secret.
    Jwt {
        /// Shared with whoever signs.
        secret: String,
    },
}

/// How logic finds the gateway. Who runs it registers it, not the gateway itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveryConfig {
    /// Where it is registered, as `gpusher-discovery` understands it.
    pub url: String,
    /// How long the registration outlives the process.
    pub lease: Duration,
    /// Where logic reaches `rpc_listen`, host:port; none: there.
    pub address: Option<String>,
}

/// The link to logic.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkConfig {
    /// What a gRPC caller must present; none: nothing.
    pub secret: Option<String>,
    /// Commands of one logic on their way.
    pub commands_max: u32,
    /// Bytes of deliveries under way.
    pub jobs_bytes_max: usize,
    /// Recalled messages remembered.
    pub recalled_max: usize,
    /// How long a join's answer is held.
    pub join_wait: Duration,
    /// How long events may stay unread.
    pub stall: Duration,
}

/// What each part may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in one outbox.
    pub outbox_bytes: usize,
    /// Frames in one outbox.
    pub outbox_frames: usize,
    /// Bytes in all outboxes of one shard.
    pub outbox_bytes_per_shard: usize,
    /// Largest body before the admission.
    pub frame_bytes_before_admission: u32,
    /// Largest body after it.
    pub frame_bytes: u32,
    /// Bytes of partial frames in one shard.
    pub partial_bytes_per_shard: usize,
    /// Topics of one connection.
    pub topics_per_connection: usize,
    /// Frames of one client a second; 0: no limit.
    pub frames_per_second: u32,
    /// Frames of one client at once.
    pub frames_burst: u32,
    /// Mails waiting before one shard.
    pub mail_per_shard: usize,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Until the login is complete.
    pub login: Duration,
    /// Between two frames of a client.
    pub idle: Duration,
    /// Until a socket that takes nothing is given up.
    pub slow: Duration,
    /// Heartbeat interval told to clients.
    pub heartbeat: Duration,
    /// Longest delay of acknowledgements told to clients.
    pub ack_delay: Duration,
    /// Before logins are admitted without logic.
    pub admit_alone: Duration,
    /// Between GOAWAY and close at the end.
    pub stop_grace: Duration,
}

impl RuntimeConfig {
    /// Reads the file, if one is named, and the environment.
    ///
    /// # Errors
    /// With the key and what may stand there.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let text = match file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Unreadable { path: path.into(), source })?,
        };
        Self::parse(&text, environment)
    }

    /// As [`RuntimeConfig::load`], from the text of a file.
    ///
    /// # Errors
    /// With the key and what may stand there.
    pub fn parse(
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut table = DEFAULTS.parse().expect("the embedded defaults are TOML");
        overlay::apply_text(&mut table, text)?;
        overlay::apply_environment(&mut table, ENVIRONMENT_PREFIX, environment)?;
        file::File::read(table)?.into_runtime()
    }

    /// For tests and for one process that holds everything: the defaults on loopback with ports of the kernel's choice, any token accepted, no
    /// gRPC and no admin listener, io_uring where it works.
    pub fn embedded() -> Self {
        let defaults = Self::parse("", []).expect("the embedded defaults are valid");
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            rpc_listen: None,
            admin_listen: None,
            io: Io::Auto,
            auth: Auth::Any,
            ..defaults
        }
    }
}

/// A configuration that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or may not be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable {
        /// Which file.
        path: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Not TOML.
    #[error("the configuration is not TOML: {0}")]
    Syntax(#[from] toml::de::Error),
    /// Not a key of ours.
    #[error("unknown key {key}; the printed configuration lists all keys")]
    UnknownKey {
        /// Path of the key, or the environment variable.
        key: String,
    },
    /// Not a value for that key.
    #[error("{key} must be {expected}, not {found}")]
    BadValue {
        /// Path of the key.
        key: String,
        /// What may stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Any => "Any",
            Self::Jwt { .. } => "Jwt",
        })
    }
}

impl std::fmt::Debug for LinkConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkConfig")
            .field("secret", &self.secret.as_ref().map(|_| "…"))
            .field("commands_max", &self.commands_max)
            .field("jobs_bytes_max", &self.jobs_bytes_max)
            .field("recalled_max", &self.recalled_max)
            .field("join_wait", &self.join_wait)
            .field("stall", &self.stall)
            .finish()
    }
}
