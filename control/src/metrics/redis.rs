//! How routes in Redis reach it, read when the page is made.

use gpusher_redis::Redis;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;

/// Shows what the way to a Redis has been through.
pub struct RedisCollector(Arc<Redis>);

impl RedisCollector {
    /// Adds the counters to a registry.
    pub fn register(redis: Arc<Redis>, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("gpusher_redis");
        registry.register_collector(Box::new(Self(redis)));
    }
}

impl fmt::Debug for RedisCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the numbers of redis at {}", self.0.url())
    }
}

impl Collector for RedisCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let made = "Connections made: more than one means that it was away";
        let away = "Calls that failed because it was away";
        let counters = [
            ("connections", made, self.0.connections_made()),
            ("away", away, self.0.calls_unanswered()),
        ];
        for (name, help, value) in counters {
            let family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(family)?;
        }
        Ok(())
    }
}
