//! Port 7772: whether this logic is well, and its numbers.

use super::counters::Counters;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use std::sync::Arc;

/// `/healthz` and `/metrics`.
pub(super) fn router(counters: Arc<Counters>) -> Router {
    let metrics = move || async move {
        let mut page = String::new();
        counters.render(&mut page);
        page.push_str("# EOF\n");
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        ([(CONTENT_TYPE, kind)], page)
    };
    Router::new().route("/healthz", get(|| async { "ok" })).route("/metrics", get(metrics))
}
