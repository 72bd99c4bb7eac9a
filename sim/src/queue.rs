//! A queue in memory: what is in it is durable, whoever crashes. It passes the suite that every queue passes.

use crate::gate::Gates;
use async_trait::async_trait;
use gpusher_control::error::{Code, Error, Result};
use gpusher_control::queue::{Consumer, Queue};
use gpusher_proto::data::Record;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Notify;

#[derive(Debug, Default)]
struct Inner {
    records: BTreeMap<u64, Record>,
    last: u64,
    committed: BTreeMap<String, u64>,
    consumed: BTreeSet<String>,
}

/// The queue. Clones share their records.
#[derive(Clone, Default)]
pub struct MemoryQueue {
    inner: Arc<Mutex<Inner>>,
    gates: Gates,
    published: Arc<Notify>,
}

impl MemoryQueue {
    /// An empty queue; publishing waits at the gates.
    pub fn new(gates: Gates) -> Self {
        Self { gates, ..Self::default() }
    }

    /// Appends records, past the gates.
    pub fn put(&self, records: Vec<Record>) {
        let mut inner = self.inner.lock();
        for record in records {
            inner.last += 1;
            let offset = inner.last;
            inner.records.insert(offset, Record { offset, ..record });
        }
        self.published.notify_waiters();
    }

    /// Records after an offset.
    pub fn after(&self, offset: u64, limit: usize) -> Vec<Record> {
        let inner = self.inner.lock();
        inner.records.range(offset + 1..).take(limit).map(|(_, record)| record.clone()).collect()
    }

    /// A group's position.
    pub fn committed(&self, group: &str) -> u64 {
        self.inner.lock().committed.get(group).copied().unwrap_or(0)
    }

    /// Moves a group's position, past the gates; forward only.
    pub fn set_committed(&self, group: &str, offset: u64) {
        let mut inner = self.inner.lock();
        let committed = inner.committed.entry(group.to_owned()).or_default();
        *committed = offset.max(*committed);
    }

    /// The last offset given.
    pub fn last(&self) -> u64 {
        self.inner.lock().last
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn publish(&self, records: Vec<Record>) -> Result<()> {
        self.gates.pass("publish").await;
        self.gates.fails("publish")?;
        self.put(records);
        self.gates.pass("publish").await;
        self.gates.fails("publish")
    }

    async fn consume(&self, group: &str) -> Result<Box<dyn Consumer>> {
        let mut inner = self.inner.lock();
        if !inner.consumed.insert(group.to_owned()) {
            return Err(Error::new(Code::Conflict, "the group has a consumer"));
        }
        let read = inner.committed.get(group).copied().unwrap_or(0);
        Ok(Box::new(MemoryConsumer { queue: self.clone(), group: group.to_owned(), read }))
    }

    async fn depth(&self, group: &str) -> Result<u64> {
        let after = self.committed(group);
        Ok(self.inner.lock().records.range(after + 1..).count() as u64)
    }
}

struct MemoryConsumer {
    queue: MemoryQueue,
    group: String,
    read: u64,
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next(&mut self, limit: usize) -> Result<Vec<Record>> {
        loop {
            let published = self.queue.published.clone();
            let mut waiting = std::pin::pin!(published.notified());
            waiting.as_mut().enable();
            let records = self.queue.after(self.read, limit);
            if let Some(last) = records.last() {
                self.read = last.offset;
                return Ok(records);
            }
            waiting.await;
        }
    }

    async fn commit(&mut self, offset: u64) -> Result<()> {
        if offset > self.read {
            return Err(Error::new(Code::Invalid, "not read so far"));
        }
        self.queue.set_committed(&self.group, offset);
        Ok(())
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        self.queue.inner.lock().consumed.remove(&self.group);
    }
}
