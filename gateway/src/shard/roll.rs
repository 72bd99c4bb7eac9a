//! The members of one app or topic, in the order they joined, walkable while members come and go.
//!
//! A member never moves while a walk is under way: who leaves leaves a hole, who joins goes to the end. So a walk from 0 to the
//! length at its start meets everybody who is a member throughout exactly once, and nobody twice, not even who leaves and joins again.

/// What a position holds after its member left.
const HOLE: u32 = u32::MAX;
/// Fewer holes than this are not worth a compaction.
const HOLES_MIN: usize = 64;

/// Slots of members, with holes.
#[derive(Debug, Default)]
pub(crate) struct Roll {
    slots: Vec<u32>,
    live: u32,
    walked: bool,
}

impl Roll {
    /// Adds a member and returns its position, for [`Roll::remove`].
    pub(crate) fn add(&mut self, slot: u32) -> u32 {
        assert_ne!(slot, HOLE);
        let position = u32::try_from(self.slots.len()).expect("fewer members than 2^32");
        self.slots.push(slot);
        self.live += 1;
        position
    }

    /// Removes the member at the position.
    pub(crate) fn remove(&mut self, position: u32, slot: u32) {
        let place = &mut self.slots[position as usize];
        assert_eq!(*place, slot, "a member's position is its own");
        *place = HOLE;
        self.live -= 1;
        if self.live == 0 && !self.walked {
            self.slots = Vec::new();
        }
    }

    /// Members.
    pub(crate) fn len(&self) -> u32 {
        self.live
    }

    /// Starts a walk, one at a time, and returns the position where it ends. Closes the holes first if they are many; `moved` is told each
    /// member's new position.
    pub(crate) fn begin_walk(&mut self, moved: impl FnMut(u32, u32)) -> u32 {
        assert!(!self.walked, "one walk at a time");
        self.compact(moved);
        self.walked = true;
        self.slots.len() as u32
    }

    /// Ends the walk.
    pub(crate) fn end_walk(&mut self) {
        assert!(self.walked);
        self.walked = false;
        if self.live == 0 {
            self.slots = Vec::new();
        }
    }

    /// Closes the holes if they are many and nobody walks.
    pub(crate) fn compact(&mut self, mut moved: impl FnMut(u32, u32)) {
        let holes = self.slots.len() - self.live as usize;
        if self.walked || holes < HOLES_MIN || holes * 2 < self.slots.len() {
            return;
        }
        self.slots.retain(|&slot| slot != HOLE);
        self.slots.shrink_to(self.slots.len() * 2);
        self.slots.iter().zip(0..).for_each(|(&slot, position)| moved(slot, position));
    }

    /// The members from a position on, with their positions.
    pub(crate) fn members(&self, from: u32, end: u32) -> impl Iterator<Item = (u32, u32)> {
        let places = self.slots[from as usize..end as usize].iter().copied();
        (from..).zip(places).filter(|&(_, slot)| slot != HOLE)
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_and_joins_again_is_not_met_twice() {
        let mut roll = Roll::default();
        let positions: Vec<u32> = (0..4).map(|slot| roll.add(slot)).collect();
        let end = roll.begin_walk(|_, _| unreachable!());
        let (first, _) = roll.members(0, end).next().unwrap();
        roll.remove(positions[0], 0);
        roll.add(0);
        let rest: Vec<u32> = roll.members(first + 1, end).map(|(_, slot)| slot).collect();
        assert_eq!(rest, [1, 2, 3]);
        roll.end_walk();
        assert_eq!(roll.len(), 4);
    }

    #[test]
    fn holes_are_closed_between_walks() {
        let mut roll = Roll::default();
        let mut positions: Vec<u32> = (0..1_000).map(|slot| roll.add(slot)).collect();
        for slot in 0..900 {
            roll.remove(positions[slot as usize], slot);
        }
        let end = roll.begin_walk(|slot, position| positions[slot as usize] = position);
        assert_eq!(end, 100);
        roll.remove(positions[950], 950);
        let met: Vec<u32> = roll.members(0, end).map(|(_, slot)| slot).collect();
        assert_eq!(met, (900..1_000).filter(|&slot| slot != 950).collect::<Vec<_>>());
    }

    #[test]
    fn an_empty_roll_keeps_no_memory() {
        let mut roll = Roll::default();
        let position = roll.add(7);
        roll.begin_walk(|_, _| ());
        roll.remove(position, 7);
        roll.end_walk();
        assert_eq!(roll.heap_bytes(), 0);
    }
}
