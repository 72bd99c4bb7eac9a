//! Outboxes to sockets: flushed as often as the socket has room, a bounded number of frames at a time.

use super::backlog::{Backlog, Flow, Removed};
use super::parcel::Origin;
use super::table::Hot;
use super::{Clock, Shard};
use crate::metrics::ShardCount;
use gpusher_session::{Class, Entry, Progress};
use gpusher_sys::driver::Driver;

impl<D: Driver, C: Clock> Shard<D, C> {
    /// Lists the connection for a flush, unless it waits for something already.
    pub(super) fn flush_soon(&mut self, slot: u32) {
        let list = |backlog: &mut Backlog| {
            let due = backlog.flow == Flow::Open && backlog.outbox.has_ready();
            backlog.flow = if due { Flow::Listed } else { backlog.flow };
            due
        };
        if self.backlogs.update(slot, list) == Some(true) {
            self.outgoing.to_flush.push(slot);
        }
    }

    /// Flushes outboxes whose sockets may have room.
    pub(super) fn flush_listed(&mut self) {
        let mut listed = std::mem::take(&mut self.outgoing.to_flush);
        listed.retain(|&slot| !self.flush(slot));
        self.outgoing.to_flush = listed;
    }

    /// False if it has to stay on the list.
    fn flush(&mut self, slot: u32) -> bool {
        if self.table.hot[slot as usize].has(Hot::BUSY) {
            return false;
        }
        let mut removed = Removed::default();
        let (driver, now_ms) = (&mut self.driver, self.now.unix_ms);
        let flushes = self.backlogs.update(slot, |backlog| {
            if backlog.flow != Flow::Listed {
                return false;
            }
            let count = &mut |why, entry: Entry<Origin>| removed.count(why, &entry);
            backlog.outbox.drop_expired(now_ms, count);
            let ready = backlog.outbox.has_ready();
            backlog.flow = if ready { Flow::Flushing } else { Flow::Open };
            if ready {
                driver.flush(slot, &mut backlog.outbox.pieces());
            }
            ready
        });
        self.count_removed(removed);
        if flushes == Some(true) {
            self.table.hot[slot as usize].set(Hot::BUSY, true);
            self.outgoing.flushed.push(slot);
        } else {
            self.outgoing.to_check.push(slot);
        }
        true
    }

    pub(super) fn on_flushed(&mut self, slot: u32, taken: u32) {
        let tick = self.now.tick();
        let mut messages = 0;
        let progress = self.backlogs.update(slot, |backlog| {
            backlog.progress_tick = if taken > 0 { tick } else { backlog.progress_tick };
            let progress = backlog.outbox.advance(taken as usize, &mut |entry| {
                messages += u64::from(entry.class != Class::Control);
            });
            backlog.flow = if progress == Progress::Full { Flow::Full } else { Flow::Open };
            progress
        });
        self.counts.add(ShardCount::MessagesWritten, messages);
        self.counts.add(ShardCount::BytesWritten, u64::from(taken));
        match progress {
            Some(Progress::Full) => self.driver.await_writable(slot),
            Some(Progress::More) => self.flush_soon(slot),
            Some(Progress::Done) => self.outgoing.to_check.push(slot),
            // It failed in the same turn, and is closed.
            None => {}
        }
    }

    pub(super) fn on_writable(&mut self, slot: u32) {
        self.backlogs.update(slot, |backlog| {
            backlog.flow = if backlog.flow == Flow::Full { Flow::Open } else { backlog.flow };
        });
        self.flush_soon(slot);
        self.outgoing.to_check.push(slot);
    }
}
