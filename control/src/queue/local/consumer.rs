//! One group's reader.

use super::table::Reader;
use super::writer::Request;
use super::{Shared, blocking, closed};
use crate::error::{Code, Error, Result};
use crate::queue::Consumer;
use async_trait::async_trait;
use gpusher_proto::data::Record;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

/// Reads from memory what is new, from the file what is old. Its group may have another consumer once it is dropped.
pub(super) struct LocalConsumer {
    claim: Claim,
    file: Arc<Mutex<Reader>>,
    requests: mpsc::Sender<Request>,
    /// Last offset that it may read.
    end: watch::Receiver<u64>,
    /// Decoded, not yet handed out.
    ready: VecDeque<Record>,
    /// Offset of the last record decoded.
    read: u64,
}

/// The right to be the group's consumer.
struct Claim {
    group: String,
    shared: Arc<Shared>,
}

impl LocalConsumer {
    pub(super) async fn open(
        group: &str,
        path: &Path,
        requests: mpsc::Sender<Request>,
        shared: Arc<Shared>,
        end: watch::Receiver<u64>,
    ) -> Result<Self> {
        shared.state.lock().open_group(group)?;
        let claim = Claim { group: group.to_owned(), shared };
        let path = path.to_path_buf();
        let file = Arc::new(Mutex::new(blocking(move || Reader::open(&path)).await?));
        let mut consumer = Self { claim, file, requests, end, ready: VecDeque::new(), read: 0 };
        if consumer.committed().is_none() {
            // From here on nothing is trimmed that this group has not done.
            consumer.give_position().await?;
        }
        consumer.read = consumer.committed().expect("it was stored");
        Ok(consumer)
    }

    fn committed(&self) -> Option<u64> {
        self.claim.shared.state.lock().committed(&self.claim.group)
    }

    async fn give_position(&mut self) -> Result<()> {
        let (done, durable) = oneshot::channel();
        let group = self.claim.group.clone();
        let request = Request::Open { group, done };
        self.requests.send(request).await.map_err(|_| closed())?;
        durable.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Decodes the batch after the last one. No await between reading it and taking note of it, so nothing is lost
    /// when the caller goes away.
    async fn load(&mut self) -> Result<()> {
        let wanted = self.read + 1;
        let (newest, failed) = {
            let state = self.claim.shared.state.lock();
            (state.newest(wanted), state.failed())
        };
        let (last, batch) = match newest {
            Some(found) => found,
            None => {
                let file = self.file.clone();
                match blocking(move || file.lock().read(wanted)).await? {
                    Some(found) => found,
                    None if wanted <= failed => {
                        self.read = failed;
                        return Ok(());
                    }
                    None => {
                        let text = format!("queue record {wanted} is missing");
                        return Err(Error::new(Code::Internal, text));
                    }
                }
            }
        };
        let records = batch.decode(last - batch.records + 1)?;
        self.ready.extend(records.into_iter().filter(|record| record.offset >= wanted));
        self.read = last;
        Ok(())
    }
}

#[async_trait]
impl Consumer for LocalConsumer {
    async fn next(&mut self, limit: usize) -> Result<Vec<Record>> {
        assert!(limit > 0);
        // What was begun and not written leaves nothing to read.
        while self.ready.is_empty() {
            let read = self.read;
            tokio::select! {
                biased;
                end = self.end.wait_for(|end| *end > read) => { end.map_err(|_| closed())?; }
                () = self.requests.closed() => return Err(closed()),
            }
            self.load().await?;
        }
        while self.ready.len() < limit && self.read < *self.end.borrow() {
            self.load().await?;
        }
        let count = limit.min(self.ready.len());
        Ok(self.ready.drain(..count).collect())
    }

    async fn commit(&mut self, offset: u64) -> Result<()> {
        let handed_out = self.read - self.ready.len() as u64;
        if offset > handed_out {
            let text = format!("offset {offset} was not handed out; the last was {handed_out}");
            return Err(Error::new(Code::Invalid, text));
        }
        let moved = self.claim.shared.state.lock().commit(&self.claim.group, offset);
        match moved.then(|| self.requests.try_send(Request::Commit)) {
            Some(Err(TrySendError::Closed(_))) => Err(closed()),
            // A writer with a full table of requests looks at the positions when it comes to them.
            _ => Ok(()),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.shared.state.lock().close_group(&self.group);
    }
}
