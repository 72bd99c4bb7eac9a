//! Consumers over streams that break.

use super::*;
use crate::queue::suite::{id, record, take};
use crate::queue::{Consumer, Queue};
use async_trait::async_trait;
use gpusher_proto::data::Record;

fn ids(records: &[gpusher_proto::data::Record]) -> Vec<u64> {
    records.iter().map(id).collect()
}

/// Takes up the address of a role that has stopped.
fn start_again(addr: SocketAddr, backends: Backends) -> Role {
    Role::start(MessageServer::bind(addr, None).unwrap(), backends)
}

/// Reads on after a break, whose error comes first. It may come again: that depends on when the old connection's end is noticed.
async fn take_after_break(consumer: &mut dyn Consumer, count: usize) -> Vec<u64> {
    let error = consumer.next(1).await.unwrap_err();
    assert_eq!(error.code, Code::Unavailable, "{error}");
    let mut taken = Vec::new();
    while taken.len() < count {
        match consumer.next(count - taken.len()).await {
            Ok(records) => taken.extend(records),
            Err(error) => assert_eq!(error.code, Code::Unavailable, "{error}"),
        }
    }
    ids(&taken)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_goes_on_after_its_role_was_restarted() {
    let folder = tempfile::tempdir().unwrap();
    let backends = embedded(&folder).await;
    let role = start(backends.clone());
    let addr = role.addr;
    let queue = RemoteQueue::new(&role.connect());
    queue.publish((1..=5).map(|id| record("k", id)).collect()).await.unwrap();
    let mut consumer = queue.consume("logic").await.unwrap();
    let read = take(&mut *consumer, 3).await;
    consumer.commit(read[0].offset).await.unwrap();
    role.stop().await;

    let role = start_again(addr, backends);
    // 2 and 3 were handed out before: they do not come twice.
    assert_eq!(take_after_break(&mut *consumer, 2).await, [4, 5]);
    consumer.commit(read[2].offset).await.unwrap();
    assert_eq!(queue.depth("logic").await.unwrap(), 2);
    drop(consumer);
    let mut consumer = queue.consume("logic").await.unwrap();
    assert_eq!(ids(&take(&mut *consumer, 2).await), [4, 5]);
    role.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_finds_its_place_on_a_new_stream() {
    let folder = tempfile::tempdir().unwrap();
    let backends = embedded(&folder).await;
    let role = start(backends.clone());
    let addr = role.addr;
    let queue = RemoteQueue::new(&role.connect());
    queue.publish((1..=3).map(|id| record("k", id)).collect()).await.unwrap();
    let mut consumer = queue.consume("logic").await.unwrap();
    let read = take(&mut *consumer, 3).await;
    role.stop().await;
    let role = start_again(addr, backends);
    let error = consumer.commit(read[1].offset).await.unwrap_err();
    assert_eq!(error.code, Code::Unavailable, "{error}");
    commit_after_break(&mut *consumer, read[1].offset).await;
    // Repeated, as by a caller that got no answer: nothing is left to read up to there.
    consumer.commit(read[2].offset).await.unwrap();
    consumer.commit(read[2].offset).await.unwrap();
    assert_eq!(queue.depth("logic").await.unwrap(), 0);
    role.stop().await;
}

/// As callers do: again while the service is away. How often that is depends on when the old connection's end is noticed.
async fn commit_after_break(consumer: &mut dyn Consumer, offset: u64) {
    let committed = async {
        while let Err(error) = consumer.commit(offset).await {
            assert_eq!(error.code, Code::Unavailable, "{error}");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), committed).await.expect("the service is back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_not_taken_for_an_abandoned_one() {
    let folder = tempfile::tempdir().unwrap();
    let role = start(embedded(&folder).await);
    let queue = RemoteQueue::new(&role.connect());
    queue.publish((1..=2).map(|id| record("k", id)).collect()).await.unwrap();
    let mut consumer = queue.consume("logic").await.unwrap();
    let read = take(&mut *consumer, 2).await;
    {
        use futures_util::FutureExt;
        // It is on its way when its caller gives up.
        assert!(consumer.commit(read[0].offset).now_or_never().is_none());
    }
    consumer.commit(read[1].offset).await.unwrap();
    assert_eq!(queue.depth("logic").await.unwrap(), 0);
    role.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_larger_than_a_call_are_cut() {
    let folder = tempfile::tempdir().unwrap();
    let role = start(embedded(&folder).await);
    let queue = RemoteQueue::new(&role.connect());
    let big = |id| {
        let mut record = record("k", id);
        if let Some(gpusher_proto::data::job::Kind::Push(push)) =
            record.job.as_mut().and_then(|job| job.kind.as_mut())
        {
            push.content = vec![7; CALL_BYTES / 3].into();
        }
        record
    };
    queue.publish((1..=10).map(big).collect()).await.unwrap();
    let mut consumer = queue.consume("logic").await.unwrap();
    assert_eq!(ids(&take(&mut *consumer, 10).await), (1..=10).collect::<Vec<_>>());
    role.stop().await;
}

/// A queue whose consumers take over from others as they begin.
struct Rebalancing(Arc<dyn Queue>);

struct TakesOver {
    consumer: Box<dyn Consumer>,
    took_over: bool,
}

#[async_trait]
impl Queue for Rebalancing {
    async fn publish(&self, records: Vec<Record>) -> Result<()> {
        self.0.publish(records).await
    }

    async fn consume(&self, group: &str) -> Result<Box<dyn Consumer>> {
        let consumer = self.0.consume(group).await?;
        Ok(Box::new(TakesOver { consumer, took_over: true }))
    }

    async fn depth(&self, group: &str) -> Result<u64> {
        self.0.depth(group).await
    }
}

#[async_trait]
impl Consumer for TakesOver {
    async fn next(&mut self, limit: usize) -> Result<Vec<Record>> {
        self.consumer.next(limit).await
    }

    fn took_over(&mut self) -> bool {
        std::mem::take(&mut self.took_over)
    }

    async fn commit(&mut self, offset: u64) -> Result<()> {
        self.consumer.commit(offset).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_hears_that_its_role_took_over() {
    let folder = tempfile::tempdir().unwrap();
    let backends = embedded(&folder).await;
    let role = start(Backends { queue: Arc::new(Rebalancing(backends.queue.clone())), ..backends });
    let queue = RemoteQueue::new(&role.connect());
    queue.publish((1..=2).map(|id| record("k", id)).collect()).await.unwrap();
    let mut consumer = queue.consume("logic").await.unwrap();
    assert_eq!(ids(&consumer.next(1).await.unwrap()), [1]);
    assert!(consumer.took_over());
    assert_eq!(ids(&consumer.next(1).await.unwrap()), [2]);
    assert!(!consumer.took_over(), "told once");
    drop(consumer);
    role.stop().await;
}
