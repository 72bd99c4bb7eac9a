//! The suite and what only Kafka has, at a real broker: groups with several members, brokers that go and come.

use super::*;
use crate::queue::kafka_options::Settings;
use crate::queue::suite::{self, id, record, take};
use gpusher_testbed::{Kafka, free_port, kafka};
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

/// Nothing takes this long unless it does not happen.
const PATIENCE: Duration = Duration::from_secs(120);

/// A topic of this test's own at a broker.
fn options(broker: String, topic: &str) -> KafkaOptions {
    KafkaOptions {
        servers: broker,
        topic: topic.to_owned(),
        partitions: 4,
        publish_timeout: Duration::from_secs(20),
        ..KafkaOptions::default()
    }
}

fn open(options: KafkaOptions) -> Arc<KafkaQueue> {
    Arc::new(KafkaQueue::open(options, KafkaMetrics::default()).unwrap())
}

/// The queue as another process has it.
fn instance(topic: &str) -> Arc<KafkaQueue> {
    open(options(kafka().broker(), topic))
}

fn records(keys: u64, ids: std::ops::Range<u64>) -> Vec<Record> {
    ids.map(|id| record(&format!("key {}", id % keys), id)).collect()
}

/// Waits until something is so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// Reads and commits all the time, as logic does; what it read, in order.
struct Reading {
    read: Arc<Mutex<Vec<(String, u64)>>>,
    task: JoinHandle<()>,
}

impl Reading {
    async fn start(queue: &KafkaQueue) -> Self {
        let mut consumer = in_time("consume", queue.consume(GROUP)).await.unwrap();
        let read: Arc<Mutex<Vec<(String, u64)>>> = Arc::default();
        let list = read.clone();
        let task = tokio::spawn(async move {
            loop {
                let records = consumer.next(16).await.unwrap();
                let last = records.last().unwrap().offset;
                list.lock().extend(records.iter().map(|record| (record.key.clone(), id(record))));
                consumer.commit(last).await.unwrap();
            }
        });
        Self { read, task }
    }

    fn ids(&self) -> BTreeSet<u64> {
        self.read.lock().iter().map(|(_, id)| *id).collect()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn partitions(queue: &KafkaQueue) -> i64 {
    queue.shared.metrics.partitions.get()
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite() {
    let queue = open(options(kafka().broker(), "suite"));
    in_time("the suite", suite::run(queue)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_made_once_as_configured() {
    let queues: Vec<_> = (0..4).map(|_| open(options(kafka().broker(), "made"))).collect();
    let publish = |queue: Arc<KafkaQueue>| async move { queue.publish(records(9, 0..9)).await };
    for done in futures_util::future::join_all(queues.iter().cloned().map(publish)).await {
        done.unwrap();
    }
    let known: Vec<u32> = queues.iter().map(|it| it.shared.partitions.load(Relaxed)).collect();
    assert_eq!(known, [4; 4]);
    assert_eq!(queues[0].depth(GROUP).await.unwrap(), 36);
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_of_a_group_share_the_partitions_and_keep_each_keys_order() {
    let (one, two) = (instance("shared"), instance("shared"));
    let first = Reading::start(&one).await;
    until("the first has all partitions", || partitions(&one) == 4).await;
    one.publish(records(20, 0..200)).await.unwrap();
    let second = Reading::start(&two).await;
    // While partitions go from one to the other, records keep coming.
    for n in 2..6 {
        one.publish(records(20, n * 100..(n + 1) * 100)).await.unwrap();
    }
    until("each has its share", || (partitions(&one), partitions(&two)) == (2, 2)).await;
    two.publish(records(20, 600..1_000)).await.unwrap();
    until("all is read", || first.ids().len() + second.ids().len() >= 1_000).await;
    assert!(first.ids().is_disjoint(&second.ids()), "what was handed over was done");
    assert_eq!(first.ids().union(&second.ids()).count(), 1_000);
    assert!(!second.ids().is_empty(), "the second reads its share");
    for reading in [&first, &second] {
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        for (key, id) in reading.read.lock().iter() {
            let before = last.insert(key.clone(), *id);
            assert!(before.is_none_or(|before| before < *id), "{key}: {id} after {before:?}");
        }
    }
    let moved = one.shared.metrics.repeated.get() + two.shared.metrics.repeated.get();
    assert_eq!(moved, 0, "nothing was under way any more when its partition went");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_in_a_rebalance_comes_again_elsewhere() {
    let hasty = || {
        let handover_timeout = Duration::ZERO;
        let options = options(kafka().broker(), "under way");
        open(KafkaOptions { topic: "under-way".into(), handover_timeout, ..options })
    };
    let (one, two) = (hasty(), hasty());
    one.publish(records(20, 0..200)).await.unwrap();
    let mut stuck = one.consume(GROUP).await.unwrap();
    let held = in_time("the first reads", take(&mut *stuck, 200)).await;
    let second = Reading::start(&two).await;
    until("the second has its share", || partitions(&two) == 2).await;
    until("what was under way is repeated", || {
        second.ids().len() as u64 == one.shared.metrics.repeated.get()
    })
    .await;
    assert!(!second.ids().is_empty());
    // The first finishes after all: what is not its own any more is not committed by it.
    stuck.commit(held.last().unwrap().offset).await.unwrap();
    one.publish(records(20, 200..400)).await.unwrap();
    drop(stuck);
    let all: BTreeSet<u64> = (0..400).collect();
    let seen = || -> BTreeSet<u64> { held.iter().map(id).chain(second.ids()).collect() };
    until("nothing is lost", || seen() == all).await;
    until("the second has all partitions", || partitions(&two) == 4).await;
    until_done(&two).await;
}

/// Waits until the group has nothing left to do.
async fn until_done(queue: &KafkaQueue) {
    let deadline = Instant::now() + PATIENCE;
    while queue.depth(GROUP).await.unwrap() > 0 {
        assert!(Instant::now() < deadline, "the group is not done in time");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_when_logic_is_too_far_behind_and_goes_on_when_it_is_not() {
    let queue = open(KafkaOptions { records_max: 10, ..options(kafka().broker(), "behind") });
    queue.publish(records(5, 0..20)).await.unwrap();
    until("the backlog is seen", || queue.shared.metrics.lag.get() == 20).await;
    let refused = queue.publish(records(5, 20..21)).await.unwrap_err();
    assert_eq!(
        (refused.code, &refused.text[..]),
        (Code::Overloaded, "the queue is full: 20 records wait for logic")
    );
    assert_eq!(queue.shared.metrics.refused_behind.get(), 1);
    let _reading = Reading::start(&queue).await;
    until("logic has caught up", || queue.shared.metrics.lag.get() == 0).await;
    queue.publish(records(5, 20..21)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_is_refused() {
    let options = KafkaOptions { record_bytes_max: 10_000, ..options(kafka().broker(), "large") };
    let queue = open(options);
    let mut large = record("k", 1);
    if let Some(gpusher_proto::data::job::Kind::Push(push)) =
        large.job.as_mut().and_then(|job| job.kind.as_mut())
    {
        push.content = vec![0; 10_000].into();
    }
    let refused = queue.publish(vec![large]).await.unwrap_err();
    assert_eq!(refused.code, Code::Invalid);
    assert!(refused.text.contains("queue.kafka.record_bytes_max"), "{}", refused.text);
    queue.publish(records(1, 0..1)).await.unwrap();
}

/// What clients send is in a topic that applications read, made when it is first needed.
#[tokio::test(flavor = "multi_thread")]
async fn clients_messages_are_there_for_applications() {
    let upstream_topic = "up-{app}".to_owned();
    let queue = open(KafkaOptions { upstream_topic, ..options(kafka().broker(), "upstream") });
    let message = |id, app_id| UpstreamMessage {
        id,
        app_id,
        user: "alice".into(),
        content: "hello".into(),
        ..UpstreamMessage::default()
    };
    assert!(queue.publish_upstream(&[message(1, 7), message(2, 8)]).await.unwrap());
    assert!(queue.publish_upstream(&[message(3, 7)]).await.unwrap());
    let application: BaseConsumer =
        options(kafka().broker(), "any").consumer("application").create().unwrap();
    application.subscribe(&["up-7"]).unwrap();
    let read = tokio::task::spawn_blocking(move || {
        let deadline = Instant::now() + PATIENCE;
        let mut ids = Vec::new();
        while ids.len() < 2 && Instant::now() < deadline {
            if let Some(Ok(message)) = application.poll(Duration::from_millis(20)) {
                let value: serde_json::Value =
                    serde_json::from_slice(message.payload().unwrap()).unwrap();
                assert_eq!(
                    (value["uuid"].as_str(), value["content"].as_str()),
                    (Some("alice"), Some("hello"))
                );
                ids.push(value["id"].as_str().unwrap().to_owned());
            }
        }
        ids
    });
    assert_eq!(read.await.unwrap(), ["1", "3"]);
    let stored = open(options(kafka().broker(), "upstream"));
    assert!(!stored.publish_upstream(&[message(4, 7)]).await.unwrap(), "it is for the store");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_it_opens_and_says_what_is_wrong() {
    let queue = open(options(format!("127.0.0.1:{}", free_port()), "nowhere"));
    let refused = in_time("an answer", queue.publish(records(1, 0..1))).await.unwrap_err();
    assert_eq!(refused.code, Code::Unavailable);
    assert!(refused.text.contains("no broker of queue.url answers"), "{}", refused.text);
    assert!(refused.text.contains("Connection refused"), "{}", refused.text);
    assert_eq!(
        in_time("consume", queue.consume(GROUP)).await.err().unwrap().code,
        Code::Unavailable
    );
}

/// A broker of this test's own is killed while records are published and read, and later stands still.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_goes_loses_nothing_that_was_accepted() {
    let broker = Kafka::start();
    let queue = open(KafkaOptions {
        publish_timeout: Duration::from_secs(2),
        ..options(broker.broker(), "killed")
    });
    let accepted: Arc<Mutex<BTreeSet<u64>>> = Arc::default();
    let refused = Arc::new(AtomicUsize::new(0));
    let publisher = {
        let (queue, accepted, refused) = (queue.clone(), accepted.clone(), refused.clone());
        tokio::spawn(async move {
            for id in 1.. {
                match queue.publish(vec![record(&format!("key {}", id % 7), id)]).await {
                    Ok(()) => drop(accepted.lock().insert(id)),
                    Err(error) => {
                        assert!(error.code.retry(), "{error}");
                        refused.fetch_add(1, Relaxed);
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
            }
        })
    };
    until("records are accepted", || accepted.lock().len() > 50).await;
    let reading = Reading::start(&queue).await;
    until("records are read", || reading.ids().len() > 20).await;
    broker.kill();
    refused.store(0, Relaxed);
    until("the queue is down", || refused.load(Relaxed) > 3).await;
    broker.start_again();
    let before = accepted.lock().len();
    until("it has recovered by itself", || accepted.lock().len() > before + 50).await;
    broker.pause();
    refused.store(0, Relaxed);
    until("a broker that stands still is down, too", || refused.load(Relaxed) > 0).await;
    broker.resume();
    let before = accepted.lock().len();
    until("it has recovered again", || accepted.lock().len() > before + 50).await;
    publisher.abort();
    until("everything accepted is read", || accepted.lock().is_subset(&reading.ids())).await;
}

#[tokio::test]
async fn what_librdkafka_does_not_take_is_named_without_its_value() {
    for (line, part) in [
        ("sasl.mechanism.nonsense=secret", "sasl.mechanism.nonsense"),
        ("socket.timeout.ms=secret", "socket.timeout.ms"),
        ("security.protocol=sasl_secret", "security.protocol"),
    ] {
        let settings = Settings::parse([line]).unwrap();
        let options = KafkaOptions { settings, ..options("127.0.0.1:1".into(), "none") };
        let refused = KafkaQueue::open(options, KafkaMetrics::default()).err().unwrap();
        assert_eq!(refused.code, Code::Invalid);
        assert!(
            refused.text.contains(part) && !refused.text.contains("secret"),
            "{}",
            refused.text
        );
    }
}
