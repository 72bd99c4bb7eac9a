//! What must hold, by name.

use std::fmt;

macro_rules! invariants {
    ($($(#[doc = $text:literal])+ $section:literal $variant:ident,)+) => {
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

            /// The section of docs/DELIVERY.md that makes it.
            pub fn section(self) -> &'static str {
                match self { $(Self::$variant => $section,)+ }
            }
        }
    };
}

invariants! {
    /// No input makes a process panic.
    "When it is over" NoPanic,
    /// What a client reads are whole frames of its version, the login's answer first.
    "When it is over" WellFormed,
    /// A message reaches those it is for and nobody else: a stale connection id never reaches a new peer.
    "Receivers" RightReceiver,
    /// Kept messages of a channel come to a connection in the order of their sequence, repeats aside.
    "Order" KeptInOrder,
    /// Live messages of a channel come to a connection in the order of their sequence; on own channels those that were accepted after its login.
    "Order" LiveInOrder,
    /// A live message comes to a connection at most once, and once more for each logic that was killed before it had committed the record.
    "Duplicates" LiveOnce,
    /// A kept message comes to a connection again only after a sync that the client asked for, a spill at its gateway, a redelivery, a break between its
    /// gateway and logic, or when logic was killed before it had committed the record.
    "Duplicates" KeptOnceUnlessSynced,
    /// No byte of a message is given to a socket from its expiry on.
    "Expiry and recall" NothingExpired,
    /// After its tombstone, and once the recall has settled on a gateway, a message is not given to a socket.
    "Expiry and recall" NothingRecalled,
    /// A device's cursor passes a message only if the device has it, or it is expired, recalled, a dead letter, or older than the device.
    "Cursors" CursorBehindReceipt,
    /// Every delivery that logic gives to a link is answered by one Outcome, or its link ends.
    "When it is over" OneOutcome,
    /// What waits in outboxes stays within the limits.
    "Bounds" OutboxBounded,
    /// Once faults have stopped, who is connected gets every kept message that is due, without logging in again.
    "Receivers" ConnectedCatchesUp,
    /// Who is connected and stays gets every kept message accepted since its welcome, whatever other connections of the same device had.
    "Receivers" KeptReachesConnected,
    /// Once faults have stopped and everybody has logged in, every kept message was received, or is expired, recalled or a dead letter.
    "Receivers" KeptIsDelivered,
    /// Without faults, a live message reaches every connection of its audience.
    "Receivers" LiveReachesConnected,
    /// Without faults, every request of a client is answered.
    "Requests" RequestsAnswered,
    /// A client's message that was answered with done is in the queue, or filed for the application.
    "Acceptance" AnsweredIsAccepted,
    /// When every client has gone, nothing is under way: no connection, no route, no job, no byte, no uncommitted record.
    "When it is over" DrainedIsEmpty,
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
        let (promise, section) = (invariant.text(), invariant.section());
        write!(f, "{invariant:?}: {promise} (docs/DELIVERY.md, {section})\n  {text}")
    }
}
