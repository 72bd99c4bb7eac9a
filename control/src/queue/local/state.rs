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
    /// Last offset that is durable.
    end: u64,
    /// Stored, or admitted and on the way to the disk.
    records: u64,
    bytes: u64,
    positions: BTreeMap<String, u64>,
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
            records: summary.records,
            bytes: summary.bytes,
            positions: summary.positions.into_iter().collect(),
            open_groups: BTreeSet::new(),
            newest: VecDeque::new(),
            newest_bytes: 0,
        }
    }

    pub(super) fn end(&self) -> u64 {
        self.end
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

    /// Takes note of durable batches.
    pub(super) fn on_written(&mut self, batches: Vec<(u64, Batch)>) {
        for (last, batch) in batches {
            assert_eq!(last, self.end + batch.records);
            self.end = last;
            self.newest_bytes += batch.body.len();
            self.newest.push_back((last, batch));
        }
        while self.newest_bytes > self.options.memory_bytes_max {
            let (_, batch) = self.newest.pop_front().expect("bytes come from batches");
            self.newest_bytes -= batch.body.len();
        }
    }

    /// Takes note of durable positions.
    pub(super) fn on_committed(&mut self, positions: Vec<(String, u64)>) {
        self.positions.extend(positions);
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

    /// The lowest position once `changed` are in force; `None` while there is no group.
    pub(super) fn lowest_with(&self, changed: &[(String, u64)]) -> Option<u64> {
        let kept =
            self.positions.iter().filter(|(group, _)| changed.iter().all(|(c, _)| c != *group));
        kept.map(|(_, at)| *at).chain(changed.iter().map(|(_, at)| *at)).min()
    }

    /// Where a group without a position starts: before the oldest record that is surely still there.
    pub(super) fn start(&self) -> u64 {
        self.positions.values().copied().min().unwrap_or(0)
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
