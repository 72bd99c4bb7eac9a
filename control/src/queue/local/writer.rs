//! The one thread that changes the file: everything that waits goes into one transaction.
//!
//! It is a thread because each write waits for the disk; the way of a publish is one wake-up to it and one back.

use super::batch::Batch;
use super::table::{Change, Freed, Table};
use super::{REQUESTS_WAITING, Shared};
use crate::error::{Code, Error, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// Batches of small publishes are joined up to this size, so that a reader never loads much more than it wants.
const JOINED_BYTES_MAX: u64 = 1 << 20;

/// Positions that have moved are written this much later, with records if there are some: a kill meanwhile means that done records
/// come again.
const COMMIT_DELAY: Duration = Duration::from_millis(10);
/// After a failed write, positions wait this long for the disk.
const COMMIT_RETRY: Duration = Duration::from_secs(1);

/// What callers and consumers ask for. `done` is answered when it is durable, or has failed.
#[derive(Debug)]
pub(super) enum Request {
    Publish {
        batch: Batch,
        done: oneshot::Sender<Result<()>>,
    },
    /// A group without a position gets one.
    Open {
        group: String,
        done: oneshot::Sender<Result<()>>,
    },
    /// Positions have moved; nobody waits for that.
    Commit,
    Close {
        done: oneshot::Sender<()>,
    },
}

pub(super) struct Writer {
    table: Table,
    requests: mpsc::Receiver<Request>,
    shared: Arc<Shared>,
    /// When positions that have moved are to be written.
    positions_due: Option<Instant>,
}

/// One transaction in the making.
#[derive(Default)]
struct Turn {
    published: Vec<Batch>,
    opened: Vec<String>,
    done: Vec<oneshot::Sender<Result<()>>>,
    closed: Vec<oneshot::Sender<()>>,
}

impl Writer {
    /// Starts the thread. It runs until the queue is closed or dropped, and everything accepted before that is written.
    ///
    /// # Errors
    /// `unavailable` if the host gives no thread.
    pub(super) fn start(
        table: Table,
        requests: mpsc::Receiver<Request>,
        shared: Arc<Shared>,
    ) -> Result<()> {
        let unavailable = |error: std::io::Error| {
            Error::new(Code::Unavailable, format!("cannot start the queue's writer: {error}"))
        };
        // Only for its timer: nothing else runs on it.
        let clock = Builder::new_current_thread().enable_time().build().map_err(unavailable)?;
        let writer = Self { table, requests, shared, positions_due: None };
        let thread = std::thread::Builder::new().name("gpusher-queue".to_owned());
        thread.spawn(move || clock.block_on(writer.run())).map_err(unavailable)?;
        Ok(())
    }

    async fn run(mut self) {
        let mut waiting = Vec::new();
        let mut closed = Vec::new();
        while self.receive(&mut waiting).await {
            let mut turn = Turn::new(waiting.drain(..));
            if !turn.closed.is_empty() {
                self.requests.close();
                closed.append(&mut turn.closed);
                self.positions_due = Some(Instant::now());
            }
            self.write(turn);
        }
        self.table.close();
        for done in closed {
            let _ = done.send(());
        }
    }

    /// Takes what has come meanwhile, or waits for it, or for positions to be due. False when there will be no more.
    async fn receive(&mut self, waiting: &mut Vec<Request>) -> bool {
        let more = self.requests.recv_many(waiting, REQUESTS_WAITING);
        match self.positions_due {
            Some(due) => !matches!(timeout_at(due, more).await, Ok(0)),
            None => more.await > 0,
        }
    }

    fn write(&mut self, turn: Turn) {
        let published: u64 = turn.published.iter().map(|batch| batch.records).sum();
        let change = self.change(&turn);
        if change.is_empty() {
            return;
        }
        self.shared.on_begun(&change);
        let started = Instant::now();
        let applied = self.table.apply(&change);
        let metrics = &self.shared.metrics;
        let result = match applied {
            Ok(freed) => {
                metrics.write_seconds.observe(started.elapsed().as_secs_f64());
                metrics.published.inc_by(published);
                self.shared.on_applied(&change, &freed);
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, records = published, "the queue did not take records");
                metrics.refused_failed.inc_by(published);
                let bytes = turn.published.iter().map(Batch::bytes).sum();
                self.shared.give_back((published, bytes));
                self.shared.on_failed(&change, &turn.opened);
                self.positions_due = Some(Instant::now() + COMMIT_RETRY);
                Err(error)
            }
        };
        for done in turn.done {
            let _ = done.send(result.clone());
        }
    }

    fn change(&mut self, turn: &Turn) -> Change {
        let mut state = self.shared.state.lock();
        let mut last = state.end();
        let batches = joined(&turn.published)
            .map(|batch| {
                last += batch.records;
                (last, batch)
            })
            .collect();
        state.give_positions(&turn.opened);
        let now = Instant::now();
        let due = self.positions_due.is_some_and(|due| now >= due) || !turn.opened.is_empty();
        let positions = if due { state.take_moved() } else { Vec::new() };
        // What is published will be committed soon: looking then saves being told of each commit.
        let look = state.has_moved() || !turn.published.is_empty();
        self.positions_due = match self.positions_due {
            _ if !look => None,
            Some(at) if !due => Some(at),
            _ => Some(now + COMMIT_DELAY),
        };
        state.writer_looks = self.positions_due.is_some();
        let trim = if positions.is_empty() { None } else { state.lowest() };
        Change { batches, positions, trim }
    }
}

impl Turn {
    fn new(requests: impl Iterator<Item = Request>) -> Self {
        let mut turn = Self::default();
        for request in requests {
            match request {
                Request::Publish { batch, done } => {
                    turn.published.push(batch);
                    turn.done.push(done);
                }
                Request::Open { group, done } => {
                    turn.opened.push(group);
                    turn.done.push(done);
                }
                Request::Commit => {}
                Request::Close { done } => turn.closed.push(done),
            }
        }
        turn
    }
}

impl Shared {
    /// Who is allowed to goes on with the records while the disk takes them.
    fn on_begun(&self, change: &Change) {
        let end = {
            let mut state = self.state.lock();
            state.on_begun(&change.batches);
            state.end()
        };
        self.begun.send_if_modified(|known| std::mem::replace(known, end) != end);
    }

    fn on_applied(&self, change: &Change, freed: &Freed) {
        let durable = {
            let mut state = self.state.lock();
            state.on_written();
            if let Some(trim) = change.trim {
                state.on_trimmed(trim, freed);
            }
            state.durable()
        };
        self.publish_gauges();
        self.durable.send_if_modified(|known| std::mem::replace(known, durable) != durable);
    }

    fn on_failed(&self, change: &Change, opened: &[String]) {
        let mut state = self.state.lock();
        state.on_unwritten(&change.batches);
        state.on_failed(&change.positions, opened);
    }
}

/// Joins neighbours while they stay small.
fn joined(batches: &[Batch]) -> impl Iterator<Item = Batch> {
    let mut rest = batches;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|batch| {
            bytes += batch.bytes();
            bytes <= JOINED_BYTES_MAX
        });
        let count = fits.count().max(1);
        let (these, others) = rest.split_at_checked(count)?;
        rest = others;
        Some(Batch::join(these))
    })
}
