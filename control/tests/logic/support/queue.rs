//! A queue that outlives its consumers, and lets a test look at the committed position.

use async_trait::async_trait;
use gpusher_control::error::{Code, Error, Result};
use gpusher_control::queue::{Consumer, Queue};
use gpusher_proto::data::Record;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// Offsets count from 1.
#[derive(Debug)]
pub(crate) struct MemoryQueue {
    records: Arc<Mutex<Vec<Record>>>,
    len: watch::Sender<usize>,
    committed: Arc<AtomicU64>,
    /// Publishing fails as if the queue were full.
    pub(crate) full: AtomicBool,
}

impl Default for MemoryQueue {
    fn default() -> Self {
        Self {
            records: Arc::default(),
            len: watch::channel(0).0,
            committed: Arc::default(),
            full: AtomicBool::new(false),
        }
    }
}

impl MemoryQueue {
    pub(crate) fn committed(&self) -> u64 {
        self.committed.load(SeqCst)
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.records.lock().expect("no test panics here").clone()
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn publish(&self, records: Vec<Record>) -> Result<()> {
        if self.full.load(SeqCst) {
            return Err(Error::new(Code::Overloaded, "full"));
        }
        let mut all = self.records.lock().expect("no test panics here");
        for mut record in records {
            record.offset = all.len() as u64 + 1;
            all.push(record);
        }
        self.len.send_replace(all.len());
        Ok(())
    }

    async fn consume(&self, _group: &str) -> Result<Box<dyn Consumer>> {
        Ok(Box::new(MemoryConsumer {
            records: self.records.clone(),
            len: self.len.subscribe(),
            committed: self.committed.clone(),
            next: self.committed() as usize,
        }))
    }

    async fn depth(&self, _group: &str) -> Result<u64> {
        Ok(*self.len.borrow() as u64 - self.committed())
    }
}

struct MemoryConsumer {
    records: Arc<Mutex<Vec<Record>>>,
    len: watch::Receiver<usize>,
    committed: Arc<AtomicU64>,
    next: usize,
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next(&mut self, limit: usize) -> Result<Vec<Record>> {
        let next = self.next;
        let more = self.len.wait_for(|len| *len > next).await;
        more.map_err(|_| Error::new(Code::Unavailable, "queue is gone"))?;
        let records = self.records.lock().expect("no test panics here");
        let batch: Vec<Record> = records[next..].iter().take(limit).cloned().collect();
        self.next += batch.len();
        Ok(batch)
    }

    async fn commit(&mut self, offset: u64) -> Result<()> {
        let before = self.committed.swap(offset, SeqCst);
        assert!(before <= offset, "a commit goes back");
        Ok(())
    }
}
