//! The durable queue of one machine: a SQLite file and the newest records in memory.
//!
//! One thread writes. Whatever was published while it wrote goes into its next transaction together, so callers share a
//! sync instead of queueing for their own. Records are stored as *batches*, one row each: a row costs the same for one
//! record as for thousands. Consumers read the newest batches from memory and older ones from the file, and wake when
//! a write is durable, or already when it begins, if they end with this process. When every group has committed a batch, it is deleted.
//!
//! Why SQLite: `docs/adr/0001-local-queue-on-sqlite.md`.

mod batch;
mod consumer;
mod state;
mod table;
mod writer;

use self::batch::Batch;
use self::consumer::LocalConsumer;
use self::state::State;
use self::table::Table;
use self::writer::{Request, Writer};
use super::{Consumer, Queue};
use crate::error::{Code, Error, Result};
use crate::metrics::QueueMetrics;
use crate::store::sqlite::Durability;
use async_trait::async_trait;
use gpusher_proto::data::Record;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// Requests that may wait for the writer; more callers wait in `publish`, whose bytes are bounded by the queue's limit.
const REQUESTS_WAITING: usize = 4096;

/// Bounds and durability.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// When `publish` returns.
    pub durability: Durability,
    /// Records that may wait.
    pub records_max: u64,
    /// Bytes of them.
    pub bytes_max: u64,
    /// Bytes of the newest batches that are kept in memory for consumers.
    pub memory_bytes_max: usize,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Full,
            records_max: 10_000_000,
            bytes_max: 8 << 30,
            memory_bytes_max: 32 << 20,
        }
    }
}

/// The queue on one file. Dropping it lets what was published finish; [`Queue::close`] waits for that.
#[derive(Debug)]
pub struct LocalQueue {
    path: PathBuf,
    requests: mpsc::Sender<Request>,
    shared: Arc<Shared>,
}

/// What callers, writer and consumers share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Last offset that is being written or was.
    begun: watch::Sender<u64>,
    /// Last offset that is durable.
    durable: watch::Sender<u64>,
    metrics: QueueMetrics,
}

impl LocalQueue {
    /// Opens or creates the queue. `unavailable` if the file cannot be read or is in use.
    pub async fn open(path: &Path, options: LocalOptions, metrics: QueueMetrics) -> Result<Self> {
        let (file, durability) = (path.to_path_buf(), options.durability);
        let (table, summary) = blocking(move || {
            let table = Table::open(&file, durability)?;
            let summary = table.summary()?;
            Ok((table, summary))
        })
        .await?;
        let state = State::new(summary, options);
        let end = state.end();
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            begun: watch::Sender::new(end),
            durable: watch::Sender::new(end),
            metrics,
        });
        shared.publish_gauges();
        let (requests, waiting) = mpsc::channel(REQUESTS_WAITING);
        Writer::start(table, waiting, shared.clone())?;
        Ok(Self { path: path.to_path_buf(), requests, shared })
    }
}

#[async_trait]
impl Queue for LocalQueue {
    async fn publish(&self, records: Vec<Record>) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let batch = Batch::encode(&records);
        self.shared.admit(&batch)?;
        let (done, durable) = oneshot::channel();
        let size = (batch.records, batch.bytes());
        if self.requests.send(Request::Publish { batch, done }).await.is_err() {
            self.shared.give_back(size);
            return Err(closed());
        }
        durable.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn consume(&self, group: &str) -> Result<Box<dyn Consumer>> {
        self.consumer(group, self.shared.durable.subscribe()).await
    }

    async fn consume_early(&self, group: &str) -> Result<Box<dyn Consumer>> {
        self.consumer(group, self.shared.begun.subscribe()).await
    }

    async fn depth(&self, group: &str) -> Result<u64> {
        Ok(self.shared.state.lock().depth(group))
    }

    async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.requests.send(Request::Close { done }).await.is_ok() {
            let _ = closed.await;
        }
    }
}

impl LocalQueue {
    /// A consumer that reads up to `end`.
    async fn consumer(&self, group: &str, end: watch::Receiver<u64>) -> Result<Box<dyn Consumer>> {
        let (requests, shared) = (self.requests.clone(), self.shared.clone());
        Ok(Box::new(LocalConsumer::open(group, &self.path, requests, shared, end).await?))
    }
}

impl Shared {
    /// Reserves room; what is not written must be given back.
    fn admit(&self, batch: &Batch) -> Result<()> {
        let admitted = self.state.lock().admit(batch.records, batch.bytes());
        if admitted.is_err() {
            self.metrics.refused_full.inc_by(batch.records);
        }
        self.publish_gauges();
        admitted
    }

    fn give_back(&self, (records, bytes): (u64, u64)) {
        self.state.lock().give_back(records, bytes);
        self.publish_gauges();
    }

    fn publish_gauges(&self) {
        let (records, bytes) = self.state.lock().stored();
        self.metrics.records.set(records.try_into().unwrap_or(i64::MAX));
        self.metrics.bytes.set(bytes.try_into().unwrap_or(i64::MAX));
    }
}

/// Runs what waits for the disk where that holds up nobody.
async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(call).await.unwrap_or_else(|_| Err(closed()))
}

fn closed() -> Error {
    Error::new(Code::Unavailable, "the queue is closed")
}

#[cfg(test)]
mod tests;
