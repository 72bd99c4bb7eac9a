//! What a driver keeps per connection: eight bytes.

use std::ops::{BitOr, BitOrAssign};

/// Facts about a slot. Each operation is at most once in flight per slot, so a bit is enough to
/// count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Facts(u32);

impl Facts {
    /// A socket belongs to the slot.
    pub(crate) const OPEN: Self = Self(1);
    /// The shard wants what the peer sends.
    pub(crate) const READING: Self = Self(1 << 1);
    /// `Hangup` was reported.
    pub(crate) const HUNG_UP: Self = Self(1 << 2);
    /// `close` was called.
    pub(crate) const CLOSING: Self = Self(1 << 3);
    /// The connection is being made.
    pub(crate) const CONNECTING: Self = Self(1 << 4);
    /// The kernel watches for bytes.
    pub(crate) const WATCHED: Self = Self(1 << 5);
    /// The peer sent something while reading was off.
    pub(crate) const PARKED: Self = Self(1 << 6);
    /// A receive is in flight.
    pub(crate) const RECEIVING: Self = Self(1 << 7);
    /// A flush is in flight.
    pub(crate) const FLUSHING: Self = Self(1 << 8);
    /// The kernel watches for room.
    pub(crate) const AWAITING_ROOM: Self = Self(1 << 9);
    /// A shutdown is in flight.
    pub(crate) const SHUTTING: Self = Self(1 << 10);
    /// Something was sent in this turn. Kept in debug builds only.
    pub(crate) const SENT: Self = Self(1 << 11);

    /// The kernel still has an operation on the socket.
    pub(crate) const IN_FLIGHT: Self = Self(
        Self::CONNECTING.0
            | Self::WATCHED.0
            | Self::RECEIVING.0
            | Self::FLUSHING.0
            | Self::AWAITING_ROOM.0
            | Self::SHUTTING.0,
    );

    /// Whether any of `other` holds.
    pub(crate) fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn remove(&mut self, other: Self) {
        self.0 &= !other.0;
    }
}

impl BitOr for Facts {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Facts {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// One connection.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Slot {
    /// Descriptor, or index in the ring's table.
    pub(crate) handle: u32,
    /// See [`Facts`].
    pub(crate) facts: Facts,
}

const _: () = assert!(size_of::<Slot>() == 8);

/// All connections of a driver, by the shard's numbers.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    slots: Vec<Slot>,
}

impl Slots {
    /// Gives a free slot a socket.
    pub(crate) fn open(&mut self, number: u32, handle: u32, facts: Facts) {
        let index = number as usize;
        if index >= self.slots.len() {
            self.slots.resize(index + 1, Slot::default());
        }
        let slot = &mut self.slots[index];
        assert!(!slot.facts.any(Facts::OPEN), "slot {number} is taken");
        *slot = Slot { handle, facts: facts | Facts::OPEN | Facts::READING };
    }

    /// For what the shard asks: an open slot that it has not closed.
    pub(crate) fn asked(&mut self, number: u32) -> &mut Slot {
        let slot = self.open_slot(number);
        assert!(!slot.facts.any(Facts::CLOSING), "slot {number} was closed by the shard");
        slot
    }

    /// For what the kernel answers: an open slot.
    pub(crate) fn open_slot(&mut self, number: u32) -> &mut Slot {
        let slot = self.slots.get_mut(number as usize).expect("a slot that was never opened");
        assert!(slot.facts.any(Facts::OPEN), "slot {number} is not open");
        slot
    }

    /// The handle of an open slot.
    pub(crate) fn handle(&self, number: u32) -> u32 {
        let slot = self.slots.get(number as usize).expect("a slot that was never opened");
        assert!(slot.facts.any(Facts::OPEN), "slot {number} is not open");
        slot.handle
    }

    /// Frees a slot and gives back its handle.
    pub(crate) fn release(&mut self, number: u32) -> u32 {
        let slot = self.open_slot(number);
        let handle = slot.handle;
        *slot = Slot::default();
        handle
    }

    /// The handles of all open slots, when a driver ends.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = u32> {
        let slots = std::mem::take(&mut self.slots).into_iter();
        slots.filter(|slot| slot.facts.any(Facts::OPEN)).map(|slot| slot.handle)
    }
}

/// Finds a second send to one slot in one turn, which could overtake the rest of the first. Debug
/// builds only.
#[derive(Debug, Default)]
pub(crate) struct SentThisTurn {
    slots: Vec<u32>,
}

impl SentThisTurn {
    pub(crate) fn note(&mut self, slots: &mut Slots, number: u32) {
        if cfg!(debug_assertions) {
            let slot = slots.open_slot(number);
            assert!(!slot.facts.any(Facts::SENT), "second send to slot {number} in one turn");
            slot.facts |= Facts::SENT;
            self.slots.push(number);
        }
    }

    /// Before the turn frees any slot.
    pub(crate) fn end_turn(&mut self, slots: &mut Slots) {
        for number in self.slots.drain(..) {
            slots.open_slot(number).facts.remove(Facts::SENT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_released_slot_opens_again_without_a_past() {
        let mut slots = Slots::default();
        slots.open(3, 40, Facts::default());
        slots.asked(3).facts |= Facts::HUNG_UP | Facts::CLOSING;
        assert_eq!(slots.release(3), 40);
        slots.open(3, 41, Facts::CONNECTING);
        assert_eq!(slots.asked(3).facts, Facts::OPEN | Facts::READING | Facts::CONNECTING);
        assert_eq!(slots.drain().collect::<Vec<_>>(), [41]);
    }

    #[test]
    #[should_panic(expected = "slot 0 is taken")]
    fn a_taken_slot_is_not_given_twice() {
        let mut slots = Slots::default();
        slots.open(0, 40, Facts::default());
        slots.open(0, 41, Facts::default());
    }
}
