//! The end of a connection.
//!
//! 1. It *leaves*: its memberships end, its last words are staged, nothing more is taken from it.
//! 2. When the socket has taken what was ready, or the time for that is over, it is *closed*: logic hears what was not written, and the driver is asked.
//! 3. The driver reports that the socket is gone: the slot is free, its generation another.
//!
//! Connections are closed only after the driver's turn, when every send is settled: so what was not written is known.

use super::backlog::Backlog;
use super::table::{Flags, Hot, Phase};
use super::{Clock, Shard};
use crate::metrics::ShardCount;
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::gateway::{ChannelKind, Closed, Farewell, Position, event::Kind};
use gpusher_proto::wire::v1::Close;
use gpusher_proto::wire::{Code, Encoding};
use gpusher_session::{Class, Gap, Session};
use gpusher_sys::driver::Driver;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// Connections on their way out.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    by_slot: FxHashMap<u32, LastWords>,
    /// Monotonic time at which each is closed in any case; all are given the same time, so they are in order.
    deadlines: VecDeque<(u64, ConnId)>,
    /// May be closed, if their last words are written.
    fresh: Vec<u32>,
    /// To be closed without last words.
    doomed: Vec<(ConnId, u16)>,
}

#[derive(Debug)]
struct LastWords {
    code: u16,
    through: Vec<Position>,
    passed_by: bool,
}

impl Leaving {
    /// Closes it after the driver's turn, without last words.
    pub(super) fn doom(&mut self, conn: ConnId, code: Code) {
        self.doomed.push((conn, code.number()));
    }

    /// The socket has taken what was ready.
    pub(super) fn written(&mut self, slot: u32) {
        self.fresh.push(slot);
    }

    pub(super) fn has_fresh(&self) -> bool {
        !self.fresh.is_empty() || !self.doomed.is_empty()
    }
}

impl<D: Driver, C: Clock> Shard<D, C> {
    /// Ends the connection with the advice that the table of codes has.
    pub(super) fn leave_with(&mut self, slot: u32, code: Code, text: &str) {
        self.leave(slot, Close::of(code, text));
    }

    /// Says the last word and ends the connection.
    pub(super) fn leave(&mut self, slot: u32, close: Close<'_>) {
        let mut words = Vec::new();
        let session = &mut self.table.session[slot as usize];
        let before = session.partial_bytes();
        session.close(close, &mut words);
        self.partial_bytes = self.partial_bytes - before + session.partial_bytes();
        self.begin_leaving(slot, close.reason);
        self.stage_control(slot, words.into());
    }

    /// The client broke a rule. The session has said why; the client is read on, unheard, until it has read that: closing with bytes
    /// unread would make the kernel drop our last words.
    pub(super) fn on_fault(&mut self, slot: u32, code: Code) {
        let flags = &mut self.table.flags[slot as usize];
        flags.set(Flags::LINGERS, self.table.hot[slot as usize].has(Hot::STAGED));
        self.begin_leaving(slot, code.number());
    }

    fn begin_leaving(&mut self, slot: u32, code: u16) {
        let phase = self.table.phase[slot as usize];
        if !matches!(phase, Phase::Login | Phase::Pending | Phase::Member) {
            return;
        }
        let last_words = self.last_words(slot, code);
        self.tell_farewell(slot);
        self.end_memberships(slot);
        self.table.phase[slot as usize] = Phase::Leaving;
        let until_ms = self.now.monotonic_ms + self.config.farewell_ms;
        self.leaving.deadlines.push_back((until_ms, self.table.id(slot)));
        self.leaving.by_slot.insert(slot, last_words);
        self.leaving.fresh.push(slot);
    }

    /// Version 0 has what all members' sockets have taken. From here on that is not true of this one any more, and logic has to know it before it hears
    /// how the next fan-out went.
    fn tell_farewell(&mut self, slot: u32) {
        let hot = self.table.hot[slot as usize];
        if hot.has(Hot::MEMBER) && hot.encoding() == Encoding::V0 {
            let conn = self.table.id(slot).raw();
            self.tell_logic(slot, Kind::Farewell(Farewell { conn }));
        }
    }

    /// Per shared channel, up to where everything kept was handed to the connection: what fan-out completed, if no replay is under way.
    fn through(&self, slot: u32) -> Vec<Position> {
        let hot = self.table.hot[slot as usize];
        if !hot.has(Hot::MEMBER) || hot.has(Hot::HOLD) {
            return Vec::new();
        }
        let (app, everyone) = self.members.through(self.table.app[slot as usize]);
        let positions = [(ChannelKind::App, app), (ChannelKind::Everyone, everyone)];
        let known = positions.into_iter().filter(|&(_, seq)| seq > 0);
        known.map(|(kind, seq)| Position { channel: kind.into(), seq }).collect()
    }

    fn end_memberships(&mut self, slot: u32) {
        if self.table.hot[slot as usize].has(Hot::MEMBER) {
            self.members.retire(slot, self.table.app[slot as usize]);
            self.table.hot[slot as usize].set(Hot::MEMBER, false);
        }
        self.logins.0.remove(&slot);
        self.joins.forget(slot);
        self.floors.forget(slot);
        self.expected_words.remove(&slot);
    }

    pub(super) fn on_hangup(&mut self, slot: u32) {
        self.close(slot, Code::Done);
    }

    /// Closes what was to be closed, now that all sends are settled.
    pub(super) fn close_doomed(&mut self) {
        for (conn, code) in std::mem::take(&mut self.leaving.doomed) {
            if let Some(slot) = self.table.find(conn) {
                self.close_with(slot, code);
            }
        }
        let mut fresh = std::mem::take(&mut self.leaving.fresh);
        fresh.retain(|&slot| !self.close_if_written(slot));
        self.leaving.fresh.append(&mut fresh);
    }

    /// False if its last words are still to be sent.
    fn close_if_written(&mut self, slot: u32) -> bool {
        let index = slot as usize;
        if self.table.phase[index] != Phase::Leaving {
            return true;
        }
        if self.table.hot[index].has(Hot::STAGED) {
            return false;
        }
        // With something in the outbox, `check_outbox` comes back to it; lingering, the client's hang-up or the deadline.
        let waits = self.backlogs.get(slot).is_some_and(Backlog::is_under_way);
        if !waits && !self.table.flags[index].any(Flags::LINGERS) {
            self.close(slot, Code::Done);
        }
        true
    }

    /// Closes those that have had their time.
    pub(super) fn close_overdue(&mut self) {
        let now_ms = self.now.monotonic_ms;
        while self.leaving.deadlines.front().is_some_and(|&(until_ms, _)| until_ms <= now_ms) {
            let (_, conn) = self.leaving.deadlines.pop_front().expect("looked at");
            let slot = conn.slot();
            if self.table.id(slot) == conn && self.table.phase[slot as usize] == Phase::Leaving {
                self.close(slot, Code::Done);
            }
        }
    }

    /// Closes the connection; a reason given when it left stands.
    pub(super) fn close(&mut self, slot: u32, code: Code) {
        self.close_with(slot, code.number());
    }

    fn close_with(&mut self, slot: u32, code: u16) {
        let index = slot as usize;
        if matches!(self.table.phase[index], Phase::Free | Phase::Closing) {
            return;
        }
        assert!(!self.table.hot[index].has(Hot::BUSY), "closed only when its sends are settled");
        let last_words = self.leaving.by_slot.remove(&slot);
        let last_words = last_words.unwrap_or_else(|| self.last_words(slot, code));
        self.end_memberships(slot);
        let unwritten = self.drop_outbox(slot);
        self.counts.closed(last_words.code);
        if self.table.flags[index].any(Flags::OPENED) {
            let closed = Closed {
                conn: self.table.id(slot).raw(),
                reason: u32::from(last_words.code),
                unwritten_from: unwritten.positions().map(Into::into).collect(),
                through: last_words.through,
                passed_by: last_words.passed_by,
            };
            for link in self.owners_not_told(slot) {
                self.tell(slot, link, Kind::Closed(closed.clone()));
            }
            self.tell_logic(slot, Kind::Closed(closed));
        }
        self.partial_bytes -= self.table.session[index].partial_bytes();
        self.table.session[index] = Session::new();
        self.table.phase[index] = Phase::Closing;
        self.table.hot[index] = Hot::default();
        self.driver.close(slot);
    }

    /// What logic would hear of a leaving connection if it were closed now.
    pub(super) fn closed_so_far(&self, slot: u32) -> Closed {
        let last_words = self.leaving.by_slot.get(&slot);
        let backlog = self.backlogs.get(slot);
        let unwritten = backlog.map(|it| it.outbox.unwritten_from()).unwrap_or_default();
        Closed {
            conn: self.table.id(slot).raw(),
            reason: last_words.map_or(0, |words| u32::from(words.code)),
            unwritten_from: unwritten.positions().map(Into::into).collect(),
            through: last_words.map(|words| words.through.clone()).unwrap_or_default(),
            passed_by: last_words.is_some_and(|words| words.passed_by),
        }
    }

    /// What is so of a connection as it leaves.
    fn last_words(&self, slot: u32, code: u16) -> LastWords {
        // A walk that tells what may have been missed has not come to it.
        let passed_by = self.table.flags[slot as usize].any(Flags::HOLD_LINK);
        LastWords { code, through: self.through(slot), passed_by }
    }

    /// Counts the live messages that are lost with it; returns where the kept ones begin.
    fn drop_outbox(&mut self, slot: u32) -> Gap {
        let Some(mut backlog) = self.backlogs.remove(slot) else { return Gap::default() };
        let unwritten = backlog.outbox.unwritten_from();
        let mut lost = 0;
        backlog.outbox.clear(&mut |entry| lost += u64::from(matches!(entry.class, Class::Live(_))));
        self.counts.add(ShardCount::DroppedClosed, lost);
        unwritten
    }

    pub(super) fn on_closed(&mut self, slot: u32) {
        assert_eq!(
            self.table.phase[slot as usize],
            Phase::Closing,
            "a driver closes what it is asked to"
        );
        self.table.release(slot);
    }

    /// Reads the client no further until the link has caught up.
    pub(super) fn pause(&mut self, slot: u32) {
        let flags = &mut self.table.flags[slot as usize];
        let phase = self.table.phase[slot as usize];
        if flags.any(Flags::PAUSED)
            || !matches!(phase, Phase::Login | Phase::Pending | Phase::Member)
        {
            return;
        }
        flags.set(Flags::PAUSED, true);
        self.driver.set_reading(slot, false);
        self.paused.push(self.table.id(slot));
    }

    /// Reads all clients again.
    pub(super) fn read_on(&mut self) {
        for conn in std::mem::take(&mut self.paused) {
            let slot = conn.slot();
            let open = !matches!(self.table.phase[slot as usize], Phase::Free | Phase::Closing);
            if self.table.id(slot) == conn && open {
                self.table.flags[slot as usize].set(Flags::PAUSED, false);
                self.table.heard[slot as usize] = self.now.tick();
                self.driver.set_reading(slot, true);
            }
        }
    }

    pub(super) fn on_stop(&mut self) {
        self.stopping = true;
        self.stop_accepting();
        for slot in 0..self.table.len() {
            if self.table.phase[slot as usize] != Phase::Free {
                self.leave_with(slot, Code::ShuttingDown, "");
            }
        }
    }
}
