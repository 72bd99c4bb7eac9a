//! What concerns the whole process, whatever it does.

use gpusher_sys::heap::{live_bytes, live_bytes_in_c};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;

/// Shows the live heap, read when the page is made.
#[derive(Debug)]
pub struct ProcessCollector(());

impl ProcessCollector {
    /// Adds it to a registry, as `gpusher_process_heap_bytes`.
    pub fn register(registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("gpusher_process");
        registry.register_collector(Box::new(Self(())));
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Bytes allocated and not freed: by the program (jemalloc), by libraries in C such as SQLite (libc)";
        let mut family = encoder.encode_descriptor("heap_bytes", help, None, MetricType::Gauge)?;
        let in_c = live_bytes_in_c().map(|bytes| ("libc", bytes));
        for (allocator, bytes) in [("jemalloc", live_bytes())].into_iter().chain(in_c) {
            let labels = [("allocator", allocator)];
            let value = ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX));
            value.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
