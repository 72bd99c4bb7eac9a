//! The thread of a group's member: reads ahead, commits, and serves rebalances.
//!
//! It polls whether or not logic takes anything: a member that does not poll holds every rebalance of its group up, and is thrown out in
//! the end. When enough has been read ahead, it pauses its partitions instead.
//!
//! When a partition goes to another member, what is under way of it is first done and committed, for a bounded time. What is not
//! done by then comes again there: kept messages are appended once (by message id), live ones may be received twice.

use super::failure::{coded, failed, log};
use super::feed::{Feed, Fetched};
use crate::error::Result;
use crate::metrics::KafkaMetrics;
use crate::queue::kafka_options::KafkaOptions;
use gpusher_proto::data::{Job, Record};
use prost::Message as _;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Positions are committed this often while they move; who is killed meanwhile repeats as much.
const COMMIT_EVERY: Duration = Duration::from_millis(50);
/// How long the thread waits for a record before it looks at everything else.
const POLL: Duration = Duration::from_millis(20);
/// A commit that was not answered in this time is not waited for.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) type Member = BaseConsumer<Context>;

/// A running thread. Dropping it lets the thread end; [`Reader::stop`] waits for that.
pub(super) struct Reader {
    pub(super) member: Arc<Member>,
    thread: Option<JoinHandle<()>>,
}

/// What librdkafka calls back.
pub(super) struct Context {
    topic: String,
    feed: Arc<Feed>,
    metrics: KafkaMetrics,
    handover: Duration,
    stopping: AtomicBool,
    /// Partitions came, which are not paused like the others.
    assigned: AtomicBool,
    commit_answered: AtomicBool,
}

impl Reader {
    /// Joins the group.
    ///
    /// # Errors
    /// `invalid` if librdkafka does not accept its settings, `unavailable` if the host gives no thread.
    pub(super) fn start(
        options: &KafkaOptions,
        group: &str,
        feed: Arc<Feed>,
        metrics: KafkaMetrics,
    ) -> Result<Self> {
        let context = Context {
            topic: options.topic.clone(),
            feed,
            metrics,
            handover: options.handover_timeout,
            stopping: AtomicBool::new(false),
            assigned: AtomicBool::new(false),
            commit_answered: AtomicBool::new(true),
        };
        let cannot = |error: KafkaError| failed("open a Kafka consumer", &error);
        let member: Member = options.reader(group).create_with_context(context).map_err(cannot)?;
        member.subscribe(&[&options.topic]).map_err(cannot)?;
        let member = Arc::new(member);
        let turn = Turn { member: member.clone(), paused: false, committed_at: Instant::now() };
        let thread = std::thread::Builder::new()
            .name("gpusher-kafka".to_owned())
            .spawn(move || turn.run())
            .map_err(super::no_thread)?;
        Ok(Self { member, thread: Some(thread) })
    }

    /// Commits what is done and leaves. Blocks for a broker's answer, a few seconds at most.
    pub(super) fn stop(mut self) {
        self.member.context().stopping.store(true, Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that reads Kafka has panicked");
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.member.context().stopping.store(true, Relaxed);
    }
}

struct Turn {
    member: Arc<Member>,
    paused: bool,
    committed_at: Instant,
}

impl Turn {
    fn run(mut self) {
        let context = self.member.context().clone();
        while !context.stopping.load(Relaxed) {
            self.pause_or_resume(&context);
            match self.member.poll(POLL) {
                Some(Ok(message)) => context.on_message(&message),
                Some(Err(error)) if !context.on_error(&error) => break,
                Some(Err(_)) | None => {}
            }
            self.commit(&context);
        }
        context.commit_now(&self.member, None);
        // The last to let go of the member closes it; that is to be here, where it may block.
        self.member.unsubscribe();
        let deadline = Instant::now() + COMMIT_TIMEOUT;
        while context.has_partitions(&self.member) && Instant::now() < deadline {
            if let Some(Err(error)) = self.member.poll(POLL)
                && !context.on_error(&error)
            {
                break;
            }
        }
    }

    fn pause_or_resume(&mut self, context: &Context) {
        let came = context.assigned.swap(false, Relaxed);
        let full = context.feed.is_full(self.paused);
        if full == self.paused && !(came && full) {
            return;
        }
        self.paused = full;
        let changed = self.member.assignment().and_then(|partitions| match full {
            true => self.member.pause(&partitions),
            false => self.member.resume(&partitions),
        });
        if let Err(error) = changed {
            tracing::warn!(%error, full, "kafka: partitions not paused or resumed");
        }
    }

    fn commit(&mut self, context: &Context) {
        let since = self.committed_at.elapsed();
        let answered = context.commit_answered.load(Relaxed);
        if since < COMMIT_EVERY || !(answered || since >= COMMIT_TIMEOUT) {
            return;
        }
        let untold = context.feed.take_untold();
        if untold.is_empty() {
            return;
        }
        self.committed_at = Instant::now();
        context.commit_answered.store(false, Relaxed);
        let list = context.list(&untold);
        if let Err(error) = self.member.commit(&list, CommitMode::Async) {
            context.commit_callback(Err(error), &list);
        }
    }
}

impl Context {
    fn list(&self, positions: &[(i32, i64)]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for &(partition, position) in positions {
            list.add_partition_offset(&self.topic, partition, Offset::Offset(position))
                .expect("an offset that a broker gave can be given back");
        }
        list
    }

    fn on_message(&self, message: &BorrowedMessage<'_>) {
        let payload = message.payload().unwrap_or_default();
        let (partition, position) = (message.partition(), message.offset());
        let job = Job::decode(payload).inspect_err(|error| {
            tracing::error!(%error, partition, position, "a record of Kafka is not ours and is skipped");
        });
        let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
        let record = Record { offset: 0, key, job: Some(job.unwrap_or_default()) };
        self.metrics.consumed.inc();
        self.feed.put(Fetched { partition, position, bytes: payload.len(), record });
    }

    /// Whether to go on.
    fn on_error(&self, error: &KafkaError) -> bool {
        let KafkaError::MessageConsumptionFatal(code) = error else {
            tracing::debug!(%error, "kafka: reading is interrupted");
            return true;
        };
        let failure = coded("read Kafka", *code);
        tracing::error!(error = %failure, "kafka: reading has ended");
        self.feed.fail(failure);
        false
    }

    /// Commits and waits for the answer; only some partitions, if they are named.
    fn commit_now(&self, member: &Member, only: Option<&[i32]>) {
        let mut untold = self.feed.take_untold();
        if let Some(only) = only {
            let others = untold.extract_if(.., |(partition, _)| !only.contains(partition));
            self.feed.on_not_told(others.map(|(partition, _)| partition));
        }
        if untold.is_empty() {
            return;
        }
        if let Err(error) = member.commit(&self.list(&untold), CommitMode::Sync) {
            self.metrics.commits_failed.inc();
            tracing::warn!(%error, "kafka: what is done was not committed and comes again");
        }
    }

    fn has_partitions(&self, member: &Member) -> bool {
        member.assignment().is_ok_and(|partitions| partitions.count() > 0)
    }

    fn on_revoke(&self, member: &Member, partitions: &[i32]) {
        if !member.assignment_lost() {
            let wait = if self.stopping.load(Relaxed) { Duration::ZERO } else { self.handover };
            let repeated = self.feed.leave(partitions, Instant::now() + wait);
            self.metrics.repeated.inc_by(repeated as u64);
            self.commit_now(member, Some(partitions));
        }
        let left = self.feed.revoke(partitions);
        self.metrics.on_rebalance(left);
        tracing::info!(?partitions, left, "kafka: partitions go to others");
    }
}

fn numbers(list: &TopicPartitionList) -> Vec<i32> {
    list.elements().iter().map(|partition| partition.partition()).collect()
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka");
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, member: &Member, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Revoke(list) => self.on_revoke(member, &numbers(list)),
            // Before the first record of them can come.
            Rebalance::Assign(list) => {
                let partitions = numbers(list);
                let assigned = self.feed.assign(&partitions);
                self.assigned.store(true, Relaxed);
                self.metrics.on_rebalance(assigned);
                tracing::info!(?partitions, assigned, "kafka: partitions come");
            }
            Rebalance::Error(error) => tracing::warn!(%error, "kafka: a rebalance failed"),
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, list: &TopicPartitionList) {
        self.commit_answered.store(true, Relaxed);
        let Err(error) = result else { return };
        self.metrics.commits_failed.inc();
        tracing::debug!(%error, "kafka: positions not committed, which is tried again");
        self.feed.on_not_told(numbers(list));
    }
}
