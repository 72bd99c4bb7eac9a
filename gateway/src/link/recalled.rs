//! Messages that were recalled lately. One logic recalls, and another may not know yet: what that one still sends of them goes no further.

use rustc_hash::FxHashSet;
use std::collections::VecDeque;

/// The last recalled messages.
#[derive(Debug)]
pub(crate) struct Recalled {
    max: usize,
    messages: FxHashSet<u64>,
    order: VecDeque<u64>,
}

impl Recalled {
    /// Remembers so many.
    pub(crate) fn new(max: usize) -> Self {
        Self { max, messages: FxHashSet::default(), order: VecDeque::new() }
    }

    /// A message was recalled.
    pub(crate) fn add(&mut self, message: u64) {
        if !self.messages.insert(message) {
            return;
        }
        self.order.push_back(message);
        if self.order.len() > self.max {
            let oldest = self.order.pop_front();
            oldest.map(|oldest| self.messages.remove(&oldest));
        }
    }

    /// Whether a message was.
    pub(crate) fn contains(&self, message: u64) -> bool {
        self.messages.contains(&message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let mut recalled = Recalled::new(100);
        (0..=100).for_each(|message| recalled.add(message));
        recalled.add(7);
        assert!(!recalled.contains(0) && recalled.contains(1) && recalled.contains(7));
        assert_eq!((recalled.order.len(), recalled.messages.len()), (100, 100));
    }
}
