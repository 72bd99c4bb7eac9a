//! What librdkafka is told.

use crate::queue::kafka_options::KafkaOptions;
use rdkafka::ClientConfig;
use std::time::Duration;

/// For a metadata or offset request: what does not answer in this time is down.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// Fetched ahead by librdkafka, in KiB, besides what `feed` holds.
const FETCHED_KIB_MAX: &str = "16384";

impl KafkaOptions {
    /// What all clients are told.
    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("client.id", "gpusher")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("socket.keepalive.enable", "true")
            .set("socket.nagle.disable", "true")
            .set("socket.connection.setup.timeout.ms", "5000")
            .set("topic.metadata.refresh.interval.ms", "30000")
            .set("log.connection.close", "false");
        for (name, value) in &self.settings.0 {
            client.set(name, value);
        }
        client.set("bootstrap.servers", &self.servers);
        client
    }

    /// Idempotent and confirmed by all replicas in sync: nothing is lost, doubled or reordered on the way.
    pub(super) fn producer(&self) -> ClientConfig {
        let mut client = self.client();
        // Room is given by our own count, which this must never be below.
        let records = (2 * self.buffer_records_max).clamp(1_000_000, 10_000_000);
        let kib = (2 * self.buffer_bytes_max.div_ceil(1024)).clamp(1 << 20, 2_097_151);
        client
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("partitioner", "murmur2")
            .set("message.max.bytes", self.record_bytes_max.to_string())
            .set("message.timeout.ms", self.publish_timeout.as_millis().to_string())
            .set("queue.buffering.max.messages", records.to_string())
            .set("queue.buffering.max.kbytes", kib.to_string());
        client
    }

    /// A member of a group, or one that only asks about it.
    pub(super) fn consumer(&self, group: &str) -> ClientConfig {
        let mut client = self.client();
        client
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", self.session_timeout.as_millis().to_string())
            .set("heartbeat.interval.ms", (self.session_timeout.as_millis() / 4).to_string())
            .set("message.max.bytes", self.record_bytes_max.to_string())
            .set("fetch.message.max.bytes", self.record_bytes_max.to_string())
            .set("fetch.queue.backoff.ms", "20")
            .set("fetch.error.backoff.ms", "100")
            .set("queued.max.messages.kbytes", FETCHED_KIB_MAX);
        client
    }

    /// A member of a group that reads.
    pub(super) fn reader(&self, group: &str) -> ClientConfig {
        // Not a static member (group.instance.id): a broker that is started again fences those for good, for their own commits.
        self.consumer(group)
    }

    /// For administration.
    pub(super) fn admin(&self) -> ClientConfig {
        self.client()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn librdkafka_accepts_what_it_is_told() {
        let options = KafkaOptions { servers: "127.0.0.1:1".into(), ..KafkaOptions::default() };
        let clients =
            [options.producer(), options.reader("g"), options.consumer("g"), options.admin()];
        for client in clients {
            client.create_native_config().unwrap();
        }
    }
}
