//! The file's shape. `deploy/control.toml` says what each key means.

use crate::logic::Limits;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub roles: Vec<super::Role>,
    pub node: u32,
    pub data_dir: PathBuf,
    pub stop_ms: u64,
    pub log: LogKeys,
    pub auth: AuthKeys,
    pub discovery: DiscoveryKeys,
    pub store: StoreKeys,
    pub routes: RoutesKeys,
    pub queue: QueueKeys,
    pub web: WebKeys,
    pub message: MessageKeys,
    pub retention: RetentionKeys,
    pub logic: LogicKeys,
    pub delivery: DeliveryKeys,
    pub gateway: toml::Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogKeys {
    pub filter: String,
    pub format: super::LogFormat,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuthKeys {
    pub mode: super::AuthMode,
    pub token_secret: String,
    pub token_secret_file: PathBuf,
    pub token_lifetime_s: u64,
    pub api_keys: Vec<String>,
    pub api_keys_file: PathBuf,
    pub link_secret: String,
    pub link_secret_file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DiscoveryKeys {
    pub url: String,
    pub lease_ms: u64,
    pub gateways: Vec<String>,
    pub logics: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoreKeys {
    pub url: String,
    pub durability: DurabilityKey,
    pub readers: u32,
    pub cache_bytes_max: u64,
    pub connections: u32,
    pub timeout_ms: u64,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum DurabilityKey {
    Full,
    Normal,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoutesKeys {
    pub url: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QueueKeys {
    pub url: String,
    pub durability: DurabilityKey,
    pub records_max: u64,
    pub bytes_max: u64,
    pub memory_bytes_max: usize,
    pub kafka: KafkaKeys,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KafkaKeys {
    pub topic: String,
    pub partitions: u32,
    pub replicas: u32,
    pub retention_s: u64,
    pub record_bytes_max: usize,
    pub buffer_records_max: usize,
    pub buffer_bytes_max: usize,
    pub publish_timeout_ms: u64,
    pub session_timeout_ms: u64,
    pub handover_timeout_ms: u64,
    pub upstream_topic: String,
    pub options: Vec<String>,
    pub options_file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebKeys {
    pub listen: SocketAddr,
    pub content_bytes_max: usize,
    pub users_max: usize,
    pub batch_max: usize,
    pub batch_bytes_max: usize,
    pub requests_max: usize,
    pub connections_max: usize,
    pub request_timeout_ms: u64,
    pub head_timeout_ms: u64,
    pub idempotency_bytes_max: u64,
    pub idempotency_ttl_s: u64,
    pub pushes_remembered_max: usize,
    pub password_checks_max: usize,
    pub password_failures_max: u32,
    pub streams_max: usize,
    pub stream_poll_ms: u64,
    pub apps_age_max_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageKeys {
    pub listen: SocketAddr,
    pub pages_listen: SocketAddr,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetentionKeys {
    pub age_max_s: u64,
    pub per_channel_max: u64,
    pub interval_s: u64,
    pub batch_max: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogicKeys {
    pub name: String,
    pub listen: SocketAddr,
    pub limits: Limits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeliveryKeys {
    pub ack_timeout_ms: u64,
    pub attempts_max: u8,
}
