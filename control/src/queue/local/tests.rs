//! The suite, and what only the local queue promises: bounds, trimming, reopening.

use super::*;
use crate::queue::suite::{self, id, record, take};
use futures_util::FutureExt;
use prometheus_client::registry::Registry;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("queue.db")
    }

    async fn open(&self, options: LocalOptions) -> Arc<LocalQueue> {
        let metrics = QueueMetrics::register(&mut Registry::default());
        Arc::new(LocalQueue::open(&self.path(), options, metrics).await.unwrap())
    }
}

/// Waits until so many records are stored: trimming follows a commit a little later.
async fn stored(queue: &LocalQueue, records: u64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while queue.shared.state.lock().stored().0 != records {
        assert!(Instant::now() < deadline, "{:?}", queue.shared.state.lock().stored());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn records(ids: std::ops::RangeInclusive<u64>) -> Vec<Record> {
    ids.map(|id| record("k", id)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite() {
    for durability in [Durability::Full, Durability::Normal] {
        let folder = Folder::new();
        suite::run(folder.open(LocalOptions { durability, ..LocalOptions::default() }).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_the_suite_when_nothing_stays_in_memory() {
    let folder = Folder::new();
    let options = LocalOptions { memory_bytes_max: 0, ..LocalOptions::default() };
    suite::run(folder.open(options).await).await;
}

#[tokio::test]
async fn refuses_more_than_its_bounds_and_recovers() {
    let folder = Folder::new();
    let queue = folder.open(LocalOptions { records_max: 10, ..LocalOptions::default() }).await;
    let mut consumer = queue.consume("logic").await.unwrap();
    queue.publish(records(1..=8)).await.unwrap();
    let refused = queue.publish(records(9..=11)).await.unwrap_err();
    assert_eq!(refused.code, Code::Overloaded);
    assert_eq!(queue.shared.metrics.refused_full.get(), 3);
    queue.publish(records(9..=10)).await.expect("there is room for two");
    let last = take(&mut *consumer, 10).await[9].offset;
    consumer.commit(last).await.unwrap();
    stored(&queue, 0).await;
    queue.publish(records(11..=20)).await.expect("there is room again");

    let folder = Folder::new();
    let queue = folder.open(LocalOptions { bytes_max: 1000, ..LocalOptions::default() }).await;
    queue.publish(records(1..=2)).await.unwrap();
    let refused = queue.publish(records(3..=100)).await.unwrap_err();
    assert_eq!(refused.code, Code::Overloaded);
}

#[tokio::test]
async fn deletes_what_every_group_has_done() {
    let folder = Folder::new();
    let queue = folder.open(LocalOptions::default()).await;
    let mut one = queue.consume("one").await.unwrap();
    let mut two = queue.consume("two").await.unwrap();
    queue.publish(records(1..=3)).await.unwrap();
    queue.publish(records(4..=6)).await.unwrap();
    let read = take(&mut *one, 6).await;
    take(&mut *two, 6).await;
    one.commit(read[5].offset).await.unwrap();
    queue.publish(records(7..=7)).await.unwrap();
    assert_eq!(queue.shared.state.lock().stored().0, 7, "group two needs them all");
    two.commit(read[3].offset).await.unwrap();
    stored(&queue, 4).await;
    let last = take(&mut *one, 1).await[0].offset;
    take(&mut *two, 1).await;
    one.commit(last).await.unwrap();
    two.commit(last).await.unwrap();
    stored(&queue, 0).await;
    assert_eq!(queue.shared.state.lock().stored().1, 0);
}

#[tokio::test]
async fn a_new_group_starts_at_the_oldest_record() {
    let folder = Folder::new();
    let queue = folder.open(LocalOptions::default()).await;
    queue.publish(records(1..=3)).await.unwrap();
    let mut early = queue.consume("early").await.unwrap();
    let read = take(&mut *early, 3).await;
    early.commit(read[2].offset).await.unwrap();
    queue.publish(records(4..=5)).await.unwrap();
    let mut late = queue.consume("late").await.unwrap();
    assert_eq!(id(&take(&mut *late, 2).await[0]), 4, "what was done is gone");
}

#[tokio::test]
async fn a_second_opening_goes_on_where_the_first_ended() {
    let folder = Folder::new();
    let queue = folder.open(LocalOptions::default()).await;
    let mut consumer = queue.consume("logic").await.unwrap();
    queue.publish(records(1..=4)).await.unwrap();
    let read = take(&mut *consumer, 4).await;
    consumer.commit(read[1].offset).await.unwrap();
    queue.close().await;
    assert_eq!(queue.publish(records(5..=5)).await.unwrap_err().code, Code::Unavailable);
    assert_eq!(consumer.next(1).await.unwrap_err().code, Code::Unavailable);

    let queue = folder.open(LocalOptions::default()).await;
    assert_eq!(queue.depth("logic").await.unwrap(), 2);
    let mut consumer = queue.consume("logic").await.unwrap();
    queue.publish(records(5..=5)).await.unwrap();
    let read = take(&mut *consumer, 3).await;
    assert_eq!(read.iter().map(id).collect::<Vec<_>>(), [3, 4, 5]);
    consumer.commit(read[2].offset).await.unwrap();
    queue.close().await;

    // Nothing is stored any more, and still no offset is given twice.
    let queue = folder.open(LocalOptions::default()).await;
    let mut consumer = queue.consume("logic").await.unwrap();
    queue.publish(records(6..=6)).await.unwrap();
    assert!(take(&mut *consumer, 1).await[0].offset > read[2].offset);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_consumer_does_not_wait_for_the_disk() {
    let folder = Folder::new();
    let queue = folder.open(LocalOptions::default()).await;
    let mut early = queue.consume_early("early").await.unwrap();
    let mut patient = queue.consume("patient").await.unwrap();
    // While somebody else writes, the queue's own write waits.
    let disk = rusqlite::Connection::open(folder.path()).unwrap();
    disk.execute_batch("BEGIN IMMEDIATE").unwrap();
    let publishing = tokio::spawn({
        let queue = queue.clone();
        async move { queue.publish(records(1..=2)).await }
    });
    let handed = take(&mut *early, 2).await;
    assert_eq!(handed.iter().map(id).collect::<Vec<_>>(), [1, 2]);
    assert!(!publishing.is_finished());
    assert!(patient.next(2).now_or_never().is_none(), "it is not durable");
    disk.execute_batch("ROLLBACK").unwrap();
    publishing.await.unwrap().unwrap();
    assert_eq!(take(&mut *patient, 2).await, handed);
}

#[tokio::test]
async fn what_the_disk_did_not_take_leaves_no_trace_but_a_gap() {
    let folder = Folder::new();
    let queue = folder.open(LocalOptions::default()).await;
    let mut early = queue.consume_early("early").await.unwrap();
    let mut behind = queue.consume_early("behind").await.unwrap();
    let mut patient = queue.consume("patient").await.unwrap();
    let refuse =
        "CREATE TRIGGER refuse BEFORE INSERT ON batches BEGIN SELECT raise(ABORT, 'full'); END";
    let disk = rusqlite::Connection::open(folder.path()).unwrap();

    queue.publish(records(1..=1)).await.unwrap();
    let first = take(&mut *early, 1).await[0].offset;
    disk.execute_batch(refuse).unwrap();
    let failed = queue.publish(records(2..=3)).await.unwrap_err();
    assert_eq!(failed.code, Code::Unavailable);
    assert_eq!(queue.shared.state.lock().stored().0, 1);
    disk.execute_batch("DROP TRIGGER refuse").unwrap();
    queue.publish(records(4..=4)).await.unwrap();

    let after = take(&mut *early, 1).await;
    assert_eq!(id(&after[0]), 4);
    assert!(after[0].offset > first + 2, "an offset was given out twice");
    for consumer in [&mut behind, &mut patient] {
        let read = take(&mut **consumer, 2).await;
        assert_eq!(read.iter().map(id).collect::<Vec<_>>(), [1, 4]);
        consumer.commit(read[1].offset).await.unwrap();
    }
    early.commit(after[0].offset).await.unwrap();
    stored(&queue, 0).await;
}

#[tokio::test]
async fn a_file_of_another_format_is_refused() {
    let folder = Folder::new();
    folder.open(LocalOptions::default()).await.close().await;
    let mut table = Table::open(&folder.path(), Durability::Normal).unwrap();
    table.set_format(99);
    table.close();
    let metrics = QueueMetrics::register(&mut Registry::default());
    let refused = LocalQueue::open(&folder.path(), LocalOptions::default(), metrics).await;
    let text = refused.unwrap_err().text;
    assert!(text.contains("format 99"), "{text}");
}
