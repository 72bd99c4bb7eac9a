//! A message for named connections: straight to each, or to where it has to wait.

use super::backlog::Removed;
use super::jobs::{Job, JobKey};
use super::parcel::{Content, Origin};
use super::table::{Flags, Hot, Phase};
use super::{Clock, Shard};
use crate::metrics::ShardCount;
use bytes::Bytes;
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::gateway::{ChannelKind, Handed, Message, event::Kind};
use gpusher_proto::wire::{Code, Encoding};
use gpusher_session::{Lane, Offered};
use gpusher_sys::driver::Driver;

/// A delivery that names connections, and how far it has come.
#[derive(Debug)]
pub(super) struct Unicast {
    job: JobKey,
    rest: std::vec::IntoIter<ConnId>,
}

impl<D: Driver, C: Clock> Shard<D, C> {
    pub(super) fn begin_unicast(&mut self, job: JobKey, ids: Vec<ConnId>) {
        assert!(self.unicast.is_none(), "no mail is read before the last is delivered");
        self.unicast = Some(Unicast { job, rest: ids.into_iter() });
        self.last_unicast_ms = self.now.monotonic_ms;
    }

    /// Goes on with the delivery under way, as far as `budget` reaches.
    pub(super) fn deliver_to_connections(&mut self, budget: &mut usize) {
        let Some(mut unicast) = self.unicast.take() else { return };
        let job = unicast.job;
        if self.is_expired(job) {
            self.jobs.get_mut(job).expired += unicast.rest.len() as u32;
            self.counts.add(ShardCount::DroppedExpired, unicast.rest.len() as u64);
            return self.jobs.finish(job);
        }
        for id in unicast.rest.by_ref().take(*budget) {
            *budget -= 1;
            match self.find(id) {
                Some(slot) => self.deliver(slot, job),
                None => self.jobs.get_mut(job).absent.push(id),
            }
        }
        if unicast.rest.len() == 0 {
            self.jobs.finish(job);
        } else {
            self.unicast = Some(unicast);
        }
    }

    pub(super) fn recall_unicast(&mut self, message_id: u64) {
        let Some(unicast) = self.unicast.take() else { return };
        let job = self.jobs.get_mut(unicast.job);
        if job.push.message().id != message_id {
            self.unicast = Some(unicast);
            return;
        }
        job.recalled += unicast.rest.len() as u32;
        self.counts.add(ShardCount::DroppedRecalled, unicast.rest.len() as u64);
        self.jobs.finish(unicast.job);
    }

    pub(super) fn is_expired(&self, job: JobKey) -> bool {
        has_expired(self.jobs.get(job).push.message(), self.now.unix_ms)
    }

    fn deliver(&mut self, slot: u32, job: JobKey) {
        let hot = self.table.hot[slot as usize];
        let Job { link, replay, .. } = *self.jobs.get(job);
        if replay && !(self.is_owner(link, slot) && self.counts_word(slot, 0)) {
            // Of a replay that ended with the session's announcement.
            self.jobs.get_mut(job).overflowed += 1;
            return;
        }
        if !replay && self.links.are_several() {
            self.note_foreign(slot, job);
        }
        let content = self.content(job, hot.encoding());
        let passes = replay && self.table.phase[slot as usize] == Phase::Member;
        if hot.has(Hot::HOLD) && !passes {
            self.queue_message(slot, content, Lane::Hold);
        } else if passes && self.backlogs.get(slot).is_some_and(|it| it.replay_broken) {
            self.jobs.get_mut(job).overflowed += 1;
        } else {
            self.stage(slot, content);
        }
    }

    /// A logic follows what its sessions are given, and this may come from another. Version 0 acknowledges nothing: there it depends on what
    /// becomes of it.
    fn note_foreign(&mut self, slot: u32, job: JobKey) {
        let Some(owner) = self.link_of(slot) else { return };
        let Job { link, push, .. } = self.jobs.get(job);
        let message = push.message();
        if owner == *link || !message.kept || message.channel != ChannelKind::Own as i32 {
            return;
        }
        let conn = self.table.id(slot);
        if self.table.hot[slot as usize].encoding() == Encoding::V0 {
            self.jobs.get_mut(job).foreign.push((conn, owner));
            return;
        }
        let (seq, message_id, conn) = (message.seq, message.id, conn.raw());
        let handed = Handed { conn, seq, message_id, ..Handed::default() };
        self.tell(slot, owner, Kind::Handed(handed));
    }

    fn content(&self, job: JobKey, encoding: Encoding) -> Content {
        let Job { push, replay, .. } = self.jobs.get(job);
        let origin = if *replay { Origin::Replay } else { Origin::Push };
        Content { origin, ..Content::message(job, push, encoding) }
    }

    /// Puts a message into the connection's outbox, and counts what became of it for its job.
    pub(super) fn queue_message(&mut self, slot: u32, content: Content, lane: Lane) {
        let (job, _) = content.message.as_ref().expect("a message");
        let job = *job;
        let offered = self.queue(slot, &content, lane);
        let id = self.table.id(slot);
        let job = self.jobs.get_mut(job);
        let waits = offered == Offered::Queued;
        job.queued += u32::from(waits);
        job.overflowed += u32::from(!waits);
        self.counts.add(ShardCount::MessagesQueued, u64::from(waits));
        if job.group.is_some() {
            return;
        }
        // A replayed message that found no room has spilled: logic waits for `Drained` as if it were queued.
        let (replay, owes) = (job.replay, waits || job.replay);
        if waits {
            job.waiting.push(id);
        }
        if owes {
            self.owe(slot, replay);
        }
    }

    /// A fan-out's message for a connection that cannot be sent to at once. What its replay has brought already is not queued again.
    pub(super) fn deliver_slow(&mut self, slot: u32, job: JobKey) {
        let hot = self.table.hot[slot as usize];
        let message = self.jobs.get(job).push.message();
        if hot.has(Hot::FLOOR) && self.floors.covers(slot, message) {
            return;
        }
        let content = self.content(job, hot.encoding());
        let lane = if hot.has(Hot::HOLD) { Lane::Hold } else { Lane::Pass };
        self.queue_message(slot, content, lane);
    }

    /// Version 0 has no tombstones, and who is not admitted has had no message; the verdict is the first that it hears.
    pub(super) fn stage_tombstone(&mut self, slot: u32, frame: Bytes) {
        let admitted = self.table.phase[slot as usize] == Phase::Member;
        if admitted && self.table.hot[slot as usize].encoding() != Encoding::V0 {
            self.stage_control(slot, frame);
        }
    }

    /// Offers an entry to the outbox, and does what follows: closing a slow consumer, holding after a spill, listing for a flush.
    pub(super) fn queue(&mut self, slot: u32, content: &Content, lane: Lane) -> Offered {
        let limits = (&self.config.outbox, self.config.outbox_bytes_max);
        let mut removed = Removed::default();
        let tick = self.now.tick();
        let offer = (content.entry(), lane);
        let placed = self.backlogs.offer(slot, tick, offer, limits, &mut removed);
        self.count_removed(removed);
        self.table.hot[slot as usize].set(Hot::BACKLOG, true);
        if placed.offered == Offered::Close {
            self.leaving.doom(self.table.id(slot), Code::SlowConsumer);
        }
        if placed.spilled {
            self.hold(slot, Flags::HOLD_SYNC);
            self.outgoing.to_check.push(slot);
        }
        self.flush_soon(slot);
        placed.offered
    }

    pub(super) fn count_removed(&self, removed: Removed) {
        self.counts.add(ShardCount::DroppedOverflow, removed.overflowed);
        self.counts.add(ShardCount::DroppedExpired, removed.expired);
        self.counts.add(ShardCount::DroppedRecalled, removed.recalled);
        self.counts.add(ShardCount::Spilled, removed.spilled);
    }
}

/// Whether the message's time is over.
pub(super) fn has_expired(message: &Message, unix_ms: u64) -> bool {
    let at_ms = u64::try_from(message.expires_at_ms).unwrap_or(0);
    at_ms != 0 && at_ms <= unix_ms
}
