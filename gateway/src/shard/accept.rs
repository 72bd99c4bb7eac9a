//! A socket gets a slot, or is closed because there is none.

use super::clock::Now;
use super::{Clock, Shard};
use crate::metrics::ShardCount;
use gpusher_sys::driver::{Driver, Socket};

/// After accepting failed (no descriptor, no memory), the next try waits this long: those are not there a moment later.
const PAUSE_MS: u64 = 100;

/// When to ask the driver to accept.
#[derive(Debug, Default)]
pub(super) struct Acceptance {
    /// Not before this time; none: it is accepting, or has been told to stop.
    again_at_ms: Option<u64>,
    begun: bool,
}

impl Acceptance {
    /// Asks the driver to accept, at first and when a pause is over.
    pub(super) fn begin(&mut self, driver: &mut impl Driver, now: Now) {
        let due = self.again_at_ms.is_some_and(|at_ms| at_ms <= now.monotonic_ms);
        if due || !self.begun {
            self.begun = true;
            self.again_at_ms = None;
            driver.accept();
        }
    }
}

impl<D: Driver, C: Clock> Shard<D, C> {
    pub(super) fn on_accepted(&mut self, socket: Socket) {
        let Some(slot) = self.table.take(self.now.tick()) else {
            self.counts.add(ShardCount::AcceptedOverLimit, 1);
            return self.driver.discard(socket);
        };
        self.counts.add(ShardCount::Accepted, 1);
        self.driver.open(socket, slot);
    }

    pub(super) fn on_accept_failed(&mut self) {
        self.counts.add(ShardCount::AcceptFailed, 1);
        self.acceptance.again_at_ms = Some(self.now.monotonic_ms + PAUSE_MS);
    }

    /// Refuses new connections from now on; the listener's siblings get them.
    pub(super) fn stop_accepting(&mut self) {
        self.acceptance = Acceptance { again_at_ms: None, begun: true };
        self.driver.stop_accepting();
    }
}
