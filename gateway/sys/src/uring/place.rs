//! Which ring the next socket goes to, where there are several, and how a ring and a place in its
//! table make one handle.

use super::options::{Descriptors, TABLE_ENTRIES_MAX};
use io_uring::squeue::Flags;
use io_uring::types;
use std::os::fd::RawFd;

const PLACE_BITS: u32 = TABLE_ENTRIES_MAX.ilog2();
/// Rings of one driver.
pub(super) const RINGS_MAX: u32 = 1 << (u32::BITS - PLACE_BITS);

/// A handle from the ring and what the kernel says is its place in the ring's table.
pub(super) fn handle(ring: u32, place: u32) -> u32 {
    debug_assert!(ring < RINGS_MAX && (ring == 0 || place < TABLE_ENTRIES_MAX));
    ring << PLACE_BITS | place
}

impl Descriptors {
    /// The ring that a handle belongs to.
    pub(super) fn ring(self, handle: u32) -> u32 {
        match self {
            Self::Plain => 0,
            Self::Direct { .. } => handle >> PLACE_BITS,
        }
    }

    /// A handle as the kernel takes it.
    pub(super) fn target(self, handle: u32) -> (types::Fd, Flags) {
        match self {
            Self::Plain => (types::Fd(handle as RawFd), Flags::empty()),
            Self::Direct { .. } => (types::Fd(self.place(handle) as RawFd), Flags::FIXED_FILE),
        }
    }

    /// The place in the ring's table.
    pub(super) fn place(self, handle: u32) -> u32 {
        handle & (TABLE_ENTRIES_MAX - 1)
    }
}

/// Sockets per ring, and the ring that takes new ones: the same one until it is full, so that
/// neighbours in the shard's table are neighbours in a ring.
#[derive(Debug)]
pub(super) struct Places {
    used: Vec<u32>,
    /// Of each ring's table; none: there is no table, and nothing is counted.
    entries: Option<u32>,
    present: u32,
}

impl Places {
    pub(super) fn new(descriptors: Descriptors, rings: u32) -> Self {
        let entries = match descriptors {
            Descriptors::Plain => None,
            Descriptors::Direct { table } => Some(table),
        };
        Self { used: vec![0; rings as usize], entries, present: 0 }
    }

    /// The ring that takes the next socket, where a place is kept for it; none when all are full.
    pub(super) fn take(&mut self) -> Option<u32> {
        let Some(entries) = self.entries else { return Some(0) };
        if self.used[self.present as usize] >= entries {
            let (emptiest, used) = (0..).zip(&self.used).min_by_key(|&(_, used)| used)?;
            if *used >= entries {
                return None;
            }
            self.present = emptiest;
        }
        self.used[self.present as usize] += 1;
        Some(self.present)
    }

    pub(super) fn give_back(&mut self, ring: u32) {
        if self.entries.is_some() {
            self.used[ring as usize] -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_names_its_ring_and_place() {
        let direct = Descriptors::Direct { table: 20_000 };
        for (ring, place) in [(0, 0), (103, 19_999), (RINGS_MAX - 1, TABLE_ENTRIES_MAX - 1)] {
            let handle = handle(ring, place);
            assert_eq!((direct.ring(handle), direct.place(handle)), (ring, place));
        }
        assert_eq!(Descriptors::Plain.ring(handle(0, u32::MAX >> 1)), 0);
    }

    #[test]
    fn a_ring_is_filled_before_the_next_and_then_the_emptiest_is() {
        let mut places = Places::new(Descriptors::Direct { table: 4 }, 3);
        let filled: Vec<_> = std::iter::from_fn(|| places.take()).collect();
        assert_eq!(filled, [[0; 4], [1; 4], [2; 4]].concat());
        places.give_back(1);
        assert_eq!((places.take(), places.take()), (Some(1), None));
    }
}
