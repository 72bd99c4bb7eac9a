//! Batches as statements take them: each thing once, and in the order in which its row is locked. Two batches that lock the same rows
//! then wait for each other, and never both at once.

use crate::store::rows::signed;
use gpusher_proto::data::{Append, Channel, DeviceKey, Push, Reserve};
use prost::Message;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, HashMap};

/// Columns that name a log, in the order in which rows are locked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::store) struct ChannelRow {
    pub(in crate::store) kind: i64,
    pub(in crate::store) app_id: i64,
    pub(in crate::store) name: Vec<u8>,
}

impl From<&Channel> for ChannelRow {
    fn from(channel: &Channel) -> Self {
        let Channel { kind, app_id, name } = channel;
        Self { kind: (*kind).into(), app_id: (*app_id).into(), name: name.clone().into_bytes() }
    }
}

/// A message to be kept.
pub(in crate::store) struct MessageRow {
    pub(in crate::store) id: i64,
    pub(in crate::store) expires_at_ms: i64,
    pub(in crate::store) accepted_at_ms: i64,
    pub(in crate::store) push: Vec<u8>,
}

/// Kept messages and their logs.
pub(in crate::store) struct AppendBatch {
    /// The logs, in the order of locking.
    pub(in crate::store) channels: Vec<ChannelRow>,
    /// The messages, in the order of locking.
    pub(in crate::store) messages: Vec<MessageRow>,
    /// Each (index of the log, message) once, in the order given.
    pub(in crate::store) entries: Vec<(usize, i64)>,
    /// For each entry given, its index in `entries`.
    given: Vec<usize>,
}

impl AppendBatch {
    /// Every entry has a channel and a push: the store checks that first.
    pub(super) fn new(given: &[Append]) -> Self {
        let parts: Vec<(ChannelRow, &Push)> = given
            .iter()
            .filter_map(|entry| Some((entry.channel.as_ref()?.into(), entry.push.as_ref()?)))
            .collect();
        let mut channels: BTreeMap<ChannelRow, usize> =
            parts.iter().map(|(channel, _)| (channel.clone(), 0)).collect();
        channels.values_mut().zip(0..).for_each(|(index, at)| *index = at);
        let mut messages = BTreeMap::new();
        let mut known = FxHashMap::default();
        let mut entries = Vec::with_capacity(parts.len());
        let mut indices = Vec::with_capacity(parts.len());
        for (channel, push) in &parts {
            let entry = (channels[channel], signed(push.id));
            indices.push(*known.entry(entry).or_insert(entries.len()));
            if known.len() > entries.len() {
                entries.push(entry);
            }
            messages.entry(entry.1).or_insert(*push);
        }
        let messages = messages.into_iter().map(|(id, push)| MessageRow {
            id,
            expires_at_ms: push.expires_at_ms,
            accepted_at_ms: push.accepted_at_ms,
            push: push.encode_to_vec(),
        });
        Self {
            channels: channels.into_keys().collect(),
            messages: messages.collect(),
            entries,
            given: indices,
        }
    }

    /// Numbers of `entries`, for the entries given.
    pub(super) fn spread(&self, seqs: &[i64]) -> Vec<u64> {
        self.given.iter().map(|at| seqs[*at].cast_unsigned()).collect()
    }
}

/// Numbers that are asked for.
pub(in crate::store) struct ReserveBatch {
    /// The logs, in the order of locking, and how many numbers each gives.
    pub(in crate::store) channels: Vec<(ChannelRow, i64)>,
    /// For each range asked for, the index of its log and its first number's distance from the last given.
    given: Vec<(usize, i64)>,
}

impl ReserveBatch {
    /// Every entry has a channel: the store checks that first.
    pub(super) fn new(given: &[Reserve]) -> Self {
        let parts: Vec<(ChannelRow, i64)> = given
            .iter()
            .filter_map(|entry| Some((entry.channel.as_ref()?.into(), entry.count.into())))
            .collect();
        let mut channels: BTreeMap<&ChannelRow, (usize, i64)> =
            parts.iter().map(|(channel, _)| (channel, (0, 0))).collect();
        channels.values_mut().zip(0..).for_each(|((index, _), at)| *index = at);
        let mut ranges = Vec::with_capacity(parts.len());
        for (channel, count) in &parts {
            if let Some((index, taken)) = channels.get_mut(channel) {
                ranges.push((*index, *taken));
                *taken += count;
            }
        }
        let totals = channels.into_iter().map(|(channel, (_, taken))| (channel.clone(), taken));
        Self { channels: totals.collect(), given: ranges }
    }

    /// The first number of each range, from the last number of each log.
    pub(super) fn firsts(&self, last: &[i64]) -> Vec<u64> {
        let first = |(index, before): &(usize, i64)| {
            let total = self.channels[*index].1;
            (last[*index] - total + before + 1).cast_unsigned()
        };
        self.given.iter().map(first).collect()
    }
}

/// Columns that name a device, in the order in which rows are locked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::store) struct DeviceRow {
    pub(in crate::store) app_id: i64,
    pub(in crate::store) user: Vec<u8>,
    pub(in crate::store) device: Vec<u8>,
}

impl From<&DeviceKey> for DeviceRow {
    fn from(key: &DeviceKey) -> Self {
        Self {
            app_id: key.app_id.into(),
            user: key.user.clone().into_bytes(),
            device: key.device.clone().into_bytes(),
        }
    }
}

/// Each device once, in the order of locking.
pub(super) fn distinct<'a>(devices: impl Iterator<Item = &'a DeviceKey>) -> Vec<DeviceRow> {
    let mut rows: Vec<DeviceRow> = devices.map(DeviceRow::from).collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

/// A device, and how far it has come: own, app, everyone.
pub(in crate::store) type CursorRow = (DeviceRow, [i64; 3]);

/// In the order of locking.
pub(super) fn cursor_rows(furthest: HashMap<&DeviceKey, [i64; 3]>) -> Vec<CursorRow> {
    let mut rows: Vec<CursorRow> =
        furthest.into_iter().map(|(key, cursors)| (key.into(), cursors)).collect();
    rows.sort_unstable();
    rows
}

/// A dead letter or a client's message on its way into its pile.
pub(in crate::store) struct PileItem {
    pub(in crate::store) app_id: i64,
    pub(in crate::store) message_id: i64,
    pub(in crate::store) user: Vec<u8>,
    pub(in crate::store) device: Vec<u8>,
    /// Push or content.
    pub(in crate::store) content: Vec<u8>,
    /// Of a dead letter.
    pub(in crate::store) reason: Vec<u8>,
    pub(in crate::store) at_ms: i64,
}

/// What a user's status depends on: an entry of a log.
pub(in crate::store) struct EntryRow {
    pub(in crate::store) kind: i64,
    pub(in crate::store) app_id: i64,
    pub(in crate::store) seq: i64,
    pub(in crate::store) expires_at_ms: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(name: &str) -> Option<Channel> {
        Some(Channel { kind: 0, app_id: 1000, name: name.into() })
    }

    fn push(id: u64) -> Option<Push> {
        Some(Push { id, ..Push::default() })
    }

    #[test]
    fn an_append_has_each_thing_once_in_the_order_of_locking() {
        let given = [("b", 2), ("a", 2), ("b", 1), ("b", 2)];
        let given: Vec<Append> =
            given.iter().map(|(name, id)| Append { channel: own(name), push: push(*id) }).collect();
        let batch = AppendBatch::new(&given);
        let names: Vec<_> = batch.channels.iter().map(|row| &row.name[..]).collect();
        assert_eq!(names, [b"a", b"b"]);
        let ids: Vec<_> = batch.messages.iter().map(|row| row.id).collect();
        assert_eq!(ids, [1, 2]);
        assert_eq!(batch.entries, [(1, 2), (0, 2), (1, 1)]);
        assert_eq!(batch.spread(&[7, 5, 8]), [7, 5, 8, 7]);
    }

    #[test]
    fn ranges_of_one_log_follow_each_other() {
        let given = [("b", 10), ("a", 1), ("b", 5)];
        let given: Vec<Reserve> = given
            .iter()
            .map(|(name, count)| Reserve { channel: own(name), count: *count })
            .collect();
        let batch = ReserveBatch::new(&given);
        let totals: Vec<_> = batch.channels.iter().map(|(_, total)| *total).collect();
        assert_eq!(totals, [1, 15]);
        assert_eq!(batch.firsts(&[3, 115]), [101, 3, 111]);
    }
}
