//! The values as Prometheus reads them.

use super::{Catalogue, Counts, LinkCount, ProcessCollector, Shape, ShardCount, ShardCounts};
use gpusher_proto::wire::Code;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;

/// What does not change while the process runs.
#[derive(Debug, Clone)]
pub struct Constants {
    /// Name of the driver.
    pub io: &'static str,
    /// Connections that can be held.
    pub connections_max: u64,
    /// Memory of the process at that number.
    pub budget_bytes: u64,
}

/// All values of one gateway.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// By shard number.
    pub shards: Vec<Arc<ShardCounts>>,
    /// The link's.
    pub link: Arc<Counts<LinkCount>>,
    /// What was settled at start.
    pub constants: Constants,
}

impl Metrics {
    /// The text for `/metrics`, in the OpenMetrics format.
    pub fn text(&self) -> String {
        let mut registry = Registry::default();
        ProcessCollector::register(&mut registry);
        let of_gateway = registry.sub_registry_with_prefix("gpusher_gateway");
        of_gateway.register_collector(Box::new(self.clone()));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)
            .expect("a string takes any text");
        text
    }

    /// Sum over shards.
    pub fn sum(&self, what: ShardCount) -> u64 {
        self.shards.iter().map(|shard| shard.get(what)).sum()
    }

    fn encode_shards(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for &what in ShardCount::ALL {
            let mut family = family(encoder, what.name(), what.help(), what.shape())?;
            for (shard, counts) in self.shards.iter().enumerate() {
                let labels = [("shard", shard.to_string())];
                encode(what.shape(), counts.get(what), family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn encode_closed(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Connections closed, by the code of the wire protocol; none: the client left";
        let mut family = family(encoder, "closed_by_code", help, Shape::Counter)?;
        for (shard, counts) in self.shards.iter().enumerate() {
            for (code, count) in counts.closed_by_code() {
                let code = Code::from_number(code);
                let name = match code {
                    Some(Code::Done) => "none",
                    Some(code) => code.name(),
                    None => "other",
                };
                let labels = [("shard", shard.to_string()), ("code", name.to_owned())];
                encode(Shape::Counter, count, family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn encode_driver(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "What the shard's driver did, and limits of the kernel's side that it hit";
        let mut family = family(encoder, "driver", help, Shape::Counter)?;
        for (shard, counts) in self.shards.iter().enumerate() {
            for (name, count) in counts.driver() {
                let labels = [("shard", shard.to_string()), ("what", name.to_owned())];
                encode(Shape::Counter, count, family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn encode_link(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for &what in LinkCount::ALL {
            let family = family(encoder, what.name(), what.help(), what.shape())?;
            encode(what.shape(), self.link.get(what), family)?;
        }
        Ok(())
    }

    fn encode_constants(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Constants { io, connections_max, budget_bytes } = &self.constants;
        let help = "Which driver is in use, and the version";
        let mut info = family(encoder, "build", help, Shape::Gauge)?;
        let labels = [("io", *io), ("version", env!("CARGO_PKG_VERSION"))];
        encode(Shape::Gauge, 1, info.encode_family(&labels)?)?;
        let help = "Connections that can be held under the present limits";
        let family_max = family(encoder, "connections_max", help, Shape::Gauge)?;
        encode(Shape::Gauge, *connections_max, family_max)?;
        let help = "Bytes of memory the process takes at most at that number";
        let family_bytes = family(encoder, "budget_bytes", help, Shape::Gauge)?;
        encode(Shape::Gauge, *budget_bytes, family_bytes)
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_constants(&mut encoder)?;
        self.encode_shards(&mut encoder)?;
        self.encode_closed(&mut encoder)?;
        self.encode_driver(&mut encoder)?;
        self.encode_link(&mut encoder)
    }
}

fn family<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
    shape: Shape,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    let kind = match shape {
        Shape::Counter => MetricType::Counter,
        Shape::Gauge => MetricType::Gauge,
    };
    encoder.encode_descriptor(name, help, None, kind)
}

fn encode(shape: Shape, value: u64, encoder: MetricEncoder<'_>) -> fmt::Result {
    match shape {
        Shape::Counter => ConstCounter::new(value).encode(encoder),
        Shape::Gauge => ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(encoder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_there_with_its_help() {
        let shards = vec![Arc::new(ShardCounts::default()), Arc::new(ShardCounts::default())];
        shards[1].add(ShardCount::Logins, 3);
        shards[0].set_driver(&[("sends_short", 4)]);
        shards[1].closed(Code::LoginDeadline.number());
        let link: Arc<Counts<LinkCount>> = Arc::default();
        link.set(LinkCount::Attached, 2);
        let constants = Constants { io: "epoll", connections_max: 10, budget_bytes: 20 };
        let metrics = Metrics { shards, link, constants };
        let text = metrics.text();
        for line in [
            "# HELP gpusher_gateway_logins Logins that passed the gateway's own checks.",
            "gpusher_gateway_logins_total{shard=\"0\"} 0",
            "gpusher_gateway_logins_total{shard=\"1\"} 3",
            "gpusher_gateway_closed_by_code_total{shard=\"1\",code=\"login_deadline\"} 1",
            "gpusher_gateway_driver_total{shard=\"0\",what=\"sends_short\"} 4",
            "gpusher_gateway_logics_attached 2",
            "gpusher_gateway_connections_max 10",
            "# TYPE gpusher_process_heap_bytes gauge",
            "gpusher_process_heap_bytes{allocator=\"jemalloc\"} ",
        ] {
            assert!(text.lines().any(|l| l.starts_with(line)), "{line} is not in\n{text}");
        }
        assert_eq!(metrics.sum(ShardCount::Logins), 3);
    }
}
