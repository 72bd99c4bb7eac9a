//! What the operator sees: gateways, backlog, limits, health, metrics.

use super::Web;
use super::envelope::{Answer, Decimal, Envelope, encode_ok, ok, ok_encoded};
use crate::metrics::metrics_page;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use gpusher_proto::data::GatewayLease;
use serde::Serialize;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// A dependency that takes longer counts as failing.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// A gateway as it last reported.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct GatewayView {
    /// Its number.
    gateway: u32,
    /// Of its process.
    epoch: Decimal,
    /// host:port for clients.
    client_addr: String,
    /// Connections held.
    connections: u64,
    /// Connections it can hold.
    connections_max: u64,
    /// Logins since it started.
    logins: Decimal,
    /// Messages taken by sockets since it started.
    messages_written: Decimal,
    /// Bytes taken by sockets since it started.
    bytes_written: Decimal,
    /// Messages dropped since it started.
    dropped: Decimal,
    /// Memory of the process.
    memory_bytes: Decimal,
}

impl From<GatewayLease> for GatewayView {
    fn from(lease: GatewayLease) -> Self {
        let load = lease.load.unwrap_or_default();
        Self {
            gateway: lease.gateway,
            epoch: Decimal(lease.epoch),
            client_addr: lease.client_addr,
            connections: load.connections,
            connections_max: load.connections_max,
            logins: Decimal(load.logins),
            messages_written: Decimal(load.messages_written),
            bytes_written: Decimal(load.bytes_written),
            dropped: Decimal(load.dropped),
            memory_bytes: Decimal(load.memory_bytes),
        }
    }
}

/// Limits of the HTTP API.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Limits {
    /// Content of one push.
    content_bytes: usize,
    /// Users in one push.
    users: usize,
    /// Pushes in one batch.
    batch: usize,
    /// Body of a batch.
    batch_bytes: usize,
    /// Seconds that a push may live.
    expire_time: u64,
    /// Requests under way.
    requests: usize,
    /// Event streams.
    streams: usize,
}

/// The system.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct System {
    /// Version of this web process.
    version: &'static str,
    /// Versions of the client protocol.
    protocols: [u32; 2],
    /// No keys, any token.
    development: bool,
    /// Of the message logs.
    epoch: Decimal,
    /// Pushes accepted and not yet delivered to the gateways.
    queue_depth: u64,
    /// Gateways with a running lease.
    gateways: Vec<GatewayView>,
    /// Limits of the HTTP API.
    limits: Limits,
}

/// The system at a glance
#[utoipa::path(
    get, path = "/v1/system", tag = "system",
    responses((status = 200, description = "Gateways, backlog, limits", body = Envelope<System>))
)]
pub(super) async fn system(State(web): State<Arc<Web>>) -> Answer {
    let config = &web.config;
    let mut gateways = web.routes.gateways().await?;
    gateways.sort_by_key(|lease| lease.gateway);
    ok(System {
        version: env!("CARGO_PKG_VERSION"),
        protocols: [0, 1],
        development: config.development,
        epoch: Decimal(web.store.epoch().await?),
        queue_depth: web.queue.depth(&config.queue_group).await?,
        gateways: gateways.into_iter().map(GatewayView::from).collect(),
        limits: Limits {
            content_bytes: config.content_bytes_max,
            users: config.users_max,
            batch: config.batch_max,
            batch_bytes: config.batch_bytes_max,
            expire_time: super::limits::EXPIRE_TIME_MAX,
            requests: config.requests_max,
            streams: config.streams_max,
        },
    })
}

/// Is the process alive?
#[utoipa::path(
    get, path = "/healthz", tag = "system",
    responses((status = 200, description = "It is", body = Envelope<String>))
)]
pub(super) async fn healthz() -> Answer {
    ok("alive")
}

/// State of each dependency: `ok`, or what kind of failure.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Readiness {
    /// Users, apps, messages.
    #[schema(value_type = String, example = "ok")]
    store: &'static str,
    /// Who is connected where.
    #[schema(value_type = String, example = "ok")]
    routes: &'static str,
    /// What is accepted and not delivered.
    #[schema(value_type = String, example = "unavailable")]
    queue: &'static str,
}

/// Can it do its work?
///
/// Asks every dependency; 503 names those that fail. Why they do is in the log.
#[utoipa::path(
    get, path = "/readyz", tag = "system",
    responses(
        (status = 200, description = "All dependencies answer", body = Envelope<Readiness>),
        (status = 503, description = "Some do not", body = Envelope<Readiness>),
    )
)]
pub(super) async fn readyz(State(web): State<Arc<Web>>) -> Response {
    let (store, routes, queue) = tokio::join!(
        probe("store", web.store.epoch()),
        probe("routes", web.routes.gateways()),
        probe("queue", web.queue.depth(&web.config.queue_group)),
    );
    let failing: Vec<&str> = [("store", store), ("routes", routes), ("queue", queue)]
        .into_iter()
        .filter_map(|(name, state)| (state != "ok").then_some(name))
        .collect();
    let readiness = Readiness { store, routes, queue };
    if failing.is_empty() {
        return ok_encoded(encode_ok(readiness));
    }
    super::envelope::failure(
        StatusCode::SERVICE_UNAVAILABLE,
        NotReady {
            code: StatusCode::SERVICE_UNAVAILABLE.as_u16(),
            msg: format!("not ready: {}", failing.join(", ")),
            readiness,
        },
    )
}

/// An error that also has the state of each dependency.
#[derive(Debug, Serialize)]
struct NotReady {
    code: u16,
    msg: String,
    #[serde(flatten)]
    readiness: Readiness,
}

async fn probe<T>(name: &str, call: impl Future<Output = crate::error::Result<T>>) -> &'static str {
    match tokio::time::timeout(PROBE_TIMEOUT, call).await {
        Ok(Ok(_)) => "ok",
        Ok(Err(error)) => {
            tracing::warn!(dependency = name, %error, "dependency fails");
            if error.code.retry() { "unavailable" } else { "failing" }
        }
        Err(_) => {
            tracing::warn!(dependency = name, "dependency does not answer");
            "timeout"
        }
    }
}

/// Metrics
#[utoipa::path(
    get, path = "/metrics", tag = "system",
    responses((status = 200, description = "OpenMetrics text", content_type = "application/openmetrics-text", body = String))
)]
pub(super) async fn metrics(State(web): State<Arc<Web>>) -> Response {
    metrics_page(&web.registry)
}
