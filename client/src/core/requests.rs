//! Requests that wait for their answers.

use std::collections::BTreeMap;

/// Requests under way.
const REQUESTS_MAX: usize = 1_024;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Send,
    Join {
        topic: String,
        is_new: bool,
    },
    Leave,
    /// Asked for by the core itself after a reconnect.
    Rejoin {
        topic: String,
    },
}

/// By number.
#[derive(Debug, Default)]
pub(super) struct Requests {
    waiting: BTreeMap<u64, Kind>,
    last: u64,
}

impl Requests {
    /// The number that the next call of `wait_for` uses.
    pub(super) fn next_number(&self) -> u64 {
        self.last + 1
    }

    pub(super) fn wait_for(&mut self, kind: Kind) -> u64 {
        self.last += 1;
        self.waiting.insert(self.last, kind);
        self.last
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= REQUESTS_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn answered(&mut self, number: u64) -> Option<Kind> {
        self.waiting.remove(&number)
    }

    pub(super) fn take_all(&mut self) -> BTreeMap<u64, Kind> {
        std::mem::take(&mut self.waiting)
    }
}
