//! The operators' HTTP face: health, readiness, metrics, connections. It changes nothing.

use crate::link::LinkStatus;
use crate::metrics::{Metrics, ShardCount};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::watch;

/// What the pages are made of.
#[derive(Debug)]
pub(crate) struct Admin {
    pub metrics: Metrics,
    pub status: watch::Receiver<LinkStatus>,
}

impl Admin {
    /// The pages.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(health))
            .route("/readyz", get(readiness))
            .route("/metrics", get(metrics))
            .route("/connections", get(connections))
            .with_state(Arc::new(self))
    }
}

/// What is missing: one line each, or "ok".
fn verdict(missing: &[String]) -> (StatusCode, String) {
    match missing {
        [] => (StatusCode::OK, "ok\n".into()),
        missing => (StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n"),
    }
}

/// Alive: every shard runs.
async fn health(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    verdict(&admin.status.borrow().ended_shards())
}

/// Useful: alive, and logic is attached, with all the instances that it counts on.
async fn readiness(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let status = admin.status.borrow();
    let mut missing = status.ended_shards();
    if status.attached.is_empty() {
        missing.push("no logic attached: start gpusher-control, or check its gateway list".into());
    }
    let absent = status.missing.iter().map(|name| format!("logic {name:?} is not attached"));
    missing.extend(absent);
    verdict(&missing)
}

async fn metrics(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], admin.metrics.text())
}

/// Where connections are.
#[derive(Serialize)]
struct Connections {
    connections: u64,
    admitted: u64,
    connections_max: u64,
    shards: Vec<Shard>,
}

#[derive(Serialize)]
struct Shard {
    connections: u64,
    admitted: u64,
    outbox_bytes: u64,
    partial_bytes: u64,
    jobs_waiting: u64,
}

async fn connections(State(admin): State<Arc<Admin>>) -> Json<Connections> {
    let metrics = &admin.metrics;
    let shards = metrics.shards.iter().map(|counts| Shard {
        connections: counts.get(ShardCount::Connections),
        admitted: counts.get(ShardCount::Members),
        outbox_bytes: counts.get(ShardCount::OutboxBytes),
        partial_bytes: counts.get(ShardCount::PartialBytes),
        jobs_waiting: counts.get(ShardCount::JobsWaiting),
    });
    Json(Connections {
        connections: metrics.sum(ShardCount::Connections),
        admitted: metrics.sum(ShardCount::Members),
        connections_max: metrics.constants.connections_max,
        shards: shards.collect(),
    })
}
