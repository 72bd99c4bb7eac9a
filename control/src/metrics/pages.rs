//! The numbers of a process as a page; ports 7772 and 7781: that page, and whether a process without web is well.

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::sync::Arc;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `/healthz`, and `/metrics` of the whole process.
pub(crate) fn pages(registry: Arc<Mutex<Registry>>) -> Router {
    let metrics = move || async move { metrics_page(&registry) };
    Router::new().route("/healthz", get(|| async { "ok" })).route("/metrics", get(metrics))
}

/// All numbers of the process as OpenMetrics text.
pub(crate) fn metrics_page(registry: &Mutex<Registry>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &registry.lock()) {
        Ok(()) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
