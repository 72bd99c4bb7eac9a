//! Frames to sockets, and what becomes of those that a socket did not take.
//!
//! What is decided for named connections is *staged* first: at the turn's end, all that a connection gets goes out in one send. A send that
//! comes up short puts the rest into the outbox, in front; from then on see `flush.rs`.

use super::backlog::{Backlog, Flow};
use super::parcel::{Content, Parcel};
use super::table::{Hot, Phase, Table};
use super::{Clock, Shard};
use crate::metrics::ShardCount;
use bytes::Bytes;
use gpusher_session::Lane;
use gpusher_sys::driver::{Driver, FrameKey};

/// What goes out in this turn.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    staged: Vec<(u32, Content)>,
    /// Some connection has more than one frame staged.
    several: bool,
    parcels: Vec<Parcel>,
    /// (slot, index of the parcel), one per slot.
    sent: Vec<(u32, u32)>,
    /// Slots that a flush was asked for.
    pub(super) flushed: Vec<u32>,
    pub(super) to_flush: Vec<u32>,
    /// Connections whose outbox may have come to an end: see `hold.rs`.
    pub(super) to_check: Vec<u32>,
    messages: u64,
    bytes: u64,
}

/// A parcel that the driver has been lent for this turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lent {
    pub(super) key: FrameKey,
    parcel: u32,
    messages: u32,
    bytes: u32,
}

impl Outgoing {
    /// Something is waiting for the next turn.
    pub(super) fn has_work(&self) -> bool {
        !self.staged.is_empty() || !self.to_flush.is_empty() || !self.to_check.is_empty()
    }

    /// Lends a parcel for any number of sends in this turn.
    pub(super) fn lend(&mut self, driver: &mut impl Driver, parcel: Parcel) -> Lent {
        let key = driver.lend(parcel.bytes.clone());
        let (messages, bytes) = (parcel.messages() as u32, parcel.bytes.len() as u32);
        self.parcels.push(parcel);
        Lent { key, parcel: self.parcels.len() as u32 - 1, messages, bytes }
    }

    /// Sends it to a connection that is not busy.
    pub(super) fn send(&mut self, driver: &mut impl Driver, hot: &mut Hot, slot: u32, lent: Lent) {
        debug_assert!(!hot.has(Hot::BUSY));
        hot.set(Hot::BUSY, true);
        driver.send(slot, lent.key);
        self.sent.push((slot, lent.parcel));
        self.messages += u64::from(lent.messages);
        self.bytes += u64::from(lent.bytes);
    }

    /// The driver has done what it was asked for: connections may be sent to again.
    pub(super) fn turn_over(&mut self, table: &mut Table) {
        for &(slot, _) in &self.sent {
            table.hot[slot as usize].set(Hot::BUSY, false);
        }
        for slot in self.flushed.drain(..) {
            table.hot[slot as usize].set(Hot::BUSY, false);
        }
    }

    /// What was sent to the slot in the turn that is over, once.
    fn take_sent(&mut self, slot: u32) -> Option<Parcel> {
        const TAKEN: u32 = u32::MAX;
        let index = self.sent.binary_search_by_key(&slot, |&(slot, _)| slot).ok()?;
        let parcel = std::mem::replace(&mut self.sent[index].1, TAKEN);
        self.parcels.get(parcel as usize).cloned()
    }
}

impl<D: Driver, C: Clock> Shard<D, C> {
    /// Adds a frame to what the connection gets in this turn.
    pub(super) fn stage(&mut self, slot: u32, content: Content) {
        let hot = &mut self.table.hot[slot as usize];
        self.outgoing.several |= hot.has(Hot::STAGED);
        hot.set(Hot::STAGED, true);
        self.outgoing.staged.push((slot, content));
    }

    /// Stages a frame that is no message, if there is one.
    pub(super) fn stage_control(&mut self, slot: u32, frame: Bytes) {
        if !frame.is_empty() {
            self.stage(slot, Content::control(frame));
        }
    }

    /// Sends what is staged, one send per connection.
    pub(super) fn send_staged(&mut self) {
        let mut staged = std::mem::take(&mut self.outgoing.staged);
        if std::mem::take(&mut self.outgoing.several) {
            // Stable: frames of one connection keep their order.
            staged.sort_by_key(|&(slot, _)| slot);
        }
        let mut last: Option<(Bytes, Lent)> = None;
        let mut rest = staged.drain(..).peekable();
        while let Some((slot, content)) = rest.next() {
            self.table.hot[slot as usize].set(Hot::STAGED, false);
            let mut contents = vec![content];
            while let Some((_, more)) = rest.next_if(|&(next, _)| next == slot) {
                contents.push(more);
            }
            self.send_contents(slot, contents, &mut last);
        }
        drop(rest);
        self.outgoing.staged = staged;
    }

    fn send_contents(
        &mut self,
        slot: u32,
        mut contents: Vec<Content>,
        last: &mut Option<(Bytes, Lent)>,
    ) {
        let index = slot as usize;
        if matches!(self.table.phase[index], Phase::Closing | Phase::Free) {
            return;
        }
        // What is only held does not stand in the way of a replay, nor that some of it has spilled: else a full hold would keep its own replay out. If
        // something has spilled that these come after, the outbox knows.
        let is_replay = || {
            let mut messages = contents.iter().filter_map(|content| content.message.as_ref());
            messages.all(|(job, _)| self.jobs.get(*job).replay)
        };
        let stands_in_the_way = |backlog: &Backlog| {
            let spilled = backlog.outbox.has_spilled() && !is_replay();
            backlog.is_under_way() || backlog.replay_broken || spilled
        };
        let waits = self.table.hot[index].has(Hot::BUSY)
            || self.backlogs.get(slot).is_some_and(stands_in_the_way);
        let fitting = if waits { 0 } else { self.fitting(&contents) };
        let waiting = contents.split_off(fitting);
        if !contents.is_empty() {
            self.count_written(&contents, 1);
            let lent = self.lend_or_reuse(contents, last);
            self.outgoing.send(&mut self.driver, &mut self.table.hot[index], slot, lent);
        }
        for content in waiting {
            self.queue_any(slot, content);
        }
    }

    /// How many of the frames go into one send: at least one.
    fn fitting(&self, contents: &[Content]) -> usize {
        let mut bytes = 0;
        let fits = contents.iter().take_while(|content| {
            bytes += content.frame.len();
            bytes <= self.config.slice.joined_bytes_max
        });
        fits.count().max(1)
    }

    /// A message for many connections comes here once for each: it is lent once.
    fn lend_or_reuse(&mut self, contents: Vec<Content>, last: &mut Option<(Bytes, Lent)>) -> Lent {
        let [only] = &*contents else {
            return self.outgoing.lend(&mut self.driver, Parcel::join(contents));
        };
        let frame = only.frame.clone();
        if let Some((lent_frame, lent)) = last
            && lent_frame.as_ptr() == frame.as_ptr()
            && only.message.as_ref().map(|(job, _)| job)
                == self.outgoing.parcels[lent.parcel as usize].contents[0]
                    .message
                    .as_ref()
                    .map(|(job, _)| job)
        {
            return *lent;
        }
        let lent = self.outgoing.lend(&mut self.driver, Parcel::join(contents));
        *last = Some((frame, lent));
        lent
    }

    fn count_written(&mut self, contents: &[Content], change: i64) {
        for (job, _) in contents.iter().filter_map(|content| content.message.as_ref()) {
            self.jobs.get_mut(*job).written += change;
        }
    }

    /// Queues a message or a control frame that may pass.
    fn queue_any(&mut self, slot: u32, content: Content) {
        match content.message {
            Some(_) => self.queue_message(slot, content, Lane::Pass),
            None => drop(self.queue(slot, &content, Lane::Pass)),
        }
    }

    /// Sends what is staged for one connection, so that something may be queued behind it.
    pub(super) fn unstage(&mut self, slot: u32) {
        let hot = &mut self.table.hot[slot as usize];
        if !hot.has(Hot::STAGED) {
            return;
        }
        hot.set(Hot::STAGED, false);
        let is_own = |(staged, _): &mut (u32, Content)| *staged == slot;
        let own = self.outgoing.staged.extract_if(.., is_own);
        let contents = own.map(|(_, content)| content).collect();
        self.send_contents(slot, contents, &mut None);
    }

    /// Withdraws a message from what is staged.
    pub(super) fn recall_staged(&mut self, message_id: u64) {
        let Self { outgoing, jobs, counts, table, .. } = self;
        let mut emptied = Vec::new();
        outgoing.staged.retain(|(slot, content)| match &content.message {
            Some((job, push)) if push.message().id == message_id => {
                jobs.get_mut(*job).recalled += 1;
                counts.add(ShardCount::DroppedRecalled, 1);
                emptied.push(*slot);
                false
            }
            _ => true,
        });
        emptied.retain(|&slot| outgoing.staged.iter().all(|&(staged, _)| staged != slot));
        emptied.iter().for_each(|&slot| table.hot[slot as usize].set(Hot::STAGED, false));
    }

    /// Takes back what sockets did not take of the turn's sends.
    pub(super) fn settle_sends(&mut self) {
        let mut short = std::mem::take(&mut self.intake.short);
        let mut failed = std::mem::take(&mut self.intake.failed);
        if !short.is_empty() || !failed.is_empty() {
            self.outgoing.sent.sort_unstable();
        }
        for (slot, taken) in short.drain(..) {
            let parcel = self.outgoing.take_sent(slot).expect("only what was sent comes up short");
            self.put_back(slot, &parcel, taken as usize);
            self.backlogs.update(slot, |backlog| backlog.flow = Flow::Full);
            self.driver.await_writable(slot);
        }
        for slot in failed.drain(..) {
            if let Some(parcel) = self.outgoing.take_sent(slot) {
                self.put_back(slot, &parcel, 0);
            }
        }
        (self.intake.short, self.intake.failed) = (short, failed);
        self.outgoing.sent.clear();
        self.outgoing.parcels.clear();
        let (messages, bytes) = (&mut self.outgoing.messages, &mut self.outgoing.bytes);
        self.counts.add(ShardCount::MessagesWritten, std::mem::take(messages));
        self.counts.add(ShardCount::BytesWritten, std::mem::take(bytes));
    }

    fn put_back(&mut self, slot: u32, parcel: &Parcel, taken: usize) {
        let (rest, first_taken) = parcel.rest(taken);
        self.count_written(rest, -1);
        self.outgoing.bytes -= (parcel.bytes.len() - taken) as u64;
        self.table.hot[slot as usize].set(Hot::BACKLOG, true);
        let tick = self.now.tick();
        self.backlogs.with(slot, tick, |backlog| {
            for (index, content) in rest.iter().enumerate().rev() {
                backlog.outbox.put_back(content.entry(), if index == 0 { first_taken } else { 0 });
            }
        });
        for (job, _) in rest.iter().filter_map(|content| content.message.as_ref()) {
            self.outgoing.messages -= 1;
            self.counts.add(ShardCount::MessagesQueued, 1);
            let id = self.table.id(slot);
            let job = self.jobs.get_mut(*job);
            job.queued += 1;
            if job.group.is_none() {
                job.waiting.push(id);
                let replay = job.replay;
                self.owe(slot, replay);
            }
        }
    }
}
