//! What was accepted, and what each device has had of it: the truth that everything is checked against.

use crate::store::{DeviceId, LogKey, MemoryStore};
use gpusher_proto::data::{Push, Record, job};
use gpusher_proto::gateway::ChannelKind;
use std::collections::{BTreeMap, BTreeSet};

/// An accepted push.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// As published.
    pub push: Push,
    /// When, monotonic.
    pub at_ms: u64,
}

/// Everything accepted and received.
#[derive(Debug, Default)]
pub struct Ledger {
    /// By message id.
    pub pushes: BTreeMap<u64, Accepted>,
    /// Messages whose recall was accepted, and when.
    pub recalls: BTreeMap<u64, u64>,
    /// The same by the offset of the record.
    pub recall_offsets: BTreeMap<u64, u64>,
    /// Messages that retention has removed from a log: nobody is owed them.
    pub purged: BTreeSet<(LogKey, u64)>,
    /// By device: kept messages received. For version 0 its socket took it, for version 1 the client read it.
    pub received: BTreeMap<DeviceId, BTreeSet<u64>>,
    /// Live messages of which some receivers were looked up again.
    pub retried: BTreeSet<u64>,
    /// Messages that such a life took from the queue although an earlier one may have: those were accepted before it began.
    pub taken_again: BTreeSet<u64>,
    /// Records seen up to here.
    pub offset: u64,
}

impl Ledger {
    /// Notes what the queue has accepted.
    pub fn note(&mut self, record: &Record, now_ms: u64) {
        self.offset = record.offset;
        match record.job.as_ref().and_then(|job| job.kind.as_ref()) {
            Some(job::Kind::Push(push)) => {
                let accepted = Accepted { push: push.clone(), at_ms: now_ms };
                match self.pushes.get_mut(&push.id) {
                    // Another part of a list of users.
                    Some(known) => known.push.users.extend(push.users.iter().cloned()),
                    None => drop(self.pushes.insert(push.id, accepted)),
                }
            }
            Some(job::Kind::Recall(message)) => {
                self.recalls.entry(message.id).or_insert(now_ms);
                self.recall_offsets.insert(record.offset, message.id);
            }
            _ => {}
        }
    }

    /// A life of logic, begun at a time, sends a message to who is connected.
    pub fn send(&mut self, message: u64, since_ms: u64) {
        if self.pushes.get(&message).is_some_and(|accepted| accepted.at_ms < since_ms) {
            self.taken_again.insert(message);
        }
    }

    /// Whether a device has had a kept message.
    pub fn has(&self, device: &DeviceId, message: u64) -> bool {
        self.received.get(device).is_some_and(|received| received.contains(&message))
    }

    /// A device has a kept message.
    pub fn receive(&mut self, device: &DeviceId, message: u64) {
        self.received.entry(device.clone()).or_default().insert(message);
    }

    /// Whether retention has removed a push from a user's log.
    pub fn is_purged(&self, push: &Push, app_id: u32, user: &str) -> bool {
        self.purged.contains(&(log_of(push, app_id, user), push.id))
    }

    /// Kept messages for a device that are still due, and when they were accepted.
    pub fn due(&self, store: &MemoryStore, device: &DeviceId, unix_ms: i64) -> Vec<(u64, u64)> {
        let (app_id, user, name) = device;
        let is_due = |accepted: &&Accepted| {
            let push = &accepted.push;
            let over = push.expires_at_ms != 0 && push.expires_at_ms <= unix_ms;
            let gone = over
                || self.recalls.contains_key(&push.id)
                || self.is_purged(push, *app_id, user)
                || store.with(|tables| tables.reports.is_dead(push.id, *app_id, user, name));
            push.offline_push && push.r#type != 4 && is_for(push, *app_id, user) && !gone
        };
        let due = self.pushes.values().filter(is_due);
        due.map(|accepted| (accepted.at_ms, accepted.push.id)).collect()
    }

    /// Kept messages of a device's three logs in a range that it should have and has not: (channel, sequence, message).
    pub fn missing(
        &self,
        store: &MemoryStore,
        device: &DeviceId,
        after: [u64; 3],
        through: [u64; 3],
        unix_ms: i64,
    ) -> Vec<(usize, u64, u64)> {
        let (app_id, user, name) = device;
        let keys = [
            (ChannelKind::Own as i32, *app_id, user.clone()),
            (ChannelKind::App as i32, *app_id, String::new()),
            (ChannelKind::Everyone as i32, 0, String::new()),
        ];
        store.with(|tables| {
            let born = tables.devices.get(device).map_or([0; 3], |row| row.born);
            let mut missing = Vec::new();
            for (channel, key) in keys.iter().enumerate() {
                let Some(log) = tables.logs.get(key) else { continue };
                let from = after[channel].max(born[channel]).saturating_add(1);
                if from > through[channel] {
                    continue;
                }
                for (&seq, push) in log.entries.range(from..=through[channel]) {
                    let over = push.expires_at_ms != 0 && push.expires_at_ms <= unix_ms;
                    let gone = over
                        || tables.recalled.contains_key(&push.id)
                        || self.recalls.contains_key(&push.id)
                        || tables.reports.is_dead(push.id, *app_id, user, name);
                    if !gone && !self.has(device, push.id) {
                        missing.push((channel, seq, push.id));
                    }
                }
            }
            missing
        })
    }
}

/// The log that has a push for a user of an app.
fn log_of(push: &Push, app_id: u32, user: &str) -> LogKey {
    match push.r#type {
        2 => (ChannelKind::App as i32, app_id, String::new()),
        3 => (ChannelKind::Everyone as i32, 0, String::new()),
        _ => (ChannelKind::Own as i32, app_id, user.to_owned()),
    }
}

/// Whether a push is for a user of an app; for topics see the connection.
pub fn is_for(push: &Push, app_id: u32, user: &str) -> bool {
    match push.r#type {
        1 | 5 => push.app_id == app_id && push.users.iter().any(|name| name == user),
        2 => push.app_id == app_id,
        3 => true,
        _ => push.app_id == app_id,
    }
}
