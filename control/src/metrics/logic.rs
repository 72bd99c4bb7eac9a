//! Logic's numbers, read when the page is made.

use crate::logic::{Count, Counters};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;

/// Shows the counters of an instance of logic.
#[derive(Debug)]
pub struct LogicCollector(Arc<Counters>);

impl LogicCollector {
    /// Adds the counters to a registry.
    pub fn register(counters: Arc<Counters>, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("gpusher_logic");
        registry.register_collector(Box::new(Self(counters)));
    }
}

impl Collector for LogicCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for &count in Count::ALL {
            let value = self.0.get(count);
            if count.kind() == "counter" {
                let kind = MetricType::Counter;
                let family = encoder.encode_descriptor(count.name(), count.help(), None, kind)?;
                ConstCounter::new(value).encode(family)?;
            } else {
                let kind = MetricType::Gauge;
                let family = encoder.encode_descriptor(count.name(), count.help(), None, kind)?;
                ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(family)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;

    #[test]
    fn the_page_has_every_number_once() {
        let counters = Arc::new(Counters::default());
        counters.add(Count::Records, 7);
        let mut registry = Registry::default();
        LogicCollector::register(counters, &mut registry);
        let mut page = String::new();
        encode(&mut page, &registry).unwrap();
        assert!(page.contains("gpusher_logic_records_total 7\n"), "{page}");
        assert_eq!(page.matches("# TYPE").count(), Count::ALL.len());
    }
}
