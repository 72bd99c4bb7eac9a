//! From the file's shape to the types used at run time.

use super::file::{
    AuthKeys, DiscoveryKeys, DurabilityKey, File, KafkaKeys, QueueKeys, RetentionKeys, StoreKeys,
    WebKeys,
};
use super::{
    Auth, Config, DiscoveryConfig, Log, LogicConfig, QueueConfig, StoreConfig, WebConfig, invalid,
};
use crate::auth::Secret;
use crate::error::Result;
use crate::message::purge::PurgeOptions;
use crate::queue::kafka_options::{KafkaOptions, Settings};
use crate::queue::local::LocalOptions;
use crate::store::sqlite::Durability;
use crate::web;
use gpusher_discovery::DiscoveryUrl;
use gpusher_gateway::RuntimeConfig;
use std::path::Path;
use std::time::Duration;

impl File {
    pub(super) fn into_runtime(self) -> Result<Config> {
        let mut limits = self.logic.limits;
        limits.redeliver_ms = self.delivery.ack_timeout_ms;
        limits.redeliver_attempts = self.delivery.attempts_max;
        Ok(Config {
            roles: self.roles.into_iter().collect(),
            node: self.node,
            data_dir: self.data_dir,
            stop_timeout: Duration::from_millis(self.stop_ms),
            log: Log { filter: self.log.filter, format: self.log.format },
            auth: self.auth.into_runtime()?,
            discovery: self.discovery.into_runtime(&self.logic.name)?,
            store: self.store.into_runtime()?,
            routes: self.routes.url.parse()?,
            queue: self.queue.into_runtime()?,
            web: self.web.into_runtime(),
            message_listen: self.message.listen,
            message_pages: self.message.pages_listen,
            retention: self.retention.into_runtime(),
            logic: LogicConfig { name: self.logic.name, listen: self.logic.listen, limits },
            gateway: gateway(&self.gateway)?,
        })
    }
}

/// The gateway reads its own keys; that they are under `[gateway]` here is all it does not know.
fn gateway(table: &toml::Table) -> Result<RuntimeConfig> {
    RuntimeConfig::parse(&table.to_string(), [])
        .map_err(|error| invalid(format!("in [gateway]: {error}")))
}

impl AuthKeys {
    fn into_runtime(self) -> Result<Auth> {
        let mut api_keys = self.api_keys;
        if !self.api_keys_file.as_os_str().is_empty() {
            let text = std::fs::read_to_string(&self.api_keys_file).map_err(|error| {
                invalid(format!("cannot read {}: {error}", self.api_keys_file.display()))
            })?;
            api_keys.extend(text.split_whitespace().map(str::to_owned));
        }
        let api_keys = api_keys.into_iter().map(|key| Secret::new("a key of auth.api_keys", key));
        Ok(Auth {
            mode: self.mode,
            token_secret: secret("auth.token_secret", self.token_secret, &self.token_secret_file)?,
            token_lifetime: Duration::from_secs(self.token_lifetime_s),
            api_keys: api_keys.collect::<Result<_>>()?,
            link_secret: secret("auth.link_secret", self.link_secret, &self.link_secret_file)?,
        })
    }
}

fn secret(name: &str, text: String, file: &Path) -> Result<Option<Secret>> {
    match (text.is_empty(), file.as_os_str().is_empty()) {
        (true, true) => Ok(None),
        (false, true) => Secret::new(name, text).map(Some),
        (true, false) => Secret::read(name, file).map(Some),
        (false, false) => Err(invalid(format!("{name} and {name}_file are both given; keep one"))),
    }
}

impl DiscoveryKeys {
    /// An instance of logic counts itself; without a registry the list has to name all others, too.
    fn into_runtime(self, logic: &str) -> Result<DiscoveryConfig> {
        let url: DiscoveryUrl =
            self.url.parse().map_err(|error| invalid(format!("discovery.url: {error}")))?;
        let mut logics = self.logics;
        if logics.is_empty() || (url.is_registry() && !logics.iter().any(|name| name == logic)) {
            logics.push(logic.to_owned());
        }
        let lease = Duration::from_millis(self.lease_ms);
        Ok(DiscoveryConfig { url, lease, gateways: self.gateways, logics })
    }
}

impl DurabilityKey {
    fn into_runtime(self) -> Durability {
        match self {
            Self::Full => Durability::Full,
            Self::Normal => Durability::Normal,
        }
    }
}

impl StoreKeys {
    fn into_runtime(self) -> Result<StoreConfig> {
        let durability = self.durability.into_runtime();
        Ok(StoreConfig {
            url: self.url.parse()?,
            durability,
            readers: self.readers,
            cache_bytes_max: self.cache_bytes_max,
            connections: self.connections,
            timeout: Duration::from_millis(self.timeout_ms),
        })
    }
}

impl QueueKeys {
    fn into_runtime(self) -> Result<QueueConfig> {
        let local = LocalOptions {
            durability: self.durability.into_runtime(),
            records_max: self.records_max,
            bytes_max: self.bytes_max,
            memory_bytes_max: self.memory_bytes_max,
        };
        let kafka = self.kafka.into_runtime(self.records_max)?;
        Ok(QueueConfig { url: self.url.parse()?, local, kafka })
    }
}

impl KafkaKeys {
    fn into_runtime(self, records_max: u64) -> Result<KafkaOptions> {
        let mut lines = String::new();
        if !self.options_file.as_os_str().is_empty() {
            lines = std::fs::read_to_string(&self.options_file).map_err(|error| {
                invalid(format!("cannot read {}: {error}", self.options_file.display()))
            })?;
        }
        let options = self.options.iter().map(String::as_str);
        let settings = Settings::parse(options.chain(lines.lines()))?;
        if !(1..=10_000).contains(&self.partitions) || self.replicas > 1_000 {
            return Err(invalid(
                "queue.kafka.partitions must be 1 to 10000, replicas at most 1000",
            ));
        }
        for (key, name) in [("topic", &self.topic), ("upstream_topic", &self.upstream_topic)] {
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            let missing = name.is_empty() && key == "topic";
            if missing || name.len() > 200 || !name.replace("{app}", "").chars().all(plain) {
                let text = format!("queue.kafka.{key} must be of letters, digits, dots, _ and -");
                return Err(invalid(text));
            }
        }
        if self.publish_timeout_ms < 100 || self.session_timeout_ms < 1_000 {
            let text = "queue.kafka.publish_timeout_ms must be at least 100, session_timeout_ms at least 1000";
            return Err(invalid(text));
        }
        if !(1_000..=1_000_000_000).contains(&self.record_bytes_max) {
            return Err(invalid("queue.kafka.record_bytes_max must be 1000 to 1000000000"));
        }
        Ok(KafkaOptions {
            topic: self.topic,
            partitions: self.partitions,
            replicas: self.replicas,
            retention: Duration::from_secs(self.retention_s),
            records_max,
            record_bytes_max: self.record_bytes_max,
            buffer_records_max: self.buffer_records_max,
            buffer_bytes_max: self.buffer_bytes_max,
            publish_timeout: Duration::from_millis(self.publish_timeout_ms),
            session_timeout: Duration::from_millis(self.session_timeout_ms),
            handover_timeout: Duration::from_millis(self.handover_timeout_ms),
            upstream_topic: self.upstream_topic,
            settings,
            ..KafkaOptions::default()
        })
    }
}

impl WebKeys {
    fn into_runtime(self) -> WebConfig {
        let settings = web::Config {
            development: false,
            api_keys: Vec::new(),
            content_bytes_max: self.content_bytes_max,
            users_max: self.users_max,
            batch_max: self.batch_max,
            batch_bytes_max: self.batch_bytes_max,
            requests_max: self.requests_max,
            connections_max: self.connections_max,
            request_timeout: Duration::from_millis(self.request_timeout_ms),
            head_timeout: Duration::from_millis(self.head_timeout_ms),
            idempotency_bytes_max: self.idempotency_bytes_max,
            idempotency_ttl: Duration::from_secs(self.idempotency_ttl_s),
            pushes_remembered_max: self.pushes_remembered_max,
            password_checks_max: self.password_checks_max,
            password_failures_max: self.password_failures_max,
            streams_max: self.streams_max,
            stream_poll: Duration::from_millis(self.stream_poll_ms),
            apps_max_age: Duration::from_millis(self.apps_age_max_ms),
            ..web::Config::default()
        };
        WebConfig { listen: self.listen, settings }
    }
}

impl RetentionKeys {
    fn into_runtime(self) -> PurgeOptions {
        PurgeOptions {
            interval: Duration::from_secs(self.interval_s),
            retention: Duration::from_secs(self.age_max_s),
            per_channel_max: self.per_channel_max,
            batch_max: self.batch_max,
        }
    }
}
