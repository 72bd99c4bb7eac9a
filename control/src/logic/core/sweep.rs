//! What happens by the clock: redelivery, dead letters, writes of cursors and statuses, leases, stalls.

use super::redeliver::{Schedule, Verdict};
use super::*;
use crate::error::Result;
use gpusher_proto::data::{CursorUpdate, Status};

/// Devices or pushes written at once.
const WRITE_BATCH: usize = 1_024;
/// Sessions whose dead letters are filed at once.
const DEAD_BATCH: usize = 16;

impl Core {
    /// Time has passed.
    pub fn on_tick(&mut self) {
        self.sweep();
        self.renew_leases();
        self.give_up_owed();
        self.cut_stalled();
        let dropped = self.statuses.take_dropped();
        self.count(Count::StatusDropped, dropped);
        self.show();
    }

    fn show(&self) {
        let set = |count, value| self.counters.set(count, value);
        set(Count::Links, self.links.len());
        set(Count::Sessions, self.sessions.len());
        set(Count::Replaying, self.replaying);
        set(Count::ReplaysQueued, self.replay_queue.len());
        set(Count::JobsOpen, self.progress.len());
        set(Count::Backlog, self.links.values().map(|link| link.backlog().0).sum());
    }

    /// Looks at a share of the sessions, so that each is seen once in `sweep_ms`.
    fn sweep(&mut self) {
        let slots = self.sessions.slots();
        let elapsed_ms = self.now.mono_ms.saturating_sub(self.swept_ms).min(self.limits.sweep_ms);
        self.swept_ms = self.now.mono_ms;
        let share = (slots as u64 * elapsed_ms).div_ceil(self.limits.sweep_ms.max(1));
        for _ in 0..share {
            self.sweep_slot = if self.sweep_slot + 1 < slots { self.sweep_slot + 1 } else { 0 };
            let Some(session) = self.sessions.in_slot(self.sweep_slot) else { continue };
            let conn = session.conn;
            match session.version {
                0 => self.save_shared(conn),
                _ if session.is_redeliverable() => self.redeliver(conn),
                _ => {}
            }
        }
    }

    fn redeliver(&mut self, conn: u64) {
        let Some(handed) = self.sessions.get(conn).map(|session| self.handed(session)) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(conn) else { return };
        let schedule = Schedule {
            wait_ms: self.limits.redeliver_ms,
            attempts: self.limits.redeliver_attempts,
        };
        let acked = session.acked;
        match session.check_redelivery(self.now.mono_ms, &handed, schedule) {
            Verdict::Wait => {}
            Verdict::Resend => {
                self.count(Count::Redelivered, 1);
                let mut replay = self.resend(conn);
                replay.redelivery = true;
                self.start_replay(conn, replay, false);
            }
            Verdict::GiveUp(through) => {
                session.rare_mut().filing = true;
                let device = session.device.clone();
                self.dead.push_back(DeadAsk { conn, device, after: acked, through });
            }
        }
    }

    pub(super) fn take_dead(&mut self) -> Option<Work> {
        let count = self.dead.len().min(DEAD_BATCH);
        let asks: Vec<DeadAsk> = self.dead.drain(..count).collect();
        let (page_messages, page_bytes) = (self.limits.page_messages, self.limits.page_bytes);
        let now = self.now;
        (!asks.is_empty()).then_some(Work::Dead { asks, page_messages, page_bytes, now })
    }

    pub(super) fn on_dead(&mut self, (conn, answer): (u64, Result<DeadAnswer>)) {
        if let Some(session) = self.sessions.get_mut(conn) {
            session.rare_mut().filing = false;
            session.settle();
        }
        let Ok(answer) = answer else { return };
        self.count(Count::Dead, answer.messages.len() as u64);
        for message in &answer.messages {
            self.statuses.add(*message, |row| row.dead += 1);
        }
        for (channel, seq) in answer.through.into_iter().enumerate() {
            match self.sessions.get_mut(conn) {
                Some(session) => {
                    session.acknowledge(channel, seq);
                    self.advance_cursor(conn, channel, seq);
                }
                None if answer.device.is_nameless() => {}
                None => self.cursors.advance(&answer.device, channel, seq),
            }
        }
    }

    pub(super) fn take_cursors(&mut self) -> Option<Work> {
        let due = self.now.mono_ms >= self.cursors_due_ms || self.cursors.len() >= WRITE_BATCH;
        if self.cursors.is_empty() || !due {
            return None;
        }
        self.cursors_due_ms = self.now.mono_ms + self.limits.flush_ms;
        let mut updates = self.cursors.take(WRITE_BATCH);
        let mut shared = Vec::new();
        if !self.is_alone() {
            let is_shared =
                |it: &mut CursorUpdate| it.device.as_ref().is_some_and(|it| it.device.is_empty());
            let moves = updates.extract_if(.., is_shared);
            shared.extend(moves.map(|update| self.sessions.shared_move(update)));
        }
        Some(Work::Cursor { updates, shared })
    }

    /// What is not in the store yet of a device's cursor. Of a shared one, nothing counts that it may not come to.
    pub(super) fn pending(&self, device: &Device) -> Positions {
        match device.is_nameless() && !self.is_alone() {
            true => Positions::default(),
            false => self.cursors.pending(device),
        }
    }

    pub(super) fn on_cursors_written(&mut self, written: bool) {
        match written {
            true => self.cursors.landed(),
            false => self.cursors.failed(),
        }
    }

    pub(super) fn take_statuses(&mut self) -> Option<Work> {
        if self.statuses.is_empty() || self.now.mono_ms < self.statuses_due_ms {
            return None;
        }
        self.statuses_due_ms = self.now.mono_ms + self.limits.flush_ms;
        Some(Work::Status(self.statuses.take(WRITE_BATCH)))
    }

    pub(super) fn on_statuses_written(&mut self, written: std::result::Result<(), Vec<Status>>) {
        if let Err(rows) = written {
            self.statuses.give_back(rows);
        }
    }

    /// Writes what is to be written as soon as its lane is free: for the end.
    pub fn flush(&mut self) {
        self.cursors_due_ms = 0;
        self.statuses_due_ms = 0;
    }

    /// A gateway that takes nothing for too long would stop the queue for all others.
    fn cut_stalled(&mut self) {
        let (now_ms, stall_ms) = (self.now.mono_ms, self.limits.stall_ms);
        let mut stalled = Vec::new();
        for (&key, link) in &mut self.links {
            match link.is_starved() {
                false => link.stalled_since_ms = None,
                true => {
                    let since_ms = *link.stalled_since_ms.get_or_insert(now_ms);
                    if now_ms - since_ms >= stall_ms {
                        stalled.push(key);
                    }
                }
            }
        }
        for key in stalled {
            self.count(Count::LinksClosed, 1);
            self.on_link_down(key, false);
            self.closing.push(key);
        }
    }
}
