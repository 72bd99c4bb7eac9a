//! What is due by now. No connection has a timer: the table is swept in slices.

use super::clock::Now;
use super::table::{Flags, Phase};
use super::{Clock, Shard};
use crate::metrics::ShardCount;
use gpusher_proto::wire::Code;
use gpusher_sys::driver::Driver;

/// A large table is swept in this many ticks: a deadline is then up to 4 seconds late.
const TICKS_PER_SWEEP: u32 = 16;
/// A smaller one in one tick.
const SLOTS_PER_TICK_MIN: u32 = 65_536;

/// How far the sweep has come.
#[derive(Debug)]
pub(super) struct Sweep {
    tick: u32,
    cursor: u32,
}

impl Sweep {
    pub(super) fn new(now: Now) -> Self {
        Self { tick: now.tick(), cursor: 0 }
    }
}

impl<D: Driver, C: Clock> Shard<D, C> {
    /// Once a tick.
    pub(super) fn check_deadlines(&mut self) {
        let tick = self.now.tick();
        if tick == self.sweep.tick {
            return;
        }
        self.sweep.tick = tick;
        self.sweep_silent();
        self.doom_slow();
        self.close_overdue();
        self.drain_some();
        self.admit_alone();
        self.give_up_joins();
        self.remove_floors();
        self.counts.set(ShardCount::MemoryBytes, self.heap_bytes() as u64);
        self.counts.set_driver(&self.driver.counters());
    }

    /// A slice of the table: logins that do not come, verdicts that do not come, clients that say nothing.
    fn sweep_silent(&mut self) {
        let slots = self.table.len();
        let slice = (slots / TICKS_PER_SWEEP).max(SLOTS_PER_TICK_MIN);
        let start = if self.sweep.cursor < slots { self.sweep.cursor } else { 0 };
        let end = slots.min(start.saturating_add(slice));
        self.sweep.cursor = end;
        for slot in start..end {
            if let Some(code) = self.overdue(slot) {
                self.leave_with(slot, code, "");
            }
        }
    }

    /// The deadline that a connection has missed.
    fn overdue(&self, slot: u32) -> Option<Code> {
        let index = slot as usize;
        let (limit_ms, code) = match self.table.phase[index] {
            Phase::Login => (self.config.login_deadline_ms, Code::LoginDeadline),
            Phase::Pending => (self.config.login_deadline_ms, Code::NotAvailable),
            Phase::Member => (self.config.idle_timeout_ms, Code::IdleTimeout),
            Phase::Free | Phase::Leaving | Phase::Closing => return None,
        };
        let silent = self.sweep.tick.wrapping_sub(self.table.heard[index]);
        let over = u64::from(silent) * Now::TICK_MS > limit_ms;
        (over && !self.table.flags[index].any(Flags::PAUSED)).then_some(code)
    }

    /// Sockets that have taken nothing for too long.
    fn doom_slow(&mut self) {
        let limit_ms = self.config.outbox_age_ms_max;
        let tick = self.sweep.tick;
        let many = self.backlogs.slots().len() > SLOTS_PER_TICK_MIN as usize;
        if many && !tick.is_multiple_of(TICKS_PER_SWEEP) {
            return;
        }
        for (slot, backlog) in self.backlogs.slots() {
            let stalled = tick.wrapping_sub(backlog.progress_tick);
            if backlog.outbox.has_ready() && u64::from(stalled) * Now::TICK_MS > limit_ms {
                self.leaving.doom(self.table.id(slot), Code::SlowConsumer);
            }
        }
    }

    /// A client is answered, whatever became of its logic.
    fn give_up_joins(&mut self) {
        let ticks = self.config.login_deadline_ms.div_ceil(Now::TICK_MS) as u32;
        for (slot, request) in self.joins.older_than(self.sweep.tick.wrapping_sub(ticks)) {
            self.on_answer(slot, request, Code::NotAvailable.number(), 0);
        }
    }

    /// The session's logic is another, which knows nothing of its joins.
    pub(super) fn abandon_joins(&mut self, slot: u32) {
        for request in self.joins.requests(slot) {
            self.on_answer(slot, request, Code::NotAvailable.number(), 0);
        }
    }

    /// Bytes that the shard's structures take, as far as they are counted.
    fn heap_bytes(&self) -> usize {
        self.table.heap_bytes()
            + self.members.heap_bytes()
            + self.backlogs.bytes()
            + self.partial_bytes
    }
}
