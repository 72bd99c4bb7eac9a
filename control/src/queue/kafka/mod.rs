//! The queue on Kafka: one topic, shared by all apps, read by the instances of logic as one consumer group.
//!
//! - `layout`: which record goes to which partition, so that what must stay in order does.
//! - `producer`: publishing, bounded in records, bytes and time; a record is accepted when all replicas in sync have it.
//! - `reader`: the thread of a group's member; `feed` and `positions`: what it shares with the consumer that logic has.
//! - `upstream`: what clients send to applications, if they read it from Kafka.
//! - `topic`, `backlog`: what is asked of the brokers aside; `failure`: their errors as ours.
//!
//! Nothing waits for Kafka at start: a process comes up without it, refuses with `unavailable`, and works once it is there.

mod backlog;
mod client;
mod failure;
mod feed;
mod layout;
mod positions;
mod producer;
mod reader;
mod topic;
mod upstream;

use self::backlog::{Observer, backlog};
use self::client::REQUEST_TIMEOUT;
use self::failure::{Quiet, failed};
use self::feed::Feed;
use self::producer::Producer;
use self::reader::Reader;
use super::kafka_options::KafkaOptions;
use super::{Consumer, Queue};
use crate::error::{Code, Error, Result};
use crate::metrics::KafkaMetrics;
use async_trait::async_trait;
use gpusher_proto::data::{Record, UpstreamMessage};
use parking_lot::Mutex;
use rdkafka::consumer::Consumer as _;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// The group whose backlog bounds what is accepted: that of logic.
const GROUP: &str = "logic";
/// How often the backlog and the number of partitions are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What librdkafka says, taken at once.
const EVENTS_MAX: usize = 64;
/// Names of topics remembered, where each app has one.
const TOPICS_KNOWN_MAX: usize = 10_000;
/// For records accepted before the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// See the module. Dropping it lets what was published fail or finish; [`Queue::close`] waits for that.
pub struct KafkaQueue {
    shared: Arc<Shared>,
    look: JoinHandle<()>,
}

struct Shared {
    options: KafkaOptions,
    metrics: KafkaMetrics,
    producer: Producer,
    observer: Mutex<Option<Arc<Observer>>>,
    /// Of the topic; 0: not known yet.
    partitions: AtomicU32,
    /// How the last look at the brokers ended; none before the first.
    looked: watch::Sender<Option<Result<()>>>,
    /// Records that the group of logic had not done when it was last looked at.
    behind: AtomicU64,
    closed: AtomicBool,
    /// Topics besides that of jobs which are surely there.
    others: Mutex<HashSet<String>>,
    /// Members in this process by group, while they are open or closing.
    members: Mutex<HashMap<String, Arc<Membership>>>,
    /// The last offset that a consumer of this process was given.
    last_offset: AtomicU64,
}

/// A group's member in this process.
struct Membership {
    feed: Arc<Feed>,
    reader: Mutex<Option<Reader>>,
    /// The consumer is gone; the group is being left.
    closing: AtomicBool,
    closed: Notify,
}

impl KafkaQueue {
    /// The queue at some brokers, which need not be there yet.
    ///
    /// # Errors
    /// `invalid` if librdkafka does not accept its settings.
    pub fn open(options: KafkaOptions, metrics: KafkaMetrics) -> Result<Self> {
        let producer = Producer::new(options.clone(), metrics.clone())?;
        let shared = Arc::new(Shared {
            options,
            metrics,
            producer,
            observer: Mutex::new(None),
            partitions: AtomicU32::new(0),
            looked: watch::Sender::new(None),
            behind: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            others: Mutex::default(),
            members: Mutex::default(),
            last_offset: AtomicU64::new(0),
        });
        let look = tokio::spawn(keep_looking(shared.clone()));
        Ok(Self { shared, look })
    }
}

impl Drop for KafkaQueue {
    fn drop(&mut self) {
        self.look.abort();
    }
}

#[async_trait]
impl Queue for KafkaQueue {
    async fn publish(&self, records: Vec<Record>) -> Result<()> {
        let shared = &self.shared;
        if shared.closed.load(Relaxed) {
            return Err(closed());
        }
        if records.is_empty() {
            return Ok(());
        }
        shared.check_backlog(records.len())?;
        let partitions = shared.partitions().await?;
        let placed = layout::place(records, partitions);
        shared.producer.publish(&shared.options.topic, placed).await
    }

    async fn consume(&self, group: &str) -> Result<Box<dyn Consumer>> {
        let shared = &self.shared;
        shared.wait_until_left(group).await;
        shared.partitions().await?;
        let feed = Arc::new(Feed::new(shared.floor()));
        let membership = Arc::new(Membership {
            feed: feed.clone(),
            reader: Mutex::new(None),
            closing: AtomicBool::new(false),
            closed: Notify::new(),
        });
        {
            let mut members = shared.members.lock();
            if members.contains_key(group) {
                let text = format!("group {group} has a consumer already");
                return Err(Error::new(Code::Conflict, text));
            }
            let reader = Reader::start(&shared.options, group, feed, shared.metrics.clone())?;
            *membership.reader.lock() = Some(reader);
            members.insert(group.to_owned(), membership.clone());
        }
        Ok(Box::new(KafkaConsumer { group: group.to_owned(), shared: shared.clone(), membership }))
    }

    async fn depth(&self, group: &str) -> Result<u64> {
        let partitions = self.shared.partitions().await?;
        let (shared, group) = (self.shared.clone(), group.to_owned());
        blocking(move || shared.backlog(&group, partitions)).await
    }

    async fn publish_upstream(&self, messages: &[UpstreamMessage]) -> Result<bool> {
        let shared = &self.shared;
        if shared.options.upstream_topic.is_empty() {
            return Ok(false);
        }
        if shared.closed.load(Relaxed) {
            return Err(closed());
        }
        for (topic, placed) in upstream::place(&shared.options.upstream_topic, messages) {
            shared.ensure(&topic).await?;
            shared.producer.publish(&topic, placed).await?;
        }
        Ok(true)
    }

    async fn close(&self) {
        self.shared.closed.store(true, Relaxed);
        let shared = self.shared.clone();
        let flushed = blocking(move || {
            shared.producer.flush(CLOSE_TIMEOUT);
            Ok(())
        });
        // It cannot fail.
        let _ = flushed.await;
        let groups: Vec<String> = self.shared.members.lock().keys().cloned().collect();
        for group in groups {
            let left = tokio::time::timeout(CLOSE_TIMEOUT, self.shared.wait_until_left(&group));
            if left.await.is_err() {
                tracing::warn!(
                    group,
                    "kafka: the group was not left in time: what was done last may come again"
                );
            }
        }
    }
}

impl Shared {
    /// The number of partitions. Before it is known, the end of the first look at the brokers is waited for, and no further one.
    async fn partitions(&self) -> Result<u32> {
        if self.partitions.load(Relaxed) == 0 {
            let mut looked = self.looked.subscribe();
            let looked = looked.wait_for(Option::is_some).await.map_err(|_| closed())?;
            if let Some(Err(error)) = &*looked
                && self.partitions.load(Relaxed) == 0
            {
                return Err(error.clone());
            }
        }
        Ok(self.partitions.load(Relaxed))
    }

    fn look_for_topic(&self, handle: &Handle) -> Result<u32> {
        let observer = self.observer()?;
        let found = self.find_topic(&observer, &self.options.topic, handle);
        // It reads nothing: only what librdkafka says waits in there.
        (0..EVENTS_MAX).for_each(|_| drop(observer.poll(Duration::ZERO)));
        let found = found.map_err(|error| observer.context().explain(error))?;
        let before = self.partitions.swap(found, Relaxed);
        if before != 0 && before != found {
            let topic = &self.options.topic;
            tracing::warn!(
                topic,
                before,
                found,
                "kafka: the topic has another number of partitions: for a moment, order is not kept"
            );
        }
        Ok(found)
    }

    /// Makes a topic if it is not there.
    async fn ensure(self: &Arc<Self>, topic: &str) -> Result<()> {
        if self.others.lock().contains(topic) {
            return Ok(());
        }
        let (shared, topic, handle) = (self.clone(), topic.to_owned(), Handle::current());
        blocking(move || {
            shared.find_topic(&*shared.observer()?, &topic, &handle)?;
            let mut others = shared.others.lock();
            if others.len() >= TOPICS_KNOWN_MAX {
                others.clear();
            }
            others.insert(topic);
            Ok(())
        })
        .await
    }

    fn find_topic(&self, observer: &Observer, topic: &str, handle: &Handle) -> Result<u32> {
        if let Some(partitions) = topic::partitions(observer.client(), topic)? {
            return Ok(partitions);
        }
        topic::create(&self.options, topic, handle)?;
        // Brokers tell each other a little later.
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        loop {
            match topic::partitions(observer.client(), topic)? {
                Some(partitions) => return Ok(partitions),
                None if Instant::now() > deadline => {
                    let text = format!("the topic {topic} is being made");
                    return Err(Error::new(Code::Unavailable, text));
                }
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn observer(&self) -> Result<Arc<Observer>> {
        let mut observer = self.observer.lock();
        if let Some(observer) = &*observer {
            return Ok(observer.clone());
        }
        let made = Arc::new(observe(&self.options, GROUP)?);
        *observer = Some(made.clone());
        Ok(made)
    }

    fn backlog(&self, group: &str, partitions: u32) -> Result<u64> {
        let topic = &self.options.topic;
        let membership = self.members.lock().get(group).cloned();
        if group == GROUP {
            let feed = membership.as_ref().map(|it| &*it.feed);
            return backlog(&*self.observer()?, topic, partitions, feed);
        }
        let member = membership
            .as_ref()
            .and_then(|it| it.reader.lock().as_ref().map(|reader| reader.member.clone()));
        match (membership, member) {
            (Some(membership), Some(member)) => {
                backlog(&*member, topic, partitions, Some(&membership.feed))
            }
            _ => backlog(&observe(&self.options, group)?, topic, partitions, None),
        }
    }

    fn check_backlog(&self, records: usize) -> Result<()> {
        let behind = self.behind.load(Relaxed);
        if behind < self.options.records_max {
            return Ok(());
        }
        self.metrics.refused_behind.inc_by(records as u64);
        Err(Error::new(
            Code::Overloaded,
            format!("the queue is full: {behind} records wait for logic"),
        ))
    }

    /// Offsets of a consumer begin above those of all earlier ones, also of the process before this one: who reads through
    /// another process and opens the queue again takes lower ones for repeats.
    fn floor(&self) -> u64 {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let clock = (unix.as_millis() as u64) << 20;
        clock.max(self.last_offset.load(Relaxed))
    }

    async fn wait_until_left(&self, group: &str) {
        loop {
            let membership = self.members.lock().get(group).cloned();
            let Some(membership) = membership.filter(|it| it.closing.load(Relaxed)) else { return };
            let closed = membership.closed.notified();
            if self.members.lock().get(group).is_some_and(|it| Arc::ptr_eq(it, &membership)) {
                closed.await;
            }
        }
    }

    fn look(&self, handle: &Handle) -> Result<()> {
        self.producer.mend();
        let partitions = self.look_for_topic(handle)?;
        self.looked.send_if_modified(|looked| looked.replace(Ok(())).is_none_or(|it| it.is_err()));
        let behind = self.backlog(GROUP, partitions)?;
        self.behind.store(behind, Relaxed);
        self.metrics.lag.set(behind as i64);
        Ok(())
    }
}

/// Looks at the backlog and at the topic, for as long as the queue is there.
async fn keep_looking(shared: Arc<Shared>) {
    let mut well = true;
    loop {
        let (looker, handle) = (shared.clone(), Handle::current());
        let looked = blocking(move || looker.look(&handle)).await;
        match &looked {
            Err(error) if well => tracing::warn!(%error, "kafka: the queue is down"),
            Ok(()) if !well => tracing::info!("kafka: the queue is back"),
            _ => {}
        }
        well = looked.is_ok();
        shared.looked.send_replace(Some(looked));
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn observe(options: &KafkaOptions, group: &str) -> Result<Observer> {
    let made = options.consumer(group).create_with_context(Quiet::default());
    made.map_err(|error| failed("open a Kafka client", &error))
}

/// One member of a group, as logic sees it.
struct KafkaConsumer {
    group: String,
    shared: Arc<Shared>,
    membership: Arc<Membership>,
}

#[async_trait]
impl Consumer for KafkaConsumer {
    async fn next(&mut self, limit: usize) -> Result<Vec<Record>> {
        assert!(limit > 0);
        self.membership.feed.take(limit).await
    }

    fn took_over(&mut self) -> bool {
        self.membership.feed.took_over()
    }

    async fn commit(&mut self, offset: u64) -> Result<()> {
        self.membership.feed.commit(offset)
    }
}

impl Drop for KafkaConsumer {
    /// Leaves the group, after what is done was committed, on a thread of its own: that waits for brokers.
    fn drop(&mut self) {
        let (shared, membership) = (self.shared.clone(), self.membership.clone());
        let group = std::mem::take(&mut self.group);
        membership.closing.store(true, Relaxed);
        shared.last_offset.fetch_max(membership.feed.last(), Relaxed);
        let leave = move || {
            let reader = membership.reader.lock().take();
            if let Some(reader) = reader {
                reader.stop();
            }
            shared.members.lock().remove(&group);
            membership.closed.notify_waiters();
        };
        if let Err(error) = std::thread::Builder::new().name("gpusher-kafka".into()).spawn(leave) {
            tracing::error!(%error, "kafka: the group is not left in order: no thread");
        }
    }
}

/// Runs what waits for brokers where that holds up nobody.
async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(call).await.unwrap_or_else(|_| Err(closed()))
}

fn closed() -> Error {
    Error::new(Code::Unavailable, "the queue is closed")
}

fn no_thread(error: std::io::Error) -> Error {
    Error::new(Code::Unavailable, format!("cannot start a thread for Kafka: {error}"))
}

#[cfg(test)]
mod tests;
