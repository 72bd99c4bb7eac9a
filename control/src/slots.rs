//! A slab that grows by segments. It never moves what it holds: with a million entries, growing costs neither a pause nor a second copy.

/// Entries of a segment.
const SEGMENT: usize = 1024;
/// No slot.
pub(crate) const NONE: u32 = u32::MAX;

/// Values by slot. Slots are numbered from 0 and used again; once nothing is held, nothing is allocated.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    segments: Vec<Vec<Slot<T>>>,
    free: u32,
    len: usize,
}

#[derive(Debug)]
enum Slot<T> {
    Taken(T),
    /// The next free one, or [`NONE`].
    Free(u32),
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { segments: Vec::new(), free: NONE, len: 0 }
    }
}

impl<T> Slots<T> {
    /// Puts a value into a free slot.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        if self.free == NONE {
            return self.push(value);
        }
        let slot = self.free;
        let entry = &mut self.segments[slot as usize / SEGMENT][slot as usize % SEGMENT];
        let Slot::Free(next) = *entry else { panic!("a slot in the list of free ones is taken") };
        self.free = next;
        *entry = Slot::Taken(value);
        slot
    }

    fn push(&mut self, value: T) -> u32 {
        let slots = self.slots();
        if slots.is_multiple_of(SEGMENT) {
            // The first one grows with what it holds, so that a few entries stay small.
            let capacity = if slots == 0 { 0 } else { SEGMENT };
            self.segments.push(Vec::with_capacity(capacity));
        }
        let last = self.segments.last_mut().expect("there is one with room");
        last.push(Slot::Taken(value));
        u32::try_from(slots).ok().filter(|&slot| slot != NONE).expect("fewer than four billion")
    }

    /// Takes a value out.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<T> {
        let entry =
            self.segments.get_mut(slot as usize / SEGMENT)?.get_mut(slot as usize % SEGMENT)?;
        let Slot::Taken(value) = std::mem::replace(entry, Slot::Free(self.free)) else {
            panic!("an empty slot is emptied");
        };
        self.free = slot;
        self.len -= 1;
        if self.len == 0 {
            *self = Self::default();
        }
        Some(value)
    }

    /// The value in a slot.
    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        match self.segments.get(slot as usize / SEGMENT)?.get(slot as usize % SEGMENT)? {
            Slot::Taken(value) => Some(value),
            Slot::Free(_) => None,
        }
    }

    /// The value in a slot, to change.
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        match self.segments.get_mut(slot as usize / SEGMENT)?.get_mut(slot as usize % SEGMENT)? {
            Slot::Taken(value) => Some(value),
            Slot::Free(_) => None,
        }
    }

    /// Values held.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Slots are below this.
    pub(crate) fn slots(&self) -> usize {
        self.segments.last().map_or(0, |last| (self.segments.len() - 1) * SEGMENT + last.len())
    }

    /// All values with their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(self.segments.iter().flatten()).filter_map(|(slot, entry)| match entry {
            Slot::Taken(value) => Some((slot, value)),
            Slot::Free(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn slots_are_used_again_and_an_empty_slab_holds_nothing() {
        let mut slots = Slots::default();
        let many = 3 * SEGMENT as u32 + 7;
        (0..many).for_each(|value| assert_eq!(slots.insert(value), value));
        assert_eq!((slots.remove(5), slots.get(5)), (Some(5), None));
        assert_eq!(slots.insert(77), 5);
        assert_eq!((slots.len(), slots.slots()), (many as usize, many as usize));
        (0..many).for_each(|slot| assert!(slots.remove(slot).is_some()));
        assert_eq!((slots.len(), slots.slots(), slots.segments.capacity()), (0, 0, 0));
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds(steps in prop::collection::vec((any::<bool>(), any::<u16>()), 0..4_000)) {
            let mut slots = Slots::default();
            let mut map = BTreeMap::new();
            for (insert, number) in steps {
                if insert || map.is_empty() {
                    assert!(map.insert(slots.insert(number), number).is_none(), "the slot was taken");
                } else {
                    let at = number as usize % map.len();
                    let slot = *map.keys().nth(at).expect("below the length");
                    assert_eq!(slots.remove(slot), map.remove(&slot));
                }
            }
            assert!(slots.iter().eq(map.iter().map(|(&slot, number)| (slot, number))));
            assert_eq!(slots.len(), map.len());
        }
    }
}
