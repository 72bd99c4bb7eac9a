//! Ports 7772 and 7781: whether a process without web is well, and its numbers.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::sync::Arc;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `/healthz`, and `/metrics` of the whole process.
pub(crate) fn pages(registry: Arc<Mutex<Registry>>) -> Router {
    let metrics = move || async move {
        let mut page = String::new();
        encode(&mut page, &registry.lock()).expect("writing to a string cannot fail");
        ([(CONTENT_TYPE, OPEN_METRICS)], page)
    };
    Router::new().route("/healthz", get(|| async { "ok" })).route("/metrics", get(metrics))
}
