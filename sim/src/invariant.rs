//! What must hold, by name.

use std::fmt;

macro_rules! invariants {
    ($($(#[doc = $text:literal])+ $variant:ident,)+) => {
        /// A promise that the simulation checks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Invariant { $($(#[doc = $text])+ $variant,)+ }

        impl Invariant {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The promise in words.
            pub fn text(self) -> &'static str {
                match self { $(Self::$variant => concat!($($text),+).trim_ascii(),)+ }
            }
        }
    };
}

invariants! {
    /// No input makes a process panic.
    NoPanic,
    /// What a client reads are whole frames of its version, the login's answer first.
    WellFormed,
    /// A message reaches those it is for and nobody else: a stale connection id never reaches a new peer.
    RightReceiver,
    /// Kept messages of a channel come to a connection in the order of their sequence, repeats aside.
    KeptInOrder,
    /// Live messages of a channel come to a connection in the order of their sequence; on own channels those that were accepted after its login.
    LiveInOrder,
    /// A live message comes to a connection at most once, unless logic was killed before it had committed the record.
    LiveOnce,
    /// A kept message comes to a connection again only after a sync that the client asked for, a spill at its gateway, a redelivery, or a break between its
    /// gateway and logic.
    KeptOnceUnlessSynced,
    /// No byte of a message is given to a socket from its expiry on.
    NothingExpired,
    /// After its tombstone, and once the recall has settled on a gateway, a message is not given to a socket.
    NothingRecalled,
    /// A device's cursor passes a message only if the device has it, or it is expired, recalled, a dead letter, or older than the device.
    CursorBehindReceipt,
    /// Every delivery that logic gives to a link is answered by one Outcome, or its link ends.
    OneOutcome,
    /// What waits in outboxes stays within the limits.
    OutboxBounded,
    /// Once faults have stopped, who is connected gets every kept message that is due, without logging in again.
    ConnectedCatchesUp,
    /// Once faults have stopped and everybody has logged in, every kept message was received, or is expired, recalled or a dead letter.
    KeptIsDelivered,
    /// Without faults, a live message reaches every connection of its audience.
    LiveReachesConnected,
    /// Without faults, every request of a client is answered.
    RequestsAnswered,
    /// A client's message that was answered with done is in the queue, or filed for the application.
    AnsweredIsAccepted,
    /// When every client has gone, nothing is under way: no connection, no route, no job, no byte, no uncommitted record.
    DrainedIsEmpty,
}

/// A promise that was broken.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// How.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, text } = self;
        write!(f, "{invariant:?}: {}\n  {text}", invariant.text())
    }
}
