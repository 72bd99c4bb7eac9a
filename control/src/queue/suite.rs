//! What every queue must do. A backend's tests open it empty and hand it over.

use super::{Consumer, Queue};
use crate::error::Code;
use futures_util::FutureExt;
use futures_util::future::join_all;
use gpusher_proto::data::{Job, Push, Record, job};
use std::sync::Arc;

/// Runs the whole suite; each part uses groups of its own.
pub async fn run(queue: Arc<dyn Queue>) {
    returns_records_in_order(&queue).await;
    wakes_a_waiting_consumer(&queue).await;
    dropping_next_loses_nothing(&queue).await;
    starts_after_the_commit(&queue).await;
    groups_are_independent(&queue).await;
    one_consumer_per_group(&queue).await;
    refuses_to_commit_what_was_not_read(&queue).await;
    keeps_each_callers_order(&queue).await;
}

/// A record whose push has an id.
pub fn record(key: &str, id: u64) -> Record {
    let push = Push { id, content: format!("content of {id}").into(), ..Push::default() };
    Record { offset: 0, key: key.to_owned(), job: Some(Job { kind: Some(job::Kind::Push(push)) }) }
}

/// The id of a record made by [`record`].
pub fn id(record: &Record) -> u64 {
    match record.job.as_ref().and_then(|job| job.kind.as_ref()) {
        Some(job::Kind::Push(push)) => push.id,
        other => panic!("not a push: {other:?}"),
    }
}

/// What was published: offsets are each consumer's own.
fn contents(records: &[Record]) -> Vec<(&str, u64)> {
    records.iter().map(|record| (&record.key[..], id(record))).collect()
}

/// Reads exactly `count` records.
pub async fn take(consumer: &mut dyn Consumer, count: usize) -> Vec<Record> {
    let mut records = Vec::new();
    while records.len() < count {
        records.extend(consumer.next(count - records.len()).await.unwrap());
    }
    records
}

/// Moves a group's position to the end, so that a part begins with nothing to read.
async fn at_the_end(queue: &Arc<dyn Queue>, group: &str) -> Box<dyn Consumer> {
    let mut consumer = queue.consume(group).await.unwrap();
    let depth = queue.depth(group).await.unwrap() as usize;
    if let Some(last) = take(&mut *consumer, depth).await.last() {
        consumer.commit(last.offset).await.unwrap();
    }
    assert_eq!(queue.depth(group).await.unwrap(), 0);
    consumer
}

async fn returns_records_in_order(queue: &Arc<dyn Queue>) {
    let mut consumer = at_the_end(queue, "order").await;
    queue.publish(Vec::new()).await.unwrap();
    queue.publish((1..=3).map(|id| record("k", id)).collect()).await.unwrap();
    queue.publish(vec![record("k", 4)]).await.unwrap();
    let records = take(&mut *consumer, 4).await;
    assert_eq!(records.iter().map(id).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(records.is_sorted_by(|a, b| a.offset < b.offset));
    assert_eq!(records[0].key, "k");
    assert_eq!(queue.depth("order").await.unwrap(), 4, "nothing is committed yet");
    consumer.commit(records[1].offset).await.unwrap();
    assert_eq!(queue.depth("order").await.unwrap(), 2);
}

async fn wakes_a_waiting_consumer(queue: &Arc<dyn Queue>) {
    let mut consumer = at_the_end(queue, "wake").await;
    let waiting = tokio::spawn(async move { take(&mut *consumer, 1).await });
    tokio::task::yield_now().await;
    queue.publish(vec![record("k", 77)]).await.unwrap();
    assert_eq!(id(&waiting.await.unwrap()[0]), 77);
}

async fn dropping_next_loses_nothing(queue: &Arc<dyn Queue>) {
    let mut consumer = at_the_end(queue, "cancel").await;
    assert!(consumer.next(1).now_or_never().is_none(), "there is nothing to read");
    queue.publish((1..=100).map(|id| record("k", id)).collect()).await.unwrap();
    let mut ids = Vec::new();
    while ids.len() < 100 {
        // Whatever it was doing when it was dropped, the next call goes on from there.
        if let Some(read) = consumer.next(7).now_or_never() {
            ids.extend(read.unwrap().iter().map(id));
        }
        if ids.len() < 100 {
            ids.extend(consumer.next(3).await.unwrap().iter().map(id));
        }
    }
    assert_eq!(ids, (1..=100).collect::<Vec<_>>());
}

async fn starts_after_the_commit(queue: &Arc<dyn Queue>) {
    let mut consumer = at_the_end(queue, "commit").await;
    queue.publish((1..=5).map(|id| record("k", id)).collect()).await.unwrap();
    let records = take(&mut *consumer, 5).await;
    consumer.commit(records[2].offset).await.unwrap();
    // An older position changes nothing.
    consumer.commit(records[0].offset).await.unwrap();
    drop(consumer);
    let mut consumer = queue.consume("commit").await.unwrap();
    let again = take(&mut *consumer, 2).await;
    assert_eq!(contents(&again), contents(&records[3..]));
}

async fn groups_are_independent(queue: &Arc<dyn Queue>) {
    let mut one = at_the_end(queue, "one").await;
    let mut two = at_the_end(queue, "two").await;
    queue.publish((1..=3).map(|id| record("k", id)).collect()).await.unwrap();
    let records = take(&mut *one, 3).await;
    one.commit(records[2].offset).await.unwrap();
    assert_eq!((queue.depth("one").await.unwrap(), queue.depth("two").await.unwrap()), (0, 3));
    assert_eq!(contents(&take(&mut *two, 3).await), contents(&records));
}

async fn one_consumer_per_group(queue: &Arc<dyn Queue>) {
    let first = queue.consume("only").await.unwrap();
    let second = queue.consume("only").await.err().expect("a second consumer was let in");
    assert_eq!(second.code, Code::Conflict);
    drop(first);
    queue.consume("only").await.expect("the group is free again");
}

async fn refuses_to_commit_what_was_not_read(queue: &Arc<dyn Queue>) {
    let mut consumer = at_the_end(queue, "ahead").await;
    queue.publish(vec![record("k", 1), record("k", 2)]).await.unwrap();
    let first = take(&mut *consumer, 1).await[0].offset;
    assert_eq!(consumer.commit(first + 1).await.unwrap_err().code, Code::Invalid);
    consumer.commit(first).await.unwrap();
}

async fn keeps_each_callers_order(queue: &Arc<dyn Queue>) {
    const CALLERS: u64 = 16;
    const EACH: u64 = 50;
    let mut consumer = at_the_end(queue, "callers").await;
    let callers = (0..CALLERS).map(|caller| {
        let queue = queue.clone();
        tokio::spawn(async move {
            for n in 0..EACH {
                queue.publish(vec![record(&caller.to_string(), n)]).await.unwrap();
            }
        })
    });
    for done in join_all(callers).await {
        done.unwrap();
    }
    let records = take(&mut *consumer, (CALLERS * EACH) as usize).await;
    for caller in 0..CALLERS {
        let of_caller = records.iter().filter(|record| record.key == caller.to_string());
        assert_eq!(of_caller.map(id).collect::<Vec<_>>(), (0..EACH).collect::<Vec<_>>());
    }
}
