//! Which messages were seen before, by id. Sequence numbers tell the same of kept messages for any distance; ids catch the rest nearby.

use std::collections::{HashSet, VecDeque};

/// Ids remembered.
const IDS_MAX: usize = 4_096;

/// The last ids seen.
#[derive(Debug, Default)]
pub(super) struct Dedupe {
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Dedupe {
    /// Whether the id is new; remembers it.
    pub(super) fn is_new(&mut self, id: u64) -> bool {
        if !self.known.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > IDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded() {
        let mut dedupe = Dedupe::default();
        for id in 0..3 * IDS_MAX as u64 {
            assert!(dedupe.is_new(id));
            assert!(!dedupe.is_new(id));
        }
        assert_eq!((dedupe.known.len(), dedupe.order.len()), (IDS_MAX, IDS_MAX));
        assert!(dedupe.is_new(0));
    }
}
