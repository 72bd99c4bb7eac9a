//! One consumer's place in each of its partitions: what was handed out, what of it is done, what the group was told. No I/O.
//!
//! Logic sees one queue with one increasing offset, and commits up to an offset. Here each record gets such an offset when it is handed
//! out, and a commit is taken apart again: per partition, the position behind the last record that is done.
//!
//! **Invariant.** The position committed of a partition has no record before it that was handed out and is not done: records of a
//! partition are handed out in order, and a commit covers all that were handed out before.

use std::collections::{BTreeMap, VecDeque};

/// See the module.
#[derive(Debug)]
pub(super) struct Positions {
    /// The offset of the last record handed out.
    last: u64,
    /// Handed out and not done, in that order.
    under_way: VecDeque<UnderWay>,
    partitions: BTreeMap<i32, Partition>,
    /// Assignments so far: a partition that went and came back is another one.
    assignments: u64,
}

#[derive(Debug)]
struct UnderWay {
    offset: u64,
    partition: i32,
    assignment: u64,
    /// Behind the record.
    position: i64,
}

#[derive(Debug)]
struct Partition {
    assignment: u64,
    under_way: usize,
    /// Nothing more of it is handed out: it is about to go to another consumer.
    leaving: bool,
    /// Behind the last record that is done; none before the first.
    done: Option<i64>,
    /// What the group was told last.
    told: Option<i64>,
}

impl Positions {
    /// Offsets will be above `floor`.
    pub(super) fn new(floor: u64) -> Self {
        Self {
            last: floor,
            under_way: VecDeque::new(),
            partitions: BTreeMap::new(),
            assignments: 0,
        }
    }

    /// Partitions that are this consumer's from here on.
    pub(super) fn assign(&mut self, partitions: &[i32]) {
        self.assignments += 1;
        for &partition in partitions {
            let assigned = Partition {
                assignment: self.assignments,
                under_way: 0,
                leaving: false,
                done: None,
                told: None,
            };
            self.partitions.insert(partition, assigned);
        }
    }

    /// Partitions of which nothing more is handed out.
    pub(super) fn leave(&mut self, partitions: &[i32]) {
        for partition in partitions {
            if let Some(partition) = self.partitions.get_mut(partition) {
                partition.leaving = true;
            }
        }
    }

    /// Partitions that are another consumer's. What is under way of them comes again there; its end is of no interest here.
    pub(super) fn revoke(&mut self, partitions: &[i32]) {
        for partition in partitions {
            self.partitions.remove(partition);
        }
    }

    /// How many partitions there are.
    pub(super) fn assigned(&self) -> usize {
        self.partitions.len()
    }

    /// Gives a record its offset; none if its partition is not to be read any more.
    pub(super) fn hand_out(&mut self, partition: i32, position: i64) -> Option<u64> {
        let found = self.partitions.get_mut(&partition).filter(|found| !found.leaving)?;
        found.under_way += 1;
        self.last += 1;
        self.under_way.push_back(UnderWay {
            offset: self.last,
            partition,
            assignment: found.assignment,
            position: position + 1,
        });
        Some(self.last)
    }

    /// The last offset given.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Everything up to and including an offset is done.
    pub(super) fn commit(&mut self, offset: u64) {
        while let Some(record) = self.under_way.pop_front_if(|record| record.offset <= offset) {
            let partition = self.partitions.get_mut(&record.partition);
            if let Some(it) = partition.filter(|it| it.assignment == record.assignment) {
                it.under_way -= 1;
                it.done = Some(record.position);
            }
        }
    }

    /// Records of these partitions that are handed out and not done.
    pub(super) fn under_way(&self, partitions: &[i32]) -> usize {
        let found = partitions.iter().filter_map(|partition| self.partitions.get(partition));
        found.map(|partition| partition.under_way).sum()
    }

    /// Behind what is done of a partition, if anything is.
    pub(super) fn done(&self, partition: i32) -> Option<i64> {
        self.partitions.get(&partition)?.done
    }

    /// Positions that the group is to be told.
    pub(super) fn take_untold(&mut self) -> Vec<(i32, i64)> {
        let untold = self.partitions.iter_mut().filter(|(_, it)| it.done != it.told);
        untold
            .filter_map(|(&partition, it)| {
                it.told = it.done;
                Some((partition, it.done?))
            })
            .collect()
    }

    /// The group was not told: it will be, next time.
    pub(super) fn on_not_told(&mut self, partitions: impl IntoIterator<Item = i32>) {
        for partition in partitions {
            if let Some(partition) = self.partitions.get_mut(&partition) {
                partition.told = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_taken_apart_by_partition() {
        let mut positions = Positions::new(100);
        positions.assign(&[0, 1]);
        assert_eq!(positions.hand_out(0, 50), Some(101));
        assert_eq!(positions.hand_out(1, 7), Some(102));
        assert_eq!(positions.hand_out(0, 51), Some(103));
        assert_eq!(positions.take_untold(), []);
        positions.commit(102);
        assert_eq!(positions.take_untold(), [(0, 51), (1, 8)]);
        assert_eq!(positions.take_untold(), []);
        positions.on_not_told([1]);
        assert_eq!(positions.take_untold(), [(1, 8)]);
        positions.commit(101);
        assert_eq!(positions.take_untold(), [], "an older offset changes nothing");
        assert_eq!((positions.under_way(&[0]), positions.under_way(&[1])), (1, 0));
    }

    #[test]
    fn what_was_taken_away_is_not_committed_even_if_it_comes_back() {
        let mut positions = Positions::new(0);
        positions.assign(&[0]);
        let offset = positions.hand_out(0, 5).unwrap();
        positions.leave(&[0]);
        assert_eq!(positions.hand_out(0, 6), None);
        positions.revoke(&[0]);
        positions.assign(&[0]);
        positions.commit(offset);
        assert_eq!(positions.take_untold(), [], "another consumer may have gone on from before it");
        let again = positions.hand_out(0, 5).unwrap();
        positions.commit(again);
        assert_eq!(positions.take_untold(), [(0, 6)]);
    }

    #[test]
    fn random_commits_never_pass_what_is_under_way() {
        let seed: u64 = rand::random();
        println!("seed {seed}");
        let mut state = seed | 1;
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut positions = Positions::new(0);
        positions.assign(&[0, 1, 2]);
        let mut next = [0_i64; 3];
        let mut handed: Vec<(u64, i32, i64)> = Vec::new();
        let mut committed = 0;
        for _ in 0..2_000 {
            let partition = random(3) as i32;
            let position = next[partition as usize];
            next[partition as usize] += 1;
            handed.push((positions.hand_out(partition, position).unwrap(), partition, position));
            if random(4) == 0 {
                committed += random(handed.last().unwrap().0 - committed + 1);
                positions.commit(committed);
                for (partition, told) in positions.take_untold() {
                    let done = |it: &&(u64, i32, i64)| it.1 == partition && it.0 <= committed;
                    let last = handed.iter().rfind(done).unwrap();
                    assert_eq!(told, last.2 + 1);
                }
            }
        }
    }
}
