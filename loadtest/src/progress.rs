//! Counters that the display and the steps read while threads run.

use std::sync::atomic::{AtomicU64, Ordering};

/// More series than are under way at once.
const SERIES_AT_ONCE: usize = 64;

/// Of all threads together.
#[derive(Debug)]
pub struct Progress {
    /// Connections begun.
    pub connects: AtomicU64,
    /// Connections that are logged in.
    pub logged_in: AtomicU64,
    /// Logins accepted so far.
    pub welcomes: AtomicU64,
    /// Connections that ended though nobody asked them to.
    pub lost: AtomicU64,
    /// The same, of those that do not read: the server may well give them up.
    pub lost_muted: AtomicU64,
    /// Connections and logins refused.
    pub refused: AtomicU64,
    /// Logins that were not taken yet, but told when to come back.
    pub sent_away: AtomicU64,
    /// Messages received of each series, duplicates included; a series has the place that its number names modulo the length.
    received: [AtomicU64; SERIES_AT_ONCE],
    /// Messages of a series that was collected already.
    pub late: AtomicU64,
    /// Messages of clients that the server took.
    pub published: AtomicU64,
    /// Messages of clients that it refused.
    pub unpublished: AtomicU64,
}

impl Default for Progress {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            connects: zero(),
            logged_in: zero(),
            welcomes: zero(),
            lost: zero(),
            lost_muted: zero(),
            refused: zero(),
            sent_away: zero(),
            received: std::array::from_fn(|_| zero()),
            late: zero(),
            published: zero(),
            unpublished: zero(),
        }
    }
}

impl Progress {
    /// Messages received of a series.
    pub fn received(&self, series: u32) -> u64 {
        Self::read(&self.received[series as usize % SERIES_AT_ONCE])
    }

    /// Messages received in all.
    pub fn received_in_all(&self) -> u64 {
        self.received.iter().map(Self::read).sum()
    }

    /// So many more messages of a series were received.
    pub(crate) fn add_received(&self, series: u32, messages: u64) {
        self.received[series as usize % SERIES_AT_ONCE].fetch_add(messages, Ordering::Relaxed);
    }

    /// A counter's present value.
    pub fn read(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}
