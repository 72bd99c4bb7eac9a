//! What a store on a server counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters of a store on a server.
#[derive(Debug, Clone, Default)]
pub struct ServerMetrics {
    /// Calls under way, those that wait for a connection included.
    pub calls: Gauge,
    /// Calls refused because all connections were in use for too long.
    pub exhausted: Counter,
    /// Transactions done again: somebody else was quicker.
    pub repeated: Counter,
    /// Calls that failed because the server did not answer, or broke off.
    pub away: Counter,
}

impl ServerMetrics {
    /// New counters, in a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let these = Self::default();
        let registry = registry.sub_registry_with_prefix("gpusher_store");
        let t = these.clone();
        registry.register("calls", "Calls under way or waiting for a connection", t.calls);
        registry.register(
            "exhausted",
            "Calls refused: no connection was free in time",
            t.exhausted,
        );
        registry.register("repeated", "Transactions done again after a conflict", t.repeated);
        registry.register("away", "Calls that failed because the server was away", t.away);
        these
    }
}
