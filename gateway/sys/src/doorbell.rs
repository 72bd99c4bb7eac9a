//! Who sleeps, and who wakes it: the handshake of a mailbox, without its queue and its eventfd, so that a model checker can try every order of it
//! (`tests/doorbell_under_loom.rs`).
//!
//! A sender first puts its message in, then looks at `sleeping`; the owner first sets `sleeping`, then looks at the queue. A sequentially consistent
//! fence between the two steps on both sides means that at least one of them sees the other: either the owner finds the message and does not
//! sleep, or the sender finds the owner asleep and wakes it. Of several senders, the one that clears `sleeping` does.
//!
//! `sleeping` is only written by read-modify-writes, so that its values follow each other in one order that all agree on. Plain stores by the owner would
//! do as well; but loom lets a swap by a sender come later in that order than a store that it did not read, which no machine does, and reports
//! wake-ups as lost that are not.

use crate::primitive::{AtomicBool, Ordering, fence};

/// Says whether the owner of a mailbox sleeps.
#[derive(Debug)]
pub(crate) struct Doorbell {
    sleeping: AtomicBool,
}

impl Doorbell {
    /// Of an owner that is awake.
    pub(crate) fn new() -> Self {
        Self { sleeping: AtomicBool::new(false) }
    }

    /// For a sender, after it has put its message in: whether it has to wake the owner.
    pub(crate) fn must_ring(&self) -> bool {
        fence(Ordering::SeqCst);
        // A look first: while the owner is awake, senders do not take the cache line from each other.
        self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::Relaxed)
    }

    /// For the owner, before it sleeps: from here on senders ring. False if a message is there already: it must not sleep, and senders need not ring.
    pub(crate) fn may_sleep(&self, is_empty: impl FnOnce() -> bool) -> bool {
        self.sleeping.swap(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let may = is_empty();
        if !may {
            self.awake();
        }
        may
    }

    /// For the owner, after it has slept: senders need not ring any more.
    pub(crate) fn awake(&self) {
        // Mostly a sender has cleared it, or the owner has not slept.
        if self.sleeping.load(Ordering::Relaxed) {
            self.sleeping.swap(false, Ordering::Relaxed);
        }
    }
}
