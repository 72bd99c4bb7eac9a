//! Sequence numbers of own channels, taken from the store in blocks: most live pushes then cost no write.

use rustc_hash::FxHashMap;

/// An own channel: app and user.
pub type OwnKey = (u32, String);

/// Unused numbers of recently used own channels. Bounded: two generations, of which the older one is dropped when the
/// younger one has filled up. Dropped numbers are skipped, never given again.
#[derive(Debug)]
pub struct Blocks {
    young: FxHashMap<OwnKey, Block>,
    old: FxHashMap<OwnKey, Block>,
    generation_limit: usize,
}

#[derive(Debug, Clone, Copy)]
struct Block {
    next: u64,
    end: u64,
}

impl Blocks {
    /// Room for this many channels.
    pub fn new(limit: usize) -> Self {
        Self {
            young: FxHashMap::default(),
            old: FxHashMap::default(),
            generation_limit: (limit / 2).max(1),
        }
    }

    /// Numbers left of a channel.
    pub fn left(&self, key: &OwnKey) -> u64 {
        let block = self.young.get(key).or_else(|| self.old.get(key));
        block.map_or(0, |block| block.end - block.next)
    }

    /// Replaces what is left by a new range.
    pub fn fill(&mut self, key: OwnKey, first: u64, count: u64) {
        self.old.remove(&key);
        self.insert(key, Block { next: first, end: first + count });
    }

    /// The next number, if there is one.
    pub fn take(&mut self, key: &OwnKey) -> Option<u64> {
        if !self.young.contains_key(key) {
            let block = self.old.remove(key)?;
            self.insert(key.clone(), block);
        }
        let block = self.young.get_mut(key)?;
        let seq = block.next;
        block.next += 1;
        if block.next == block.end {
            self.young.remove(key);
        }
        Some(seq)
    }

    /// Drops a channel's numbers, because the log has given out higher ones: a later message must not get a lower number.
    pub fn forget(&mut self, key: &OwnKey) {
        self.young.remove(key);
        self.old.remove(key);
    }

    fn insert(&mut self, key: OwnKey, block: Block) {
        if block.next == block.end {
            return;
        }
        if self.young.len() >= self.generation_limit {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(user: &str) -> OwnKey {
        (1000, user.to_owned())
    }

    #[test]
    fn numbers_increase_and_run_out() {
        let mut blocks = Blocks::new(8);
        assert_eq!(blocks.take(&key("a")), None);
        blocks.fill(key("a"), 5, 2);
        assert_eq!(blocks.left(&key("a")), 2);
        assert_eq!(
            [blocks.take(&key("a")), blocks.take(&key("a")), blocks.take(&key("a"))],
            [Some(5), Some(6), None]
        );
    }

    #[test]
    fn an_append_ends_the_block() {
        let mut blocks = Blocks::new(8);
        blocks.fill(key("a"), 5, 10);
        blocks.forget(&key("a"));
        assert_eq!(blocks.take(&key("a")), None);
    }

    #[test]
    fn memory_is_bounded_and_the_recently_used_stay() {
        let mut blocks = Blocks::new(8);
        blocks.fill(key("busy"), 1, 1_000);
        for other in 0..100 {
            assert!(blocks.take(&key("busy")).is_some());
            blocks.fill(key(&format!("other {other}")), 1, 2);
            assert!(blocks.young.len() + blocks.old.len() <= 8);
        }
        assert_eq!(blocks.left(&key("other 0")), 0);
    }
}
