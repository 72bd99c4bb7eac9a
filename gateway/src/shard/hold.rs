//! Replays on the shard's side: what is held, what has spilled, what logic has to hear.
//!
//! A connection holds from its login to the end of its replay, and again whenever logic replays to it. Two things can go wrong between
//! a replay and what fan-out brings, and are dealt with here:
//!
//! - *Spill.* Kept messages that find no room leave the outbox. Logic is told where the gap begins (`Drained`) when the socket has taken the rest. A SyncDone
//!   from before it heard of that does not end the hold: the gap has a number, and the SyncDone names it.
//! - *Floor.* A replay reads the log, so it may bring a message whose fan-out has not reached the connection yet. When it comes, it would be out of
//!   order. So the positions of the SyncDone are remembered as long as a fan-out that had begun before is under way.

use super::backlog::Backlog;
use super::table::{Flags, Hot, Phase};
use super::{Clock, Shard};
use crate::mail::LinkId;
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::gateway::{Drained, Message, SyncDone, SyncStart, event::Kind};
use gpusher_proto::wire::{ChannelKind, Position};
use gpusher_session::{Class, Gap};
use gpusher_sys::driver::Driver;
use rustc_hash::FxHashMap;

/// By slot: up to where a replay has overtaken fan-out.
#[derive(Debug, Default)]
pub(super) struct Floors(FxHashMap<u32, Floor>);

#[derive(Debug, Default)]
struct Floor {
    /// Own, app, everyone.
    through: [u64; 3],
    /// Serial of the youngest job when the replay was complete: no later job is concerned.
    last_job: u64,
}

impl Floors {
    /// Whether the replay has brought the message already.
    pub(super) fn covers(&self, slot: u32, message: &Message) -> bool {
        let Some(floor) = self.0.get(&slot) else { return false };
        let through =
            usize::try_from(message.channel).ok().and_then(|kind| floor.through.get(kind));
        Class::of(message) == Class::Kept && through.is_some_and(|&through| message.seq <= through)
    }

    pub(super) fn forget(&mut self, slot: u32) {
        self.0.remove(&slot);
    }
}

impl<D: Driver, C: Clock> Shard<D, C> {
    /// What is delivered from here on waits, but for replays.
    pub(super) fn hold(&mut self, slot: u32, why: Flags) {
        self.table.flags[slot as usize].set(why, true);
        self.table.hot[slot as usize].set(Hot::HOLD, true);
    }

    /// One reason to hold is gone. What was held is released with the last one.
    pub(super) fn end_hold(&mut self, slot: u32, why: Flags) {
        let flags = &mut self.table.flags[slot as usize];
        flags.set(why, false);
        if !flags.any(Flags::HOLDS) && self.table.hot[slot as usize].has(Hot::HOLD) {
            self.table.hot[slot as usize].set(Hot::HOLD, false);
            self.release(slot, &[]);
        }
    }

    pub(super) fn on_sync_start(&mut self, link: LinkId, start: &SyncStart) {
        let Some(slot) = self.find_of(link, ConnId::from_raw(start.conn)) else { return };
        if !self.counts_word(slot, start.announcement) {
            return;
        }
        self.hold(slot, Flags::HOLD_SYNC);
        self.table.flags[slot as usize].set(Flags::SYNC_DUE, true);
        self.backlogs.update(slot, |backlog| backlog.replay_broken = false);
    }

    pub(super) fn on_sync_done(&mut self, link: LinkId, done: &SyncDone) {
        let Some(slot) = self.find_of(link, ConnId::from_raw(done.conn)) else { return };
        if self.table.phase[slot as usize] != Phase::Member || !self.counts_word(slot, 0) {
            return;
        }
        let positions: Vec<Position> = done.positions.iter().filter_map(position_of).collect();
        // One from before logic heard of the gap: that one's replay is still to come.
        let is_due = self
            .backlogs
            .get(slot)
            .is_some_and(|backlog| backlog.gap_told != 0 && backlog.gap_told != done.gap);
        self.table.flags[slot as usize].set(Flags::SYNC_DUE, is_due);
        if !is_due {
            self.backlogs.update(slot, Backlog::gap_filled);
        }
        let ended = self.release(slot, &positions);
        self.set_floor(slot, &positions);
        if ended {
            self.table.flags[slot as usize].set(Flags::HOLD_SYNC, false);
            let holds = self.table.flags[slot as usize].any(Flags::HOLDS);
            self.table.hot[slot as usize].set(Hot::HOLD, holds);
        }
        // Version 1 hears it when it is true; version 0 must have the answer it asked for.
        let version_1 = (ended && done.requests.is_empty()).then_some(None);
        for request in done.requests.iter().copied().map(Some).chain(version_1) {
            let mut frame = Vec::new();
            let session = &self.table.session[slot as usize];
            session.synced(request, positions.as_slice().into(), &mut frame);
            self.stage_control(slot, frame.into());
        }
    }

    /// Moves what is held to what may be written, without what a replay up to these positions has brought. False if a gap has opened that the
    /// replay did not fill. While another replay is due, for a join or because the session is about to be announced, what it brings is ahead of the rest.
    fn release(&mut self, slot: u32, positions: &[Position]) -> bool {
        if !self.table.hot[slot as usize].has(Hot::BACKLOG) {
            return true;
        }
        let holds_on = self.table.flags[slot as usize].any(Flags::HOLDS_ON);
        self.unstage(slot);
        let ended = self.backlogs.update(slot, |backlog| {
            backlog.replay_broken = false;
            if !backlog.owes_replay && !backlog.replay_spilled {
                backlog.outbox.close_gap(positions.iter().copied());
            }
            let positions = positions.iter().copied();
            match holds_on {
                true => backlog.outbox.complete(positions, &mut |_, _| {}),
                false => backlog.outbox.release(positions, &mut |_, _| {}),
            }
        });
        self.flush_soon(slot);
        self.outgoing.to_check.push(slot);
        ended.unwrap_or(true)
    }

    fn set_floor(&mut self, slot: u32, positions: &[Position]) {
        if !self.lines.has_work() {
            return;
        }
        // A replay names the channels it has walked: what an earlier one said of the others still holds.
        let floor = self.floors.0.entry(slot).or_default();
        floor.last_job = self.jobs.youngest();
        for position in positions {
            if let Some(through) = floor.through.get_mut(position.kind as usize) {
                *through = position.seq.max(*through);
            }
        }
        self.table.hot[slot as usize].set(Hot::FLOOR, true);
    }

    /// Removes floors that no fan-out under way can meet any more.
    pub(super) fn remove_floors(&mut self) {
        if self.floors.0.is_empty() {
            return;
        }
        let oldest = self.jobs.oldest_walk();
        let hot = &mut self.table.hot;
        self.floors.0.retain(|&slot, floor| {
            let needed = oldest.is_some_and(|oldest| oldest <= floor.last_job);
            hot[slot as usize].set(Hot::FLOOR, needed);
            needed
        });
    }

    /// Logic was told, or will be, that a message for the connection waits: it hears when that has gone.
    pub(super) fn owe(&mut self, slot: u32, replay: bool) {
        let tick = self.now.tick();
        self.backlogs.with(slot, tick, |backlog| {
            backlog.owes_replay |= replay;
            backlog.owes_rest |= !replay;
        });
        self.outgoing.to_check.push(slot);
    }

    /// Looks at outboxes whose sockets may have taken all they can: tells logic, ends connections that were only waiting for that, drops what
    /// is not needed any more.
    pub(super) fn check_outboxes(&mut self) {
        let mut slots = std::mem::take(&mut self.outgoing.to_check);
        slots.drain(..).for_each(|slot| self.check_outbox(slot));
        slots.append(&mut self.outgoing.to_check);
        self.outgoing.to_check = slots;
    }

    fn check_outbox(&mut self, slot: u32) {
        let Some(backlog) = self.backlogs.get(slot) else { return };
        let index = slot as usize;
        if backlog.is_under_way() {
            return;
        }
        match self.table.phase[index] {
            Phase::Leaving => return self.leaving.written(slot),
            Phase::Pending | Phase::Member => {}
            Phase::Free | Phase::Login | Phase::Closing => return,
        }
        // The replay under way may fill the gap, unless it waits for a message that has spilled.
        let may_tell = !self.table.flags[index].any(Flags::SYNC_DUE) || backlog.replay_spilled;
        let number = self.gaps_told.checked_add(1).unwrap_or(1);
        let told = self.backlogs.update(slot, |backlog| {
            let gap = if may_tell { backlog.outbox.take_gap() } else { None };
            if gap.is_some() {
                backlog.gap_told = number;
            }
            // What has spilled does not wait any more, but was not written: that is for the gap to say.
            let nothing_waits = backlog.outbox.is_empty() && !backlog.outbox.has_spilled();
            let owed = backlog.owes_replay || (backlog.owes_rest && nothing_waits);
            backlog.owes_replay = false;
            backlog.replay_spilled &= !may_tell;
            backlog.owes_rest &= !nothing_waits;
            (gap, owed)
        });
        let (gap, owed) = told.expect("looked at");
        if let Some(gap) = gap {
            self.gaps_told = number;
            self.hold(slot, Flags::HOLD_SYNC);
            self.table.flags[index].set(Flags::SYNC_DUE, true);
            self.tell_drained(slot, gap, number);
        } else if owed {
            self.tell_drained(slot, Gap::default(), 0);
        }
        if self.backlogs.get(slot).is_some_and(|backlog| backlog.outbox.is_idle()) {
            self.backlogs.remove(slot);
            self.table.hot[index].set(Hot::BACKLOG, false);
        }
    }

    fn tell_drained(&mut self, slot: u32, spilled: Gap, gap: u32) {
        let spilled_from = spilled.positions().map(Into::into).collect();
        let conn = self.table.id(slot).raw();
        self.tell_logic(slot, Kind::Drained(Drained { conn, spilled_from, gap }));
    }

    /// Messages of a channel have passed the connection by: as if they had spilled.
    pub(super) fn miss(&mut self, slot: u32, first: Position, last: u64) {
        let (tick, mut removed) = (self.now.tick(), super::backlog::Removed::default());
        self.backlogs.with(slot, tick, |backlog| {
            backlog.outbox.miss(first, last, &mut |why, entry| removed.count(why, &entry));
        });
        self.count_removed(removed);
        self.hold(slot, Flags::HOLD_SYNC);
        self.table.hot[slot as usize].set(Hot::BACKLOG, true);
        self.outgoing.to_check.push(slot);
    }

    /// Withdraws a message from all outboxes.
    pub(super) fn recall_from_backlogs(&mut self, message_id: u64) {
        let mut removed = super::backlog::Removed::default();
        self.backlogs.recall(message_id, &mut removed);
        if removed.recalled > 0 {
            let slots = self.backlogs.slots().map(|(slot, _)| slot);
            self.outgoing.to_check.extend(slots);
        }
        self.count_removed(removed);
    }
}

fn position_of(position: &gpusher_proto::gateway::Position) -> Option<Position> {
    let kind = ChannelKind::try_from(position.channel).ok()?;
    Some(Position { kind, seq: position.seq })
}
