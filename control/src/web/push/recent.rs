//! Ids of pushes accepted lately: their counters are not there before logic has routed them.

use parking_lot::Mutex;
use rustc_hash::FxHashSet;
use std::collections::VecDeque;

const IDS_MAX: usize = 131_072;

/// The last ids accepted by this process.
#[derive(Default)]
pub(in crate::web) struct Recent {
    ids: Mutex<(FxHashSet<u64>, VecDeque<u64>)>,
}

impl Recent {
    /// Remembers ids and forgets the oldest beyond the limit.
    pub(super) fn insert(&self, new: &[u64]) {
        let (known, order) = &mut *self.ids.lock();
        for &id in new {
            if known.insert(id) {
                order.push_back(id);
            }
        }
        while order.len() > IDS_MAX {
            if let Some(oldest) = order.pop_front() {
                known.remove(&oldest);
            }
        }
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        self.ids.lock().0.contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_the_oldest() {
        let recent = Recent::default();
        let ids: Vec<u64> = (0..IDS_MAX as u64 + 10).collect();
        recent.insert(&ids);
        assert!(!recent.contains(9));
        assert!(recent.contains(10));
        assert_eq!(recent.ids.lock().0.len(), IDS_MAX);
    }
}
