//! What a core tells its driver and its application.

use bytes::Bytes;
use gpusher_proto::wire::ChannelKind;
use std::fmt;

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Connect, then call `on_connected` or `on_disconnected`.
    Connect(String),
    /// Close the socket; nothing more need be called about it.
    Disconnect,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The login was accepted.
    Online {
        /// Names the connection in the server's logs.
        connection_id: u64,
        /// Channels whose messages between the last one and the first that follows are gone.
        lost: Vec<ChannelKind>,
    },
    /// A message, for the first time.
    Message(Message),
    /// A message is withdrawn: drop it.
    Recalled {
        /// Its id.
        id: u64,
    },
    /// All that was kept has been delivered; what follows is new.
    Synced,
    /// A topic could not be joined again after a reconnect.
    TopicLost {
        /// Its name.
        topic: String,
        /// Why.
        code: u16,
    },
    /// The connection ended; there will be another.
    Offline {
        /// Why, for people.
        reason: String,
        /// Until the next attempt.
        retry_in_ms: u64,
    },
    /// The server wants another token: [`super::Core::set_token`].
    TokenNeeded {
        /// Why, for people.
        reason: String,
    },
    /// It is over; nothing follows.
    Ended(End),
}

/// How a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done: the message's id (send), the topic's last sequence (join), else 0.
    Done(u64),
    /// Not done, with the code.
    Refused(u16),
    /// The connection ended before the answer.
    Unanswered,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Unique.
    pub id: u64,
    /// How it came: for this user, the app, everyone, or a topic.
    pub channel: ChannelKind,
    /// Its place in the channel.
    pub seq: u64,
    /// Is it acknowledged and delivered again, or was this the only chance?
    pub kept: bool,
    /// Unix milliseconds.
    pub expires_at_ms: Option<u64>,
    /// Of a push to a topic; else empty.
    pub topic: String,
    /// The user who sent it, if one did; else empty.
    pub sender: String,
    /// What it says.
    pub content: Bytes,
}

/// What waits for the application.
#[derive(Debug)]
pub(super) enum Queued {
    Event(Event),
    /// A kept message that is known by its id but not by its number: confirmed when its turn comes, because confirming is cumulative.
    Duplicate(Receipt),
}

/// Which kept message is done with.
#[derive(Debug)]
pub(super) struct Receipt {
    pub(super) channel: ChannelKind,
    pub(super) seq: u64,
    pub(super) topic: String,
}

impl Receipt {
    pub(super) fn of(message: &Message) -> Option<Self> {
        let receipt =
            || Self { channel: message.channel, seq: message.seq, topic: message.topic.clone() };
        message.kept.then(receipt)
    }
}

/// Why a client is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The application closed it.
    Closed,
    /// The server does not want it back.
    Dismissed {
        /// From the table of codes.
        code: u16,
        /// For people.
        text: String,
    },
    /// The login as configured breaks a rule of the protocol.
    Unusable(String),
}

impl fmt::Display for End {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => formatter.write_str("closed"),
            Self::Dismissed { code, text } if text.is_empty() => {
                formatter.write_str(&crate::error::name(*code))
            }
            Self::Dismissed { code, text } => {
                write!(formatter, "{}: {text}", crate::error::name(*code))
            }
            Self::Unusable(text) => formatter.write_str(text),
        }
    }
}
