//! What the queue knows without asking the file: bounds, positions, the newest batches.

use super::LocalOptions;
use super::batch::Batch;
use super::table::{Freed, Summary};
use crate::error::{Code, Error, Result};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Guarded by one mutex that is never held across a wait.
#[derive(Debug)]
pub(super) struct State {
    options: LocalOptions,
    /// Last offset that was given out.
    end: u64,
    /// Last offset that is durable.
    durable: u64,
    /// Last offset of a write that failed: it is in no record.
    failed: u64,
    /// Stored, or admitted and on the way to the disk.
    records: u64,
    bytes: u64,
    positions: BTreeMap<String, u64>,
    /// Groups whose positions are not in the file yet.
    moved: BTreeSet<String>,
    /// The writer will look at the positions without being told.
    pub(super) writer_looks: bool,
    open_groups: BTreeSet<String>,
    /// The newest batches with their last offsets, and the bytes they take.
    newest: VecDeque<(u64, Batch)>,
    newest_bytes: usize,
}

impl State {
    pub(super) fn new(summary: Summary, options: LocalOptions) -> Self {
        Self {
            options,
            end: summary.end,
            durable: summary.end,
            failed: 0,
            records: summary.records,
            bytes: summary.bytes,
            positions: summary.positions.into_iter().collect(),
            moved: BTreeSet::new(),
            writer_looks: false,
            open_groups: BTreeSet::new(),
            newest: VecDeque::new(),
            newest_bytes: 0,
        }
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    pub(super) fn durable(&self) -> u64 {
        self.durable
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    /// Records and bytes stored or on the way.
    pub(super) fn stored(&self) -> (u64, u64) {
        (self.records, self.bytes)
    }

    /// Takes room for records, or says that there is none.
    pub(super) fn admit(&mut self, records: u64, bytes: u64) -> Result<()> {
        let full = if self.records + records > self.options.records_max {
            format!("the queue is full: {} records", self.records)
        } else if self.bytes + bytes > self.options.bytes_max {
            format!("the queue is full: {} bytes", self.bytes)
        } else {
            self.records += records;
            self.bytes += bytes;
            return Ok(());
        };
        Err(Error::new(Code::Overloaded, full))
    }

    pub(super) fn give_back(&mut self, records: u64, bytes: u64) {
        assert!(records <= self.records && bytes <= self.bytes);
        self.records -= records;
        self.bytes -= bytes;
    }

    /// Takes note of batches that are about to be written.
    pub(super) fn on_begun(&mut self, batches: &[(u64, Batch)]) {
        for (last, batch) in batches {
            assert_eq!(*last, self.end + batch.records);
            self.end = *last;
            self.newest_bytes += batch.body.len();
            self.newest.push_back((*last, batch.clone()));
        }
    }

    /// All that was begun is durable, and need not be in memory any more.
    pub(super) fn on_written(&mut self) {
        self.durable = self.end;
        while self.newest_bytes > self.options.memory_bytes_max {
            let (_, batch) = self.newest.pop_front().expect("bytes come from batches");
            self.newest_bytes -= batch.body.len();
        }
    }

    /// What was begun is not in the file. Its offsets are not given out again: somebody may have been handed them.
    pub(super) fn on_unwritten(&mut self, batches: &[(u64, Batch)]) {
        for _ in batches {
            let (last, batch) = self.newest.pop_back().expect("it was begun");
            self.newest_bytes -= batch.body.len();
            self.failed = self.failed.max(last);
        }
    }

    /// Takes note of deleted batches.
    pub(super) fn on_trimmed(&mut self, trim: u64, freed: &Freed) {
        self.give_back(freed.records, freed.bytes);
        while self.newest.front().is_some_and(|(last, _)| *last <= trim) {
            let (_, batch) = self.newest.pop_front().expect("there is a front");
            self.newest_bytes -= batch.body.len();
        }
    }

    pub(super) fn committed(&self, group: &str) -> Option<u64> {
        self.positions.get(group).copied()
    }

    /// Moves a group's position forward. Whether the writer must be told.
    pub(super) fn commit(&mut self, group: &str, offset: u64) -> bool {
        let committed = self.positions.get_mut(group).expect("the group was opened");
        if offset <= *committed {
            return false;
        }
        *committed = offset;
        if !self.moved.contains(group) {
            self.moved.insert(group.to_owned());
        }
        !std::mem::replace(&mut self.writer_looks, true)
    }

    /// Gives positions to groups that have none, before the oldest record that is still there.
    pub(super) fn give_positions(&mut self, groups: &[String]) {
        let start = self.start();
        for group in groups {
            self.positions.insert(group.clone(), start);
            self.moved.insert(group.clone());
        }
    }

    /// Whether there are positions that are not in the file yet.
    pub(super) fn has_moved(&self) -> bool {
        !self.moved.is_empty()
    }

    /// Positions for the file.
    pub(super) fn take_moved(&mut self) -> Vec<(String, u64)> {
        let moved = std::mem::take(&mut self.moved);
        moved.into_iter().map(|group| (group.clone(), self.positions[&group])).collect()
    }

    /// The file did not take the positions: they wait for the next turn. Groups that were to be opened are not.
    pub(super) fn on_failed(&mut self, positions: &[(String, u64)], opened: &[String]) {
        self.moved.extend(positions.iter().map(|(group, _)| group.clone()));
        for group in opened {
            self.positions.remove(group);
            self.moved.remove(group);
        }
    }

    /// The lowest position; `None` while there is no group.
    pub(super) fn lowest(&self) -> Option<u64> {
        self.positions.values().copied().min()
    }

    /// Where a group without a position starts: before the oldest record that is surely still there.
    pub(super) fn start(&self) -> u64 {
        self.lowest().unwrap_or(0)
    }

    pub(super) fn depth(&self, group: &str) -> u64 {
        self.end - self.committed(group).unwrap_or_else(|| self.start())
    }

    /// Claims the group's only consumer.
    pub(super) fn open_group(&mut self, group: &str) -> Result<()> {
        if self.open_groups.insert(group.to_owned()) {
            return Ok(());
        }
        let text = format!("group {group} has a consumer already");
        Err(Error::new(Code::Conflict, text))
    }

    pub(super) fn close_group(&mut self, group: &str) {
        self.open_groups.remove(group);
    }

    /// The batch with an offset, if it is in memory; with its last offset.
    pub(super) fn newest(&self, offset: u64) -> Option<(u64, Batch)> {
        let at = self.newest.partition_point(|(last, _)| *last < offset);
        let (last, batch) = self.newest.get(at)?;
        (*last - batch.records < offset).then(|| (*last, batch.clone()))
    }
}
