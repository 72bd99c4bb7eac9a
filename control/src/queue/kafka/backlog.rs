//! How far a group is behind. All of it blocks.

use super::client::REQUEST_TIMEOUT;
use super::failure::{Quiet, failed};
use super::feed::Feed;
use crate::error::Result;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;

/// Asks about a group without being a member of it.
pub(super) type Observer = BaseConsumer<Quiet>;

/// Records of a topic that a group has not done. `feed`: of a member in this process, which knows better than the brokers.
///
/// # Errors
/// `unavailable` if brokers do not answer.
pub(super) fn backlog<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topic: &str,
    partitions: u32,
    feed: Option<&Feed>,
) -> Result<u64> {
    let cannot = |error| failed("ask Kafka for the queue's depth", &error);
    // Positions first: what comes in between is counted, rather than taken off.
    let committed =
        client.committed_offsets(list(topic, partitions, Offset::Invalid), REQUEST_TIMEOUT);
    let committed = positions(committed).map_err(cannot)?;
    let edge = |offset| {
        positions(client.offsets_for_times(list(topic, partitions, offset), REQUEST_TIMEOUT))
    };
    let ends = edge(Offset::End).map_err(cannot)?;
    let begins = edge(Offset::Beginning).map_err(cannot)?;
    let behind = ends.iter().map(|(partition, end)| {
        let begin = begins.get(partition).copied().unwrap_or_default();
        let known = feed.and_then(|feed| feed.done(*partition));
        let done = known.or_else(|| committed.get(partition).copied()).unwrap_or_default();
        end.saturating_sub(done.max(begin)).max(0) as u64
    });
    Ok(behind.sum())
}

fn list(topic: &str, partitions: u32, offset: Offset) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions as usize);
    for partition in 0..partitions as i32 {
        list.add_partition_offset(topic, partition, offset).expect("a logical offset is one");
    }
    list
}

/// Partitions with an offset; one that a group has never committed has none.
fn positions(list: KafkaResult<TopicPartitionList>) -> KafkaResult<BTreeMap<i32, i64>> {
    let list = list?;
    let mut positions = BTreeMap::new();
    for element in list.elements() {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            positions.insert(element.partition(), offset);
        }
    }
    Ok(positions)
}
