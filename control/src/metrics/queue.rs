//! What the local queue counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Counters of the local queue.
#[derive(Debug, Clone)]
pub struct QueueMetrics {
    /// Records that became durable.
    pub published: Counter,
    /// Records refused because the queue was full.
    pub refused_full: Counter,
    /// Records refused because the disk would not take them.
    pub refused_failed: Counter,
    /// Records stored and not yet done by every group.
    pub records: Gauge,
    /// Bytes of these records, and of those being written.
    pub bytes: Gauge,
    /// Seconds from the start of a write until it is durable; its count is the number of syncs.
    pub write_seconds: Histogram,
}

impl QueueMetrics {
    /// New counters, in a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let these = Self {
            published: Counter::default(),
            refused_full: Counter::default(),
            refused_failed: Counter::default(),
            records: Gauge::default(),
            bytes: Gauge::default(),
            write_seconds: Histogram::new(exponential_buckets(50e-6, 2.0, 16)),
        };
        let registry = registry.sub_registry_with_prefix("gpusher_queue");
        let t = these.clone();
        registry.register("published", "Records that became durable", t.published);
        registry.register("refused_full", "Records refused: queue full", t.refused_full);
        registry.register("refused_failed", "Records refused: disk", t.refused_failed);
        registry.register("records", "Records not yet done by every group", t.records);
        registry.register("bytes", "Bytes of records stored or being written", t.bytes);
        registry.register("write_seconds", "Time of one durable write", t.write_seconds);
        these
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;

    #[test]
    fn the_page_names_the_queue() {
        let mut registry = Registry::default();
        QueueMetrics::register(&mut registry).published.inc_by(3);
        let mut page = String::new();
        encode(&mut page, &registry).unwrap();
        assert!(page.contains("gpusher_queue_published_total 3\n"), "{page}");
        assert!(page.contains("gpusher_queue_write_seconds_count 0\n"), "{page}");
    }
}
