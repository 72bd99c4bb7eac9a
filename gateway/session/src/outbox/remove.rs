//! Ways out that do not lead to the socket.

use super::{Class, Entry, Gap, Outbox, Removal};
use gpusher_proto::wire::Position;
use std::collections::VecDeque;

impl<T> Outbox<T> {
    /// Drops a withdrawn message. Returns whether it stays because part of it is written or in flight: then a tombstone must follow it.
    pub fn recall(&mut self, message_id: u64, removed: &mut dyn FnMut(Removal, Entry<T>)) -> bool {
        let withdrawn =
            |entry: &Entry<T>| entry.class != Class::Control && entry.message_id == message_id;
        self.remove_if(withdrawn, &mut |entry| removed(Removal::Recalled, entry));
        self.ready.iter().take(self.locked()).any(withdrawn)
    }

    /// Drops what has expired; before each flush.
    pub fn drop_expired(&mut self, now_ms: u64, removed: &mut dyn FnMut(Removal, Entry<T>)) {
        let expired = |entry: &Entry<T>| entry.expires_at_ms != 0 && entry.expires_at_ms <= now_ms;
        self.remove_if(expired, &mut |entry| removed(Removal::Expired, entry));
    }

    /// All kept messages leave, because logic will replay them from its cursors whatever the outbox has: what was withdrawn or superseded while nobody
    /// could say so goes with them.
    pub fn forget_kept(&mut self) {
        self.remove_if(Entry::is_kept, &mut |_| {});
    }

    /// All kept messages leave.
    pub(super) fn spill(&mut self, removed: &mut dyn FnMut(Removal, Entry<T>)) {
        let mut spilled = Vec::new();
        self.remove_if(Entry::is_kept, &mut |entry| {
            spilled.push(entry.position);
            removed(Removal::Spilled, entry);
        });
        spilled.into_iter().for_each(|position| self.widen_gap(position));
    }

    /// Messages of a channel from a first to a last were never offered: logic replays them like what has spilled. Kept ones after the first leave.
    pub fn miss(&mut self, first: Position, last: u64, removed: &mut dyn FnMut(Removal, Entry<T>)) {
        self.spill(removed);
        self.widen_gap(first);
        self.widen_gap(Position { seq: last, ..first });
    }

    pub(super) fn widen_gap(&mut self, position: Position) {
        self.gap.include(position);
        let last = &mut self.gap_last[position.kind as usize];
        *last = position.seq.max(*last);
    }

    /// The socket has all that a replay brought up to these positions: copies that had spilled meanwhile are not missing, and need no other replay. Only
    /// for who knows that nothing of the replay waits or has spilled; before [`Self::release`].
    pub fn close_gap(&mut self, positions: impl Iterator<Item = Position>) {
        for position in positions {
            // A topic's have no gap.
            if let Some(&last) = self.gap_last.get(position.kind as usize) {
                self.gap.close(position, last);
            }
        }
    }

    /// Whether kept messages have left, and logic has not been told where.
    pub fn has_spilled(&self) -> bool {
        !self.gap.is_empty()
    }

    /// What to tell logic, once the socket has taken the rest: it replays from there, and the connection holds. None if nothing has spilled.
    pub fn take_gap(&mut self) -> Option<Gap> {
        if self.gap.is_empty() {
            return None;
        }
        let gap = std::mem::take(&mut self.gap);
        self.gap_last = [0; 3];
        self.owed.merge(gap);
        Some(gap)
    }

    /// The gap that logic was told of has been replayed; before [`Self::release`].
    pub fn gap_filled(&mut self) {
        self.owed = Gap::default();
    }

    /// A replay up to these positions is complete: held kept messages up to there are duplicates. False if there is a gap that it did not fill: then
    /// the hold goes on until the end of the replay that does.
    pub fn complete(
        &mut self,
        positions: impl Iterator<Item = Position>,
        removed: &mut dyn FnMut(Removal, Entry<T>),
    ) -> bool {
        let mut through = [0; 4];
        positions.for_each(|position| through[position.kind as usize] = position.seq);
        let replayed = |entry: &Entry<T>| {
            entry.is_kept() && entry.position.seq <= through[entry.position.kind as usize]
        };
        let loads = &mut self.loads;
        take_if(&mut self.held, 0, replayed, &mut |entry| {
            loads.kept.remove(entry.frame.len());
            removed(Removal::Duplicate, entry);
        });
        self.gap.is_empty() && self.owed.is_empty()
    }

    /// The same, and nothing else holds: the rest becomes ready.
    pub fn release(
        &mut self,
        positions: impl Iterator<Item = Position>,
        removed: &mut dyn FnMut(Removal, Entry<T>),
    ) -> bool {
        let complete = self.complete(positions, removed);
        if complete {
            self.ready.append(&mut self.held);
        }
        complete
    }

    /// Takes everything out, in order: the connection is closed.
    pub fn clear(&mut self, unwritten: &mut dyn FnMut(Entry<T>)) {
        let emptied = std::mem::take(self);
        emptied.ready.into_iter().chain(emptied.held).for_each(unwritten);
    }

    /// Drops the oldest message that may be dropped. False if there is none.
    pub(super) fn drop_oldest_live(&mut self, removed: &mut dyn FnMut(Removal, Entry<T>)) -> bool {
        let is_live = |entry: &Entry<T>| matches!(entry.class, Class::Live(_));
        let locked = self.locked();
        let found = match self.ready.iter().skip(locked).position(is_live) {
            Some(index) => self.ready.remove(locked + index),
            None => self.held.iter().position(is_live).and_then(|index| self.held.remove(index)),
        };
        let Some(entry) = found else { return false };
        self.loads.live.remove(entry.frame.len());
        removed(Removal::Overflowed, entry);
        true
    }

    /// Takes out what is not locked and matches.
    fn remove_if(
        &mut self,
        matches: impl Fn(&Entry<T>) -> bool,
        removed: &mut dyn FnMut(Entry<T>),
    ) {
        let locked = self.locked();
        let loads = &mut self.loads;
        let mut take = |entry: Entry<T>| {
            loads.of(entry.class).remove(entry.frame.len());
            removed(entry);
        };
        take_if(&mut self.ready, locked, &matches, &mut take);
        take_if(&mut self.held, 0, &matches, &mut take);
    }
}

/// Takes what matches out of the queue, except among the first `skip`; the rest keeps its order.
fn take_if<T>(
    queue: &mut VecDeque<Entry<T>>,
    skip: usize,
    matches: impl Fn(&Entry<T>) -> bool,
    taken: &mut dyn FnMut(Entry<T>),
) {
    // Usually nothing matches: then nothing moves.
    if !queue.iter().skip(skip).any(&matches) {
        return;
    }
    for index in 0..queue.len() {
        let entry = queue.pop_front().expect("one per round");
        if index >= skip && matches(&entry) {
            taken(entry);
        } else {
            queue.push_back(entry);
        }
    }
}
