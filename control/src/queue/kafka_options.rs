//! What the operator decides about Kafka.

use crate::error::{Code, Error, Result};
use std::fmt;
use std::time::Duration;

/// Settings of librdkafka that the promises of this queue rest on.
const OURS: &[&str] = &[
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "group.id",
    "group.instance.id",
    "max.in.flight.requests.per.connection",
    "message.max.bytes",
    "message.timeout.ms",
    "partition.assignment.strategy",
    "request.required.acks",
    "session.timeout.ms",
    "transactional.id",
];

/// Where Kafka is, and how much of it is used.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// host:port, separated by commas.
    pub servers: String,
    /// The topic of all records.
    pub topic: String,
    /// Partitions of topics that are made here.
    pub partitions: u32,
    /// Replicas of topics that are made here; 0: three, or as many as there are brokers.
    pub replicas: u32,
    /// For how long topics that are made here keep records.
    pub retention: Duration,
    /// Records of logic's group that may wait; above, nothing is accepted.
    pub records_max: u64,
    /// Largest record, encoded.
    pub record_bytes_max: usize,
    /// Records of this process that wait for brokers.
    pub buffer_records_max: usize,
    /// Bytes of them.
    pub buffer_bytes_max: usize,
    /// A record that no broker has confirmed within this time failed.
    pub publish_timeout: Duration,
    /// An instance that says nothing for so long loses its partitions to the others.
    pub session_timeout: Duration,
    /// What is under way of a partition that goes to another instance may take this long to be done.
    pub handover_timeout: Duration,
    /// Where applications read what their clients send: a topic, `{app}` in it being the app's number; empty: in the store.
    pub upstream_topic: String,
    /// Settings of librdkafka, like `security.protocol`.
    pub settings: Settings,
}

impl Default for KafkaOptions {
    fn default() -> Self {
        Self {
            servers: String::new(),
            topic: "gpusher-jobs".to_owned(),
            partitions: 32,
            replicas: 0,
            retention: Duration::from_secs(604_800),
            records_max: 10_000_000,
            record_bytes_max: 4 << 20,
            buffer_records_max: 100_000,
            buffer_bytes_max: 64 << 20,
            publish_timeout: Duration::from_secs(5),
            session_timeout: Duration::from_secs(10),
            handover_timeout: Duration::from_secs(2),
            upstream_topic: String::new(),
            settings: Settings::default(),
        }
    }
}

/// Names and values for librdkafka. Values may be credentials and are not shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings(pub(super) Vec<(String, String)>);

impl Settings {
    /// Reads lines like `sasl.username=gpusher`; empty ones and those that begin with # do not count.
    ///
    /// # Errors
    /// `invalid` if a line has no `=`, or names a setting that is decided here.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut settings = Vec::new();
        for line in lines.into_iter().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((name, value)) = line.split_once('=') else {
                let text = "queue.kafka.options has an entry without =; write NAME=VALUE";
                return Err(Error::new(Code::Invalid, text));
            };
            let name = name.trim();
            if OURS.contains(&name) {
                let text = format!(
                    "queue.kafka.options: {name} is not yours to set, because what this queue promises rests on it"
                );
                return Err(Error::new(Code::Invalid, text));
            }
            settings.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Self(settings))
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_their_values_not_shown() {
        let settings = Settings::parse(["sasl.password = pa=ss", "", "# no", "a=b"]).unwrap();
        assert_eq!(settings.0[0], ("sasl.password".to_owned(), "pa=ss".to_owned()));
        assert_eq!(format!("{settings:?}"), r#"["sasl.password", "a"]"#);
    }

    #[test]
    fn what_the_promises_rest_on_is_refused() {
        for line in ["acks=1", "enable.auto.commit = true", "nonsense"] {
            assert_eq!(Settings::parse([line]).unwrap_err().code, Code::Invalid, "{line}");
        }
    }
}
