//! Topics: made here if they are missing, checked if they are there. All of it blocks.

use super::client::REQUEST_TIMEOUT;
use super::failure::{Quiet, coded, failed};
use crate::error::{Code, Error, Result};
use crate::queue::kafka_options::KafkaOptions;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::Client;
use rdkafka::error::RDKafkaErrorCode as Kafka;
use tokio::runtime::Handle;

/// Replicas where there are brokers enough: one may be lost without a promise being broken.
const REPLICAS: usize = 3;

/// How many partitions a topic has; none: there is no such topic.
///
/// # Errors
/// `unavailable` if no broker answers, `denied` if it may not be seen.
pub(super) fn partitions(client: &Client<Quiet>, topic: &str) -> Result<Option<u32>> {
    let what = format!("find the topic {topic} of Kafka");
    let metadata = client.fetch_metadata(Some(topic), REQUEST_TIMEOUT);
    let metadata = metadata.map_err(|error| failed(&what, &error))?;
    let Some(found) = metadata.topics().iter().find(|it| it.name() == topic) else {
        return Ok(None);
    };
    match found.error().map(Kafka::from) {
        None if found.partitions().is_empty() => Ok(None),
        None => Ok(Some(found.partitions().len() as u32)),
        Some(Kafka::UnknownTopicOrPartition | Kafka::UnknownTopic) => Ok(None),
        // It was made a moment ago.
        Some(Kafka::LeaderNotAvailable) if !found.partitions().is_empty() => {
            Ok(Some(found.partitions().len() as u32))
        }
        Some(code) => Err(coded(&what, code)),
    }
}

/// Makes a topic. That another process was faster is no error.
///
/// # Errors
/// `unavailable` if there are too few brokers, `denied` if it may not be made.
pub(super) fn create(options: &KafkaOptions, topic: &str, handle: &Handle) -> Result<()> {
    let what = format!("make the topic {topic} of Kafka");
    let cannot = |error| failed(&what, &error);
    let admin: AdminClient<Quiet> =
        options.admin().create_with_context(Quiet::default()).map_err(cannot)?;
    let replicas = match options.replicas {
        0 => brokers(&admin)?.clamp(1, REPLICAS),
        replicas => replicas as usize,
    };
    if options.replicas == 0 && replicas < REPLICAS {
        tracing::warn!(
            topic,
            replicas,
            "kafka: there are fewer brokers than replicas should be: what is accepted is lost with its brokers' disks"
        );
    }
    let in_sync = replicas.saturating_sub(1).max(1).to_string();
    let retention_ms = match options.retention.as_millis() {
        0 => "-1".to_owned(),
        retention_ms => retention_ms.to_string(),
    };
    let bytes_max = options.record_bytes_max.saturating_add(4_096).to_string();
    let replication = TopicReplication::Fixed(replicas as i32);
    let new = NewTopic::new(topic, options.partitions as i32, replication)
        .set("min.insync.replicas", &in_sync)
        .set("retention.ms", &retention_ms)
        .set("cleanup.policy", "delete")
        .set("max.message.bytes", &bytes_max);
    let patience = AdminOptions::new()
        .request_timeout(Some(REQUEST_TIMEOUT))
        .operation_timeout(Some(REQUEST_TIMEOUT));
    let made = handle.block_on(admin.create_topics([&new], &patience)).map_err(cannot)?;
    match made.into_iter().next() {
        Some(Ok(_)) => {
            let partitions = options.partitions;
            tracing::info!(topic, partitions, replicas, "kafka: topic made");
            Ok(())
        }
        Some(Err((_, Kafka::TopicAlreadyExists))) => Ok(()),
        Some(Err((_, code))) => Err(coded(&what, code)),
        None => Err(Error::new(Code::Unavailable, format!("cannot {what}: no answer"))),
    }
}

fn brokers(admin: &AdminClient<Quiet>) -> Result<usize> {
    let metadata = admin.inner().fetch_metadata(None, REQUEST_TIMEOUT);
    let metadata = metadata.map_err(|error| failed("count the brokers of Kafka", &error))?;
    Ok(metadata.brokers().len())
}
