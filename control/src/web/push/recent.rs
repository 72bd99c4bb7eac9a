//! Ids of pushes accepted lately: their counters are not there before logic has routed them.

use parking_lot::Mutex;
use rustc_hash::FxHashSet;
use std::collections::VecDeque;

/// The last ids accepted by this process.
pub(in crate::web) struct Recent {
    ids_max: usize,
    ids: Mutex<(FxHashSet<u64>, VecDeque<u64>)>,
}

impl Recent {
    pub(in crate::web) fn new(ids_max: usize) -> Self {
        Self { ids_max, ids: Mutex::default() }
    }

    /// Remembers ids and forgets the oldest beyond the limit.
    pub(super) fn insert(&self, new: &[u64]) {
        let (known, order) = &mut *self.ids.lock();
        for &id in new {
            if known.insert(id) {
                order.push_back(id);
            }
        }
        while order.len() > self.ids_max {
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
        let recent = Recent::new(100);
        let ids: Vec<u64> = (0..110).collect();
        recent.insert(&ids);
        assert!(!recent.contains(9));
        assert!(recent.contains(10));
        assert_eq!(recent.ids.lock().0.len(), 100);
    }
}
