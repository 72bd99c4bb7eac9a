//! What waits for the socket of one connection: bounded, in order, and honest about what it gives up.
//!
//! Two queues: *ready* may be written; *held* waits for the end of a replay, which goes past it. What is partly written, or handed to the kernel by
//! [`Outbox::pieces`], is never taken back. A kept message is never given up: when it has no room, all kept ones leave (*spill*), the first of
//! each channel is remembered as a [`Gap`], and logic replays from there; until then nothing after the gap enters.

mod entry;
mod flush;
mod remove;

pub use entry::{Class, Entry, Gap, Lane, Offered, OutboxLimits, Removal};
pub use flush::{PIECES_MAX, Progress};

use gpusher_proto::gateway::SlowPolicy;
use std::collections::VecDeque;

/// The queue of one connection. `T` is the shard's reference to the job that an entry belongs to.
#[derive(Debug)]
pub struct Outbox<T> {
    ready: VecDeque<Entry<T>>,
    held: VecDeque<Entry<T>>,
    /// Bytes of the first ready entry that the socket has.
    first_taken: usize,
    /// Ready entries that are handed to the kernel.
    in_flight: usize,
    loads: Loads,
    /// Spilled, and logic does not know.
    gap: Gap,
    /// Per channel with a gap: the last message that spilled.
    gap_last: [u64; 3],
    /// Spilled, and logic replays it.
    owed: Gap,
}

/// How much there is of one class.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Load {
    entries: usize,
    bytes: usize,
}

impl Load {
    fn add(&mut self, bytes: usize) {
        self.entries += 1;
        self.bytes += bytes;
    }

    fn remove(&mut self, bytes: usize) {
        self.entries -= 1;
        self.bytes -= bytes;
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Loads {
    control: Load,
    live: Load,
    kept: Load,
}

impl Loads {
    fn of(&mut self, class: Class) -> &mut Load {
        match class {
            Class::Control => &mut self.control,
            Class::Live(_) => &mut self.live,
            Class::Kept => &mut self.kept,
        }
    }
}

impl<T> Default for Outbox<T> {
    fn default() -> Self {
        Self {
            ready: VecDeque::new(),
            held: VecDeque::new(),
            first_taken: 0,
            in_flight: 0,
            loads: Loads::default(),
            gap: Gap::default(),
            gap_last: [0; 3],
            owed: Gap::default(),
        }
    }
}

impl<T> Outbox<T> {
    /// Queues a message, or does what its class says when there is no room. `removed` gets whatever will not be written because of that, the
    /// offered entry included. Control frames go past the hold, in order.
    ///
    /// An outbox without messages takes any one of them, however large, and so does one where only held messages wait, past these: else a large message could never be
    /// delivered, and a replay that meets a full hold would start over for ever.
    pub fn offer(
        &mut self,
        entry: Entry<T>,
        lane: Lane,
        limits: &OutboxLimits,
        removed: &mut dyn FnMut(Removal, Entry<T>),
    ) -> Offered {
        match entry.class {
            Class::Control => self.offer_control(entry, limits, removed),
            Class::Kept => self.offer_kept(entry, lane, limits, removed),
            Class::Live(policy) => self.offer_live(entry, policy, lane, limits, removed),
        }
    }

    /// Puts what a direct send has left (`taken` bytes of it are gone) in front of everything. Never refused: the client has seen part of it, or would see it out of
    /// order. For a buffer of several frames, put them back last to first, and `taken` with the first.
    ///
    /// # Panics
    /// If a flush is under way, or the front is partly written already.
    pub fn put_back(&mut self, entry: Entry<T>, taken: usize) {
        assert!(self.in_flight == 0 && self.first_taken == 0);
        assert!(taken < entry.frame.len());
        self.loads.of(entry.class).add(entry.frame.len());
        self.ready.push_front(entry);
        self.first_taken = taken;
    }

    fn offer_control(
        &mut self,
        entry: Entry<T>,
        limits: &OutboxLimits,
        removed: &mut dyn FnMut(Removal, Entry<T>),
    ) -> Offered {
        if self.loads.control.bytes + entry.frame.len() > limits.control_bytes_max {
            removed(Removal::Overflowed, entry);
            return Offered::Close;
        }
        self.push(entry, Lane::Pass);
        Offered::Queued
    }

    fn offer_kept(
        &mut self,
        entry: Entry<T>,
        lane: Lane,
        limits: &OutboxLimits,
        removed: &mut dyn FnMut(Removal, Entry<T>),
    ) -> Offered {
        let after_gap =
            self.gap.of(entry.position.kind).is_some_and(|gap| entry.position.seq >= gap);
        if !after_gap && self.has_room(entry.frame.len(), lane, limits) {
            self.push(entry, lane);
            return Offered::Queued;
        }
        if !after_gap {
            self.spill(removed);
        }
        self.widen_gap(entry.position);
        removed(Removal::Spilled, entry);
        Offered::Refused
    }

    fn offer_live(
        &mut self,
        entry: Entry<T>,
        policy: SlowPolicy,
        lane: Lane,
        limits: &OutboxLimits,
        removed: &mut dyn FnMut(Removal, Entry<T>),
    ) -> Offered {
        let bytes = entry.frame.len();
        if policy == SlowPolicy::DropOldest && self.room_without_live(bytes, limits) {
            while !self.has_room(bytes, lane, limits) && self.drop_oldest_live(removed) {}
        }
        if self.has_room(bytes, lane, limits) {
            self.push(entry, lane);
            return Offered::Queued;
        }
        removed(Removal::Overflowed, entry);
        if policy == SlowPolicy::Close { Offered::Close } else { Offered::Refused }
    }

    fn has_room(&self, bytes: usize, lane: Lane, limits: &OutboxLimits) -> bool {
        let entries = self.loads.live.entries + self.loads.kept.entries;
        let fits = self.loads.live.bytes + self.loads.kept.bytes + bytes <= limits.bytes_max
            && entries < limits.entries_max;
        let first = match lane {
            Lane::Pass => self.ready.len() == self.loads.control.entries,
            Lane::Hold => entries == 0,
        };
        fits || first
    }

    /// Whether dropping live messages can help at all.
    fn room_without_live(&self, bytes: usize, limits: &OutboxLimits) -> bool {
        let fits = self.loads.kept.bytes + bytes <= limits.bytes_max
            && self.loads.kept.entries < limits.entries_max;
        fits || self.loads.kept.entries == 0
    }

    fn push(&mut self, entry: Entry<T>, lane: Lane) {
        self.loads.of(entry.class).add(entry.frame.len());
        match lane {
            Lane::Pass => self.ready.push_back(entry),
            Lane::Hold => self.held.push_back(entry),
        }
    }

    /// Ready entries that are not taken back: those in flight, and one that is partly written.
    fn locked(&self) -> usize {
        self.in_flight.max(usize::from(self.first_taken > 0))
    }

    /// Nothing waits, and nothing is owed: the shard may drop it.
    pub fn is_idle(&self) -> bool {
        self.is_empty() && self.gap.is_empty() && self.owed.is_empty()
    }

    /// Entries, written in part or not at all.
    pub fn len(&self) -> usize {
        self.ready.len() + self.held.len()
    }

    /// Whether no entry waits. There may still be a gap.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.held.is_empty()
    }

    /// Whether something may be written.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Bytes of all entries, control frames included; partly written ones count whole.
    pub fn bytes(&self) -> usize {
        self.loads.control.bytes + self.loads.live.bytes + self.loads.kept.bytes
    }

    /// Memory that the queues themselves take, frames (which are shared) not included.
    pub fn heap_bytes(&self) -> usize {
        (self.ready.capacity() + self.held.capacity()) * size_of::<Entry<T>>()
    }

    /// Lowest kept message per channel that the socket has not taken whole, spilled ones included.
    pub fn unwritten_from(&self) -> Gap {
        let mut lowest = self.gap;
        lowest.merge(self.owed);
        for entry in self.ready.iter().chain(&self.held).filter(|entry| entry.is_kept()) {
            lowest.include(entry.position);
        }
        lowest
    }

    /// What must always hold; for tests and simulation.
    ///
    /// # Panics
    /// If it does not.
    pub fn check_invariants(&self) {
        let locked = self.locked();
        let mut counted = Loads::default();
        for (index, entry) in self.ready.iter().chain(&self.held).enumerate() {
            counted.of(entry.class).add(entry.frame.len());
            let gap = self.gap.of(entry.position.kind);
            let before_gap = gap.is_none_or(|gap| entry.position.seq < gap);
            assert!(!entry.is_kept() || before_gap || index < locked, "kept beyond a gap");
        }
        assert_eq!(counted, self.loads);
        assert!(self.in_flight <= self.ready.len().min(PIECES_MAX));
        let first = self.ready.front();
        assert!(
            self.first_taken == 0
                || first.is_some_and(|first| self.first_taken < first.frame.len())
        );
        assert!(self.held.iter().all(|entry| entry.class != Class::Control));
    }
}
