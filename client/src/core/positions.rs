//! How far kept messages were seen and confirmed, per channel.
//!
//! Seen: handed to the application; everything up to there is a duplicate. Confirmed: the application is done with it; acknowledged,
//! named at the next login, and what an application stores for its next run.

use super::event::Receipt;
use super::{TRACKED, position};
use gpusher_proto::wire::{ChannelKind, Position};
use std::collections::BTreeMap;

/// Confirmed positions, to be kept between runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Positions {
    /// What they are positions of; 0: none known.
    pub epoch: u64,
    /// Last kept sequence of the own, app and everyone channels.
    pub channels: [Option<u64>; 3],
    /// Topics joined.
    pub topics: BTreeMap<String, Topic>,
}

/// Where a client stands in a topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Topic {
    /// Last kept sequence; none if not known.
    pub seq: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    seen: Option<u64>,
    confirmed: Option<u64>,
    /// Confirmed, or received again after that, and not told to the server.
    unacknowledged: bool,
}

impl Progress {
    fn at(seq: Option<u64>) -> Self {
        Self { seen: seq, confirmed: seq, unacknowledged: false }
    }
}

/// Positions of a running client.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    epoch: u64,
    channels: [Progress; 3],
    topics: BTreeMap<String, Progress>,
}

impl Tracker {
    pub(super) fn new(positions: Positions) -> Self {
        Self {
            epoch: positions.epoch,
            channels: positions.channels.map(Progress::at),
            topics: positions
                .topics
                .into_iter()
                .map(|(name, at)| (name, Progress::at(at.seq)))
                .collect(),
        }
    }

    pub(super) fn positions(&self) -> Positions {
        let topics = self.topics.iter();
        Positions {
            epoch: self.epoch,
            channels: self.channels.map(|progress| progress.confirmed),
            topics: topics.map(|(name, at)| (name.clone(), Topic { seq: at.confirmed })).collect(),
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What a login names.
    pub(super) fn confirmed(&self) -> Vec<Position> {
        let named = TRACKED.into_iter().zip(&self.channels);
        named.filter_map(|(kind, at)| Some(position(kind, at.confirmed?))).collect()
    }

    /// Topics to join again, each with the sequence to join it after.
    pub(super) fn topics(&self) -> impl Iterator<Item = (&str, Option<u64>)> {
        self.topics.iter().map(|(name, at)| (name.as_str(), at.confirmed))
    }

    /// The logs are those of this epoch. If they are others than before, no position means anything. 0: a gateway that is alone does not know,
    /// and what was worked on stays so.
    pub(super) fn enter_epoch(&mut self, epoch: u64) {
        if epoch == 0 {
            return;
        }
        if self.epoch != epoch && self.epoch != 0 {
            self.channels = Default::default();
            self.topics.values_mut().for_each(|at| *at = Progress::default());
        }
        self.epoch = epoch;
    }

    /// Whether a kept message is new; if so it counts as seen. One that was confirmed before is acknowledged again: the server cannot have heard it.
    pub(super) fn see(&mut self, kind: ChannelKind, topic: &str, seq: u64) -> bool {
        let Some(progress) = self.progress(kind, topic) else { return true };
        if progress.seen.is_some_and(|seen| seq <= seen) {
            progress.unacknowledged |= progress.confirmed.is_some_and(|confirmed| seq <= confirmed);
            return false;
        }
        progress.seen = Some(seq);
        true
    }

    /// Whether there is something to acknowledge now.
    pub(super) fn confirm(&mut self, receipt: &Receipt) -> bool {
        let Some(progress) = self.progress(receipt.channel, &receipt.topic) else { return false };
        if progress.confirmed.is_some_and(|confirmed| receipt.seq <= confirmed) {
            return false;
        }
        progress.confirmed = Some(receipt.seq);
        progress.unacknowledged = true;
        receipt.channel != ChannelKind::Topic
    }

    pub(super) fn has_unacknowledged(&self) -> bool {
        self.channels.iter().any(|at| at.unacknowledged)
    }

    pub(super) fn take_unacknowledged(&mut self) -> Vec<Position> {
        let channels = TRACKED.into_iter().zip(&mut self.channels);
        let due = channels.filter_map(|(kind, at)| {
            let due = std::mem::take(&mut at.unacknowledged);
            at.confirmed.filter(|_| due).map(|seq| position(kind, seq))
        });
        due.collect()
    }

    pub(super) fn is_joined(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    /// A topic is being joined, after a sequence if one is named.
    pub(super) fn join(&mut self, topic: &str, since: Option<u64>) {
        let progress = self.topics.entry(topic.to_owned()).or_default();
        if since.is_some() {
            *progress = Progress::at(since);
        }
    }

    /// A join was answered with the topic's last sequence: where a client that asked for nothing older stands.
    pub(super) fn joined(&mut self, topic: &str, last: u64) {
        if let Some(progress) = self.topics.get_mut(topic)
            && progress.seen.is_none()
        {
            *progress = Progress::at(Some(last));
        }
    }

    pub(super) fn leave(&mut self, topic: &str) {
        self.topics.remove(topic);
    }

    fn progress(&mut self, kind: ChannelKind, topic: &str) -> Option<&mut Progress> {
        match kind {
            ChannelKind::Topic => self.topics.get_mut(topic),
            kind => self.channels.get_mut(kind as usize),
        }
    }
}
