//! What the reader's thread and the consumer share: records that were read ahead, and the places in the partitions.

use super::positions::Positions;
use crate::error::{Code, Error, Result};
use gpusher_proto::data::Record;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::time::Instant;
use tokio::sync::Notify;

/// Read ahead of logic: above this the reader pauses, below half of it it goes on.
const AHEAD_RECORDS: usize = 8_192;
const AHEAD_BYTES: usize = 16 << 20;

/// A record as read.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) partition: i32,
    /// Its offset in the partition.
    pub(super) position: i64,
    /// Encoded.
    pub(super) bytes: usize,
    /// Without an offset yet.
    pub(super) record: Record,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Feed {
    state: Mutex<State>,
    /// There is something for `next`.
    filled: Notify,
    /// A commit, which a partition that is to be given away may wait for.
    committed: Condvar,
}

#[derive(Debug)]
struct State {
    positions: Positions,
    ahead: VecDeque<Fetched>,
    ahead_bytes: usize,
    /// Partitions came, and logic was not told yet.
    took_over: bool,
    /// Why there will be no more.
    failure: Option<Error>,
}

impl Feed {
    /// Offsets will be above `floor`.
    pub(super) fn new(floor: u64) -> Self {
        let state = State {
            positions: Positions::new(floor),
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            took_over: false,
            failure: None,
        };
        Self { state: Mutex::new(state), filled: Notify::new(), committed: Condvar::new() }
    }

    /// Waits for records; nothing is lost when the future is dropped.
    pub(super) async fn take(&self, limit: usize) -> Result<Vec<Record>> {
        loop {
            let filled = self.filled.notified();
            {
                let mut state = self.state.lock();
                let records = state.hand_out(limit);
                if !records.is_empty() {
                    return Ok(records);
                }
                if let Some(failure) = &state.failure {
                    return Err(failure.clone());
                }
            }
            filled.await;
        }
    }

    /// Everything up to and including the offset is done.
    pub(super) fn commit(&self, offset: u64) -> Result<()> {
        let mut state = self.state.lock();
        let last = state.positions.last();
        if offset > last {
            let text = format!("offset {offset} was not handed out; the last was {last}");
            return Err(Error::new(Code::Invalid, text));
        }
        state.positions.commit(offset);
        self.committed.notify_all();
        Ok(())
    }

    /// Whether partitions came since the last call.
    pub(super) fn took_over(&self) -> bool {
        std::mem::take(&mut self.state.lock().took_over)
    }

    /// The last offset handed out.
    pub(super) fn last(&self) -> u64 {
        self.state.lock().positions.last()
    }

    /// Behind what is done of a partition, if this consumer has it and has done anything.
    pub(super) fn done(&self, partition: i32) -> Option<i64> {
        self.state.lock().positions.done(partition)
    }

    /// Puts a record by.
    pub(super) fn put(&self, fetched: Fetched) {
        let mut state = self.state.lock();
        state.ahead_bytes += fetched.bytes;
        state.ahead.push_back(fetched);
        self.filled.notify_one();
    }

    /// Whether the reader should rest, given that it does or does not.
    pub(super) fn is_full(&self, resting: bool) -> bool {
        let state = self.state.lock();
        let part = if resting { 2 } else { 1 };
        state.ahead.len() > AHEAD_RECORDS / part || state.ahead_bytes > AHEAD_BYTES / part
    }

    pub(super) fn fail(&self, failure: Error) {
        self.state.lock().failure = Some(failure);
        self.filled.notify_one();
    }

    pub(super) fn assign(&self, partitions: &[i32]) -> usize {
        let mut state = self.state.lock();
        state.positions.assign(partitions);
        state.took_over |= !partitions.is_empty();
        state.positions.assigned()
    }

    /// Hands out no more of these partitions and waits until what is under way of them is done, or the time is over. How many records
    /// were then still under way: they come again, elsewhere.
    pub(super) fn leave(&self, partitions: &[i32], deadline: Instant) -> usize {
        let mut state = self.state.lock();
        state.positions.leave(partitions);
        state.forget_ahead(partitions);
        while state.positions.under_way(partitions) > 0 {
            if self.committed.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.positions.under_way(partitions)
    }

    pub(super) fn revoke(&self, partitions: &[i32]) -> usize {
        let mut state = self.state.lock();
        state.forget_ahead(partitions);
        state.positions.revoke(partitions);
        state.positions.assigned()
    }

    pub(super) fn take_untold(&self) -> Vec<(i32, i64)> {
        self.state.lock().positions.take_untold()
    }

    pub(super) fn on_not_told(&self, partitions: impl IntoIterator<Item = i32>) {
        self.state.lock().positions.on_not_told(partitions);
    }
}

impl State {
    fn hand_out(&mut self, limit: usize) -> Vec<Record> {
        let mut records = Vec::with_capacity(limit.min(self.ahead.len()));
        while records.len() < limit {
            let Some(fetched) = self.ahead.pop_front() else { break };
            self.ahead_bytes -= fetched.bytes;
            // One that its partition's going has overtaken is the next consumer's.
            if let Some(offset) = self.positions.hand_out(fetched.partition, fetched.position) {
                records.push(Record { offset, ..fetched.record });
            }
        }
        records
    }

    fn forget_ahead(&mut self, partitions: &[i32]) {
        self.ahead.retain(|fetched| !partitions.contains(&fetched.partition));
        self.ahead_bytes = self.ahead.iter().map(|fetched| fetched.bytes).sum();
    }
}
