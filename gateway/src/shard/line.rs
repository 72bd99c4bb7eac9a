//! What waits for each audience, and the passes under way: cursors that work off several waiting messages at once.

use super::jobs::JobKey;
use super::members::Group;
use super::parcel::{Content, Parcel};
use bytes::Bytes;
use gpusher_proto::wire::{EncodedPush, Encoding};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::Arc;

/// One thing that every member is to get.
#[derive(Debug, Clone)]
pub(crate) enum Load {
    /// A message.
    Push(JobKey, Arc<EncodedPush>),
    /// A message's withdrawal; version 1 only.
    Tombstone(Bytes),
}

/// Header and names of a frame, for the estimate of how many messages go into one write.
const FRAME_OVERHEAD_BYTES: usize = 64;

impl Load {
    fn bytes(&self) -> usize {
        FRAME_OVERHEAD_BYTES
            + match self {
                Self::Push(_, push) => push.message().content.len(),
                Self::Tombstone(frame) => frame.len(),
            }
    }

    /// Nothing, for a tombstone and version 0.
    pub(crate) fn content(&self, encoding: Encoding) -> Option<Content> {
        match self {
            Self::Push(job, push) => Some(Content::message(*job, push, encoding)),
            Self::Tombstone(_) if encoding == Encoding::V0 => None,
            Self::Tombstone(frame) => Some(Content::control(frame.clone())),
        }
    }
}

/// A walk over an audience with what it brings.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(crate) loads: Vec<Load>,
    /// Next position in the audience's roll (for everyone: slot), and the end.
    pub(crate) cursor: u32,
    pub(crate) end: u32,
    /// Members that were sent all loads at once.
    pub(crate) cast: u32,
    parcels: [Option<Parcel>; 3],
}

impl Pass {
    /// All loads as one send; none if there is nothing for this encoding.
    pub(crate) fn parcel(&mut self, encoding: Encoding) -> Option<Parcel> {
        let parcel = self.parcels[encoding as usize].get_or_insert_with(|| {
            let contents = self.loads.iter().filter_map(|load| load.content(encoding));
            Parcel::join(contents.collect::<Vec<_>>())
        });
        (!parcel.bytes.is_empty()).then(|| parcel.clone())
    }

    /// Takes out messages that match; the walk goes on with the rest.
    pub(crate) fn take(&mut self, matches: impl Fn(JobKey) -> bool) -> Vec<JobKey> {
        let mut taken = Vec::new();
        self.loads.retain(|load| match load {
            Load::Push(job, _) if matches(*job) => {
                taken.push(*job);
                false
            }
            _ => true,
        });
        if !taken.is_empty() {
            self.parcels = Default::default();
        }
        taken
    }

    pub(crate) fn is_over(&self) -> bool {
        self.cursor >= self.end || self.loads.is_empty()
    }
}

/// What waits for one audience: first in, first out.
#[derive(Debug, Default)]
pub(crate) struct Line {
    waiting: VecDeque<Load>,
    pub(crate) pass: Option<Pass>,
}

impl Line {
    /// Takes as many waiting loads as go into one write.
    pub(crate) fn next_loads(&mut self, bytes_max: usize) -> Vec<Load> {
        let mut bytes = 0;
        let fits = self.waiting.iter().take_while(|load| {
            bytes += load.bytes();
            bytes <= bytes_max
        });
        let fits = fits.count().max(1).min(self.waiting.len());
        self.waiting.drain(..fits).collect()
    }

    /// Starts a walk up to a position.
    pub(crate) fn begin(&mut self, loads: Vec<Load>, end: u32) -> &mut Pass {
        assert!(self.pass.is_none());
        self.pass.insert(Pass { loads, cursor: 0, end, cast: 0, parcels: Default::default() })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.pass.is_none()
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// The lines of all audiences that have something waiting. They take turns.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    by_group: FxHashMap<Group, Line>,
    turns: VecDeque<Group>,
}

impl Lines {
    pub(crate) fn add(&mut self, group: Group, load: Load) {
        let line = self.by_group.entry(group).or_insert_with(|| {
            self.turns.push_back(group);
            Line::default()
        });
        line.waiting.push_back(load);
    }

    /// Whose turn it is; to be given back if it is not done.
    pub(crate) fn take_next(&mut self) -> Option<(Group, Line)> {
        let group = self.turns.pop_front()?;
        Some((group, self.by_group.remove(&group).expect("whose turn it is has a line")))
    }

    /// Gives a line back, behind the others.
    pub(crate) fn give_back(&mut self, group: Group, line: Line) {
        self.turns.push_back(group);
        self.by_group.insert(group, line);
    }

    /// Audiences that have something waiting.
    pub(crate) fn len(&self) -> usize {
        self.turns.len()
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.turns.is_empty()
    }

    pub(crate) fn get_mut(&mut self, group: Group) -> Option<&mut Line> {
        self.by_group.get_mut(&group)
    }

    /// Takes a waiting message out. False if it does not wait (any more).
    pub(crate) fn remove_waiting(&mut self, group: Group, key: JobKey) -> bool {
        let Some(line) = self.by_group.get_mut(&group) else { return false };
        let is_it = |load: &Load| matches!(load, Load::Push(job, _) if *job == key);
        let Some(index) = line.waiting.iter().position(is_it) else { return false };
        line.waiting.remove(index);
        true
    }
}
