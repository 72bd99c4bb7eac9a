//! Connections that could not be written to at once. Only they pay for an outbox.

use super::parcel::Origin;
use gpusher_session::{Class, Entry, Lane, Offered, Outbox, OutboxLimits, Removal};
use gpusher_sys::driver::FLUSH_PIECES_MAX;
use rustc_hash::FxHashMap;

const _: () = assert!(gpusher_session::PIECES_MAX <= FLUSH_PIECES_MAX);

/// What waits for one connection, and what is under way for it.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    pub(crate) outbox: Outbox<Origin>,
    /// Who writes next.
    pub(crate) flow: Flow,
    /// Tick when the socket last took something, or when the first entry came.
    pub(crate) progress_tick: u32,
    /// Logic was told that a replayed message waits: it hears when the socket has taken what is ready.
    pub(crate) owes_replay: bool,
    /// A replayed message has left the outbox unwritten: logic has to hear of the gap before its replay can end.
    pub(crate) replay_spilled: bool,
    /// Since a replayed message has left unwritten: what still comes of that replay is out of order, and not taken. The next one begins with a SyncStart.
    pub(crate) replay_broken: bool,
    /// Names the gap that logic was told of last; 0: it has been replayed.
    pub(crate) gap_told: u32,
    /// Logic was told that another message waits: it hears when nothing waits any more.
    pub(crate) owes_rest: bool,
}

impl Backlog {
    /// Logic has replayed the gap that it was told of, or will replay everything.
    pub(crate) fn gap_filled(&mut self) {
        self.gap_told = 0;
        self.outbox.gap_filled();
    }

    /// The socket has not taken all that it may have, or would take nothing more.
    pub(crate) fn is_under_way(&self) -> bool {
        self.outbox.has_ready() || matches!(self.flow, Flow::Flushing | Flow::Full)
    }
}

/// What is to happen before the next write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Flow {
    /// Nothing: it may be flushed.
    #[default]
    Open,
    /// It is on the list of those to be flushed.
    Listed,
    /// A flush has to end.
    Flushing,
    /// The socket has to have room.
    Full,
}

/// What became of an entry that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) offered: Offered,
    /// Whether the offer made messages spill, for which the connection has to hold.
    pub(crate) spilled: bool,
}

/// All of them, and what they weigh.
#[derive(Debug, Default)]
pub(crate) struct Backlogs {
    by_slot: FxHashMap<u32, Backlog>,
    bytes: usize,
}

/// Why messages left outboxes unwritten, counted.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Removed {
    pub(crate) overflowed: u64,
    pub(crate) expired: u64,
    pub(crate) recalled: u64,
    pub(crate) spilled: u64,
}

impl Removed {
    pub(crate) fn count(&mut self, why: Removal, entry: &Entry<Origin>) {
        if entry.class == Class::Control {
            return;
        }
        match why {
            Removal::Overflowed => self.overflowed += 1,
            Removal::Expired => self.expired += 1,
            Removal::Recalled => self.recalled += 1,
            Removal::Spilled => self.spilled += 1,
            Removal::Duplicate => {}
        }
    }
}

/// A queue entry's worth of bookkeeping, beside the frame.
fn weight(backlog: &Backlog) -> usize {
    size_of::<(u32, Backlog)>() + backlog.outbox.bytes() + backlog.outbox.heap_bytes()
}

impl Backlogs {
    pub(crate) fn get(&self, slot: u32) -> Option<&Backlog> {
        self.by_slot.get(&slot)
    }

    /// Works on a backlog and keeps count of its weight. Makes one if there is none.
    pub(crate) fn with<R>(
        &mut self,
        slot: u32,
        tick: u32,
        work: impl FnOnce(&mut Backlog) -> R,
    ) -> R {
        let backlog = self.by_slot.entry(slot).or_insert_with(|| {
            let backlog = Backlog { progress_tick: tick, ..Backlog::default() };
            self.bytes += weight(&backlog);
            backlog
        });
        let before = weight(backlog);
        let result = work(backlog);
        self.bytes = self.bytes - before + weight(backlog);
        result
    }

    /// Works on a backlog that is there.
    pub(crate) fn update<R>(
        &mut self,
        slot: u32,
        work: impl FnOnce(&mut Backlog) -> R,
    ) -> Option<R> {
        let backlog = self.by_slot.get_mut(&slot)?;
        let before = weight(backlog);
        let result = work(backlog);
        self.bytes = self.bytes - before + weight(backlog);
        Some(result)
    }

    /// Takes it away, with what is still in it.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<Backlog> {
        let backlog = self.by_slot.remove(&slot)?;
        self.bytes -= weight(&backlog);
        Some(backlog)
    }

    /// Queues an entry; beyond the shard's limit an outbox takes one message and no more.
    pub(crate) fn offer(
        &mut self,
        slot: u32,
        tick: u32,
        (entry, lane): (Entry<Origin>, Lane),
        (limits, bytes_max): (&OutboxLimits, usize),
        removed: &mut Removed,
    ) -> Placed {
        let tight = OutboxLimits { bytes_max: 0, ..*limits };
        let limits = if self.bytes < bytes_max { limits } else { &tight };
        self.with(slot, tick, |backlog| {
            let spilled_before = backlog.outbox.has_spilled();
            let Backlog { outbox, replay_spilled, replay_broken, .. } = backlog;
            let offered = outbox.offer(entry, lane, limits, &mut |why, entry| {
                let of_replay = why == Removal::Spilled && entry.job == Origin::Replay;
                *replay_spilled |= of_replay;
                *replay_broken |= of_replay;
                removed.count(why, &entry);
            });
            Placed { offered, spilled: backlog.outbox.has_spilled() && !spilled_before }
        })
    }

    /// Slots that have one.
    pub(crate) fn slots(&self) -> impl ExactSizeIterator<Item = (u32, &Backlog)> {
        self.by_slot.iter().map(|(&slot, backlog)| (slot, backlog))
    }

    /// Drops a withdrawn message from every outbox.
    pub(crate) fn recall(&mut self, message_id: u64, removed: &mut Removed) {
        for backlog in self.by_slot.values_mut() {
            let before = weight(backlog);
            let count = &mut |why, entry: Entry<Origin>| removed.count(why, &entry);
            backlog.outbox.recall(message_id, count);
            self.bytes = self.bytes - before + weight(backlog);
        }
    }

    /// What all outboxes weigh, frames counted for each receiver.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
