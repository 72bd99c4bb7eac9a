//! One push: what was asked for, what the server answered, and which receivers have it.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Devices, by number, in increasing order.
pub type Audience = Arc<[u32]>;

/// Whom a push is for, as its `type` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One user.
    User = 1,
    /// Every user of an app.
    App = 2,
    /// Every user of every app.
    Everyone = 3,
    /// Who joined a topic.
    Topic = 4,
    /// A list of users.
    Users = 5,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::User, Self::App, Self::Everyone, Self::Topic, Self::Users];

    /// As in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::App => "app",
            Self::Everyone => "everyone",
            Self::Topic => "topic",
            Self::Users => "users",
        }
    }
}

/// A push as the workload means it.
#[derive(Debug, Clone)]
pub struct Order {
    /// Whom it is for.
    pub kind: Kind,
    /// Pushes with the same kind and target are delivered in the order in which they were accepted.
    pub target: u32,
    /// With `offlinePush`.
    pub kept: bool,
    /// Seconds; 0: it does not expire.
    pub expire_time_s: u32,
    /// Who gets it.
    pub audience: Audience,
}

/// What the server made of it.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// Message id, once it was accepted.
    pub id: Option<u64>,
    /// Unix milliseconds.
    pub expires_at_ms: Option<u64>,
    /// When the answer was here, on the ledger's clock.
    pub at_us: Option<u64>,
    /// Requests; each but the last may have been accepted, too, under another id.
    pub attempts: u32,
    /// Somebody asked for its recall; whether that was answered or not, it may be gone.
    pub recalled: bool,
    /// Requests for the recall were answered.
    pub recall_answered: bool,
}

/// A push and its receivers.
#[derive(Debug)]
pub struct Entry {
    /// What its content says.
    pub number: u64,
    /// What was asked for.
    pub order: Order,
    /// When it was asked for first, on the ledger's clock.
    pub begun_us: u64,
    answer: Mutex<Answer>,
    seen: Box<[AtomicU64]>,
    /// Of a push that was asked for more than once: who has seen which message.
    twins: Mutex<HashSet<(u32, u64)>>,
}

/// What a receipt means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// The device has it now.
    New,
    /// The application saw it before.
    Again,
    /// It is for somebody else.
    Stray,
    /// The same content under another message id: an earlier request was accepted as well, and could not say so.
    Twin,
}

impl Entry {
    pub(super) fn new(number: u64, order: Order, begun_us: u64) -> Self {
        let words = order.audience.len().div_ceil(64);
        Self {
            number,
            begun_us,
            answer: Mutex::default(),
            seen: (0..words).map(|_| AtomicU64::new(0)).collect(),
            twins: Mutex::default(),
            order,
        }
    }

    /// A request begins.
    pub fn attempt(&self) {
        self.answer.lock().attempts += 1;
    }

    /// It was accepted.
    pub fn accept(&self, id: u64, expires_at_ms: Option<u64>, at_us: u64) {
        let mut answer = self.answer.lock();
        answer.id = Some(id);
        answer.expires_at_ms = expires_at_ms;
        answer.at_us = Some(at_us);
    }

    /// A recall is asked for, or was answered.
    pub fn recall(&self, answered: bool) {
        let mut answer = self.answer.lock();
        answer.recalled = true;
        answer.recall_answered |= answered;
    }

    /// What the server made of it so far.
    pub fn answer(&self) -> Answer {
        self.answer.lock().clone()
    }

    /// A device's application sees it.
    pub(super) fn see(&self, device: u32, id: u64) -> Seen {
        let Ok(index) = self.order.audience.binary_search(&device) else { return Seen::Stray };
        let bit = 1 << (index % 64);
        let before = self.seen[index / 64].fetch_or(bit, Ordering::Relaxed) & bit != 0;
        let repeated = self.answer.lock().attempts > 1;
        let other = repeated && self.twins.lock().insert((device, id));
        match (before, other) {
            (false, _) => Seen::New,
            (true, true) => Seen::Twin,
            (true, false) => Seen::Again,
        }
    }

    /// How many have it.
    pub fn seen_count(&self) -> usize {
        self.seen.iter().map(|word| word.load(Ordering::Relaxed).count_ones() as usize).sum()
    }

    /// Whether a device has it.
    pub fn is_seen_by(&self, device: u32) -> bool {
        self.order.audience.binary_search(&device).is_ok_and(|index| self.bit(index))
    }

    /// Who does not have it.
    pub fn unseen(&self) -> impl Iterator<Item = u32> + '_ {
        let devices = self.order.audience.iter().enumerate();
        devices.filter(|(index, _)| !self.bit(*index)).map(|(_, device)| *device)
    }

    fn bit(&self, index: usize) -> bool {
        self.seen[index / 64].load(Ordering::Relaxed) & (1 << (index % 64)) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let audience: Audience = (0..100).map(|number| number * 2).collect();
        let order = Order { kind: Kind::App, target: 0, kept: true, expire_time_s: 0, audience };
        Entry::new(7, order, 0)
    }

    #[test]
    fn each_receiver_counts_once() {
        let entry = entry();
        entry.attempt();
        assert_eq!(entry.see(198, 5), Seen::New);
        assert_eq!(entry.see(198, 5), Seen::Again);
        assert_eq!(entry.see(3, 5), Seen::Stray);
        assert_eq!(entry.seen_count(), 1);
        assert!(entry.is_seen_by(198) && !entry.is_seen_by(0) && !entry.is_seen_by(3));
        assert_eq!(entry.unseen().count(), 99);
    }

    #[test]
    fn what_was_asked_for_twice_may_come_under_two_ids() {
        let entry = entry();
        entry.attempt();
        entry.attempt();
        assert_eq!(entry.see(0, 5), Seen::New);
        assert_eq!(entry.see(0, 6), Seen::Twin);
        assert_eq!(entry.see(0, 6), Seen::Again);
    }
}
