//! The file's shape, and its way to the types used at run time.

use super::{
    Auth, ConfigError, Deadlines, Descriptors, DiscoveryConfig, Limits, LinkConfig, RuntimeConfig,
};
use serde::Deserialize;
use std::net::SocketAddr;
use std::time::Duration;
use toml::Table;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    id: i64,
    listen: String,
    client_addr: String,
    rpc_listen: String,
    admin_listen: String,
    shards: i64,
    io: String,
    descriptors: String,
    connections_max: i64,
    auth: AuthKeys,
    discovery: DiscoveryKeys,
    link: LinkKeys,
    limits: LimitKeys,
    deadlines: DeadlineKeys,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthKeys {
    mode: String,
    secret: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DiscoveryKeys {
    url: String,
    lease_ms: i64,
    address: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkKeys {
    secret: String,
    commands_max: i64,
    jobs_bytes_max: i64,
    recalled_max: i64,
    join_wait_ms: i64,
    stall_ms: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitKeys {
    outbox_bytes: i64,
    outbox_frames: i64,
    outbox_bytes_per_shard: i64,
    frame_bytes_before_admission: i64,
    frame_bytes: i64,
    partial_bytes_per_shard: i64,
    topics_per_connection: i64,
    frames_per_second: i64,
    frames_burst: i64,
    mail_per_shard: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeadlineKeys {
    login_ms: i64,
    idle_ms: i64,
    slow_ms: i64,
    heartbeat_ms: i64,
    ack_delay_ms: i64,
    admit_alone_ms: i64,
    stop_grace_ms: i64,
}

impl File {
    /// Every key is there, of the right type: the overlay saw to that.
    pub(super) fn read(table: Table) -> Result<Self, ConfigError> {
        Ok(table.try_into()?)
    }

    pub(super) fn into_runtime(self) -> Result<RuntimeConfig, ConfigError> {
        let nonzero = |value: usize| (value > 0).then_some(value);
        Ok(RuntimeConfig {
            id: number("id", self.id, 0)?,
            listen: address("listen", &self.listen)?,
            client_addr: nonempty(self.client_addr),
            rpc_listen: Some(address("rpc_listen", &self.rpc_listen)?),
            admin_listen: Some(address("admin_listen", &self.admin_listen)?),
            shards: nonzero(number("shards", self.shards, 0)?),
            io: choice("io", self.io, "\"uring\", \"epoll\" or \"auto\"")?,
            descriptors: choice::<Descriptors>(
                "descriptors",
                self.descriptors,
                "\"plain\" or \"direct\"",
            )?,
            connections_max: nonzero(number("connections_max", self.connections_max, 0)?),
            auth: self.auth.into_runtime()?,
            discovery: self.discovery.into_runtime()?,
            link: self.link.into_runtime()?,
            limits: self.limits.into_runtime()?,
            deadlines: self.deadlines.into_runtime()?,
        })
    }
}

impl AuthKeys {
    fn into_runtime(self) -> Result<Auth, ConfigError> {
        match self.mode.as_str() {
            "any" => Ok(Auth::Any),
            "jwt" => Ok(Auth::Jwt { secret: self.secret }),
            _ => Err(bad("auth.mode", "\"jwt\" or \"any\"", self.mode)),
        }
    }
}

impl DiscoveryKeys {
    fn into_runtime(self) -> Result<DiscoveryConfig, ConfigError> {
        Ok(DiscoveryConfig {
            url: self.url,
            lease: millis("discovery.lease_ms", self.lease_ms)?,
            address: nonempty(self.address),
        })
    }
}

impl LinkKeys {
    fn into_runtime(self) -> Result<LinkConfig, ConfigError> {
        Ok(LinkConfig {
            secret: nonempty(self.secret),
            commands_max: number("link.commands_max", self.commands_max, 1)?,
            jobs_bytes_max: number("link.jobs_bytes_max", self.jobs_bytes_max, 1)?,
            recalled_max: number("link.recalled_max", self.recalled_max, 1)?,
            join_wait: millis("link.join_wait_ms", self.join_wait_ms)?,
            stall: millis("link.stall_ms", self.stall_ms)?,
        })
    }
}

impl LimitKeys {
    fn into_runtime(self) -> Result<Limits, ConfigError> {
        Ok(Limits {
            outbox_bytes: number("limits.outbox_bytes", self.outbox_bytes, 1)?,
            outbox_frames: number("limits.outbox_frames", self.outbox_frames, 1)?,
            outbox_bytes_per_shard: number(
                "limits.outbox_bytes_per_shard",
                self.outbox_bytes_per_shard,
                1,
            )?,
            frame_bytes_before_admission: number(
                "limits.frame_bytes_before_admission",
                self.frame_bytes_before_admission,
                1,
            )?,
            frame_bytes: number("limits.frame_bytes", self.frame_bytes, 1)?,
            partial_bytes_per_shard: number(
                "limits.partial_bytes_per_shard",
                self.partial_bytes_per_shard,
                1,
            )?,
            topics_per_connection: number(
                "limits.topics_per_connection",
                self.topics_per_connection,
                0,
            )?,
            frames_per_second: number("limits.frames_per_second", self.frames_per_second, 0)?,
            frames_burst: number("limits.frames_burst", self.frames_burst, 1)?,
            mail_per_shard: number("limits.mail_per_shard", self.mail_per_shard, 1)?,
        })
    }
}

impl DeadlineKeys {
    fn into_runtime(self) -> Result<Deadlines, ConfigError> {
        Ok(Deadlines {
            login: millis("deadlines.login_ms", self.login_ms)?,
            idle: millis("deadlines.idle_ms", self.idle_ms)?,
            slow: millis("deadlines.slow_ms", self.slow_ms)?,
            heartbeat: millis("deadlines.heartbeat_ms", self.heartbeat_ms)?,
            ack_delay: millis("deadlines.ack_delay_ms", self.ack_delay_ms)?,
            admit_alone: millis("deadlines.admit_alone_ms", self.admit_alone_ms)?,
            stop_grace: millis("deadlines.stop_grace_ms", self.stop_grace_ms)?,
        })
    }
}

fn nonempty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn bad(key: &str, expected: impl Into<String>, found: impl Into<String>) -> ConfigError {
    ConfigError::BadValue { key: key.into(), expected: expected.into(), found: found.into() }
}

fn number<T: TryFrom<i64> + PartialOrd>(
    key: &str,
    value: i64,
    least: i64,
) -> Result<T, ConfigError> {
    let in_range = T::try_from(value).ok().filter(|_| value >= least);
    in_range.ok_or_else(|| bad(key, format!("a number from {least}"), value.to_string()))
}

fn millis(key: &str, value: i64) -> Result<Duration, ConfigError> {
    number::<u32>(key, value, 0).map(|ms| Duration::from_millis(ms.into()))
}

fn address(key: &str, text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| bad(key, "an address like 127.0.0.1:8881", text))
}

fn choice<T: for<'a> Deserialize<'a>>(
    key: &str,
    text: String,
    expected: &str,
) -> Result<T, ConfigError> {
    let value = toml::Value::String(text.clone());
    value.try_into().map_err(|_| bad(key, expected, text))
}
