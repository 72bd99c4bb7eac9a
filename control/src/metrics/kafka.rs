//! What the queue on Kafka counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters of the queue on Kafka, in this process.
#[derive(Debug, Clone, Default)]
pub struct KafkaMetrics {
    /// Records that all replicas in sync have.
    pub produced: Counter,
    /// Records that were not confirmed, or may not have been.
    pub failed: Counter,
    /// Records refused because too many of this process wait for brokers.
    pub refused_full: Counter,
    /// Records refused because logic is too far behind.
    pub refused_behind: Counter,
    /// Records refused because brokers did not answer and one call is trying already.
    pub refused_down: Counter,
    /// Records that wait for brokers.
    pub buffered: Gauge,
    /// Records that logic's group has not done, when last looked at.
    pub lag: Gauge,
    /// Records read.
    pub consumed: Counter,
    /// Commits that failed and are made again.
    pub commits_failed: Counter,
    /// Records under way when their partition went to another instance: they come again there.
    pub repeated: Counter,
    /// Times that partitions came or went.
    pub rebalances: Counter,
    /// Partitions that this process reads.
    pub partitions: Gauge,
}

impl KafkaMetrics {
    /// New counters, in a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let these = Self::default();
        let registry = registry.sub_registry_with_prefix("gpusher_kafka");
        let t = these.clone();
        registry.register("produced", "Records that all replicas in sync have", t.produced);
        registry.register("failed", "Records not confirmed", t.failed);
        registry.register("refused_full", "Records refused: buffer full", t.refused_full);
        registry.register("refused_behind", "Records refused: logic behind", t.refused_behind);
        registry.register("refused_down", "Records refused: brokers down", t.refused_down);
        registry.register("buffered", "Records that wait for brokers", t.buffered);
        registry.register("lag", "Records that logic has not done", t.lag);
        registry.register("consumed", "Records read", t.consumed);
        registry.register("commits_failed", "Commits made again", t.commits_failed);
        registry.register("repeated", "Records under way at a rebalance", t.repeated);
        registry.register("rebalances", "Times that partitions came or went", t.rebalances);
        registry.register("partitions", "Partitions read by this process", t.partitions);
        these
    }

    /// Partitions came or went.
    pub(crate) fn on_rebalance(&self, partitions: usize) {
        self.rebalances.inc();
        self.partitions.set(partitions as i64);
    }
}
