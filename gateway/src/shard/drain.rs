//! Asks clients to go, at a rate, and closes those that have not gone when their time is over.
//!
//! Two cursors walk the table: one asks, the other follows by the grace time and closes. What lies between them is known by one mark per tick, whatever the
//! number of connections.

use super::table::{Flags, Phase};
use super::{Clock, Shard};
use gpusher_proto::wire::Advice;
use gpusher_proto::wire::Code;
use gpusher_proto::wire::v1::{Close, GoAway};
use gpusher_sys::driver::Driver;
use std::collections::VecDeque;

/// A drain under way.
#[derive(Debug)]
pub(super) struct Draining {
    /// Connections a second; 0: all at once.
    rate: u32,
    reason: u16,
    grace_ms: u32,
    target: String,
    /// Slots below were asked.
    asked: u32,
    /// Thousandths of a connection that may be asked.
    credit_millis: u64,
    last_ms: u64,
    /// (when, `asked` at that time).
    marks: VecDeque<(u64, u32)>,
    /// Slots below were closed.
    closed: u32,
}

impl<D: Driver, C: Clock> Shard<D, C> {
    pub(super) fn on_drain(&mut self, rate: u32, reason: u16, grace_ms: u32, target: String) {
        // A gateway that has too many connections takes new ones when it has fewer; one that ends does not.
        if reason == Code::ShuttingDown.number() {
            self.stop_accepting();
        }
        self.draining = Some(Draining {
            rate,
            reason,
            grace_ms,
            target,
            asked: 0,
            credit_millis: 0,
            last_ms: self.now.monotonic_ms,
            marks: VecDeque::new(),
            closed: 0,
        });
        self.drain_some();
    }

    /// Goes on with a drain, once a tick.
    pub(super) fn drain_some(&mut self) {
        let Some(mut draining) = self.draining.take() else { return };
        let now_ms = self.now.monotonic_ms;
        draining.credit_millis += (now_ms - draining.last_ms) * u64::from(draining.rate);
        draining.last_ms = now_ms;
        self.ask_to_go(&mut draining);
        draining.marks.push_back((now_ms, draining.asked));
        self.close_asked(&mut draining);
        if draining.closed < self.table.len() {
            self.draining = Some(draining);
        }
    }

    fn ask_to_go(&mut self, draining: &mut Draining) {
        while draining.asked < self.table.len() {
            let slot = draining.asked;
            if self.table.phase[slot as usize] == Phase::Member {
                if draining.rate > 0 && draining.credit_millis < 1_000 {
                    return;
                }
                draining.credit_millis = draining.credit_millis.saturating_sub(1_000);
                self.ask_one(slot, draining);
            }
            draining.asked += 1;
        }
    }

    fn ask_one(&mut self, slot: u32, draining: &Draining) {
        let mut frame = Vec::new();
        self.table.session[slot as usize].go_away(
            GoAway {
                reason: draining.reason,
                close_in_ms: draining.grace_ms,
                reconnect_after_ms: 0,
                target: &draining.target,
            },
            &mut frame,
        );
        self.table.flags[slot as usize].set(Flags::GOING, true);
        self.stage_control(slot, frame.into());
    }

    fn close_asked(&mut self, draining: &mut Draining) {
        let asked_by_ms = self.now.monotonic_ms.checked_sub(u64::from(draining.grace_ms));
        let due = |&&(at_ms, _): &&(u64, u32)| asked_by_ms.is_some_and(|by_ms| at_ms <= by_ms);
        while let Some(&(_, end)) = draining.marks.front().filter(due) {
            draining.marks.pop_front();
            for slot in draining.closed..end {
                self.close_one(slot, draining);
            }
            draining.closed = draining.closed.max(end);
        }
    }

    fn close_one(&mut self, slot: u32, draining: &Draining) {
        if !self.table.flags[slot as usize].any(Flags::GOING) {
            return;
        }
        let (reason, target) = (draining.reason, &*draining.target);
        self.leave(
            slot,
            Close { reason, advice: Advice::Reconnect, delay_ms: 0, target, text: "" },
        );
    }
}
