//! How far the queue's records are done: what may be committed.

use std::collections::VecDeque;

/// Records taken and not committed, in queue order. Each is done when all its parts are; the queue is committed up to the lowest
/// unfinished one.
#[derive(Debug, Default)]
pub struct Progress {
    open: VecDeque<Open>,
    /// Those of them that have parts to be done.
    unfinished: usize,
    last_offset: Option<u64>,
}

#[derive(Debug)]
struct Open {
    offset: u64,
    parts: u32,
}

impl Progress {
    /// Takes a record on, with one part: its planning. False if its offset is not above the last one's (a queue must not do that).
    pub fn begin(&mut self, offset: u64) -> bool {
        if self.last_offset.is_some_and(|last| offset <= last) {
            return false;
        }
        self.last_offset = Some(offset);
        self.open.push_back(Open { offset, parts: 1 });
        self.unfinished += 1;
        true
    }

    /// Adds a part to an unfinished record.
    pub fn add_part(&mut self, offset: u64) {
        let record = self.find(offset);
        record.parts += 1;
        let is_first = record.parts == 1;
        self.unfinished += usize::from(is_first);
    }

    /// One part is done.
    pub fn finish_part(&mut self, offset: u64) {
        let record = self.find(offset);
        assert!(record.parts > 0, "a part finished twice");
        record.parts -= 1;
        let is_last = record.parts == 0;
        self.unfinished -= usize::from(is_last);
    }

    /// Removes finished records from the front; the offset to commit, if it moved.
    pub fn committable(&mut self) -> Option<u64> {
        let mut offset = None;
        while self.open.front().is_some_and(|record| record.parts == 0) {
            offset = self.open.pop_front().map(|record| record.offset);
        }
        offset
    }

    /// Records taken and not committed.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Those that are not done.
    pub fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// Whether nothing is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn find(&mut self, offset: u64) -> &mut Open {
        let index = self.open.binary_search_by_key(&offset, |record| record.offset);
        &mut self.open[index.expect("a part belongs to an unfinished record")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_stop_at_the_lowest_unfinished() {
        let mut progress = Progress::default();
        assert!(progress.begin(3) && progress.begin(4) && progress.begin(9));
        assert!(!progress.begin(9));
        progress.add_part(3);
        progress.finish_part(4);
        progress.finish_part(3);
        assert_eq!((progress.committable(), progress.len(), progress.unfinished()), (None, 3, 2));
        progress.finish_part(3);
        assert_eq!((progress.committable(), progress.unfinished()), (Some(4), 1));
        progress.finish_part(9);
        assert_eq!(progress.committable(), Some(9));
        assert!(progress.is_empty());
    }

    #[test]
    fn random_orders_never_commit_past_an_open_part() {
        let seed: u64 = rand::random();
        println!("seed {seed}");
        let mut state = seed | 1;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let mut progress = Progress::default();
        let mut parts: Vec<u64> = Vec::new();
        let mut committed = 0;
        for offset in 1..2_000 {
            progress.begin(offset);
            parts.push(offset);
            for _ in 0..random(3) {
                progress.add_part(offset);
                parts.push(offset);
            }
            for _ in 0..random(5).min(parts.len()) {
                let part = parts.swap_remove(random(parts.len()));
                progress.finish_part(part);
            }
            if let Some(offset) = progress.committable() {
                assert!(offset > committed && parts.iter().all(|&part| part > offset));
                committed = offset;
            }
        }
        parts.drain(..).for_each(|part| progress.finish_part(part));
        assert_eq!(progress.committable().unwrap_or(committed), 1_999);
    }
}
