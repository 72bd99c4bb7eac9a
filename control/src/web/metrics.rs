//! What the web role counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

/// Why a request or connection was turned away before a handler saw it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    reason: &'static str,
}

/// Counters of the web role.
#[derive(Clone)]
pub(super) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram>,
    refused: Family<RefusedLabels, Counter>,
    /// Accepted pushes.
    pub(super) pushes: Counter,
    /// Idempotency keys that went before their time.
    pub(super) keys_forgotten: Counter,
    /// HTTP connections held.
    pub(super) connections: Gauge,
    /// Event streams held.
    pub(super) streams: Gauge,
}

impl Metrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            // 50 microseconds to 13 seconds.
            seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(50e-6, 2.0, 18))
            }),
            refused: Family::default(),
            pushes: Counter::default(),
            keys_forgotten: Counter::default(),
            connections: Gauge::default(),
            streams: Gauge::default(),
        };
        let web = registry.sub_registry_with_prefix("gpusher_web");
        web.register("requests", "HTTP requests answered", metrics.requests.clone());
        web.register(
            "request_seconds",
            "From request to the start of its answer",
            metrics.seconds.clone(),
        );
        web.register("refused", "Requests turned away at a limit", metrics.refused.clone());
        web.register("pushes", "Pushes accepted", metrics.pushes.clone());
        web.register(
            "idempotency_keys_forgotten",
            "Idempotency keys forgotten before their time, for want of memory",
            metrics.keys_forgotten.clone(),
        );
        web.register("connections", "HTTP connections held", metrics.connections.clone());
        web.register("streams", "Event streams held", metrics.streams.clone());
        metrics
    }

    pub(super) fn answered(&self, route: &str, method: &str, status: u16, took: Duration) {
        let labels = RequestLabels { route: route.to_owned(), method: method.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        let labels = RouteLabels { route: labels.route };
        self.seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(super) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&RefusedLabels { reason }).inc();
    }
}
