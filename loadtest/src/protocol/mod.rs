//! What the generator must know of a client protocol, and of a way to push. Everything here is bytes in and bytes out: sockets,
//! rates and figures are elsewhere, and the same for all.
//!
//! To teach the generator another server: a file with a [`Protocol`] (what clients speak) and a [`Pusher`] (how messages are
//! offered), and a line for each in [`Name`].

mod frames;
mod goim;
mod http;
mod mqtt;
mod nats;
#[cfg(test)]
mod tests;
mod v0;
mod v1;
mod web;

pub use http::Answers;
pub use web::Web;

use crate::account::Account;
use crate::message::Stamp;
use bytes::Bytes;

/// What clients speak, from their side. One value per thread, for all of its connections; a client is named by its index
/// among all clients of the run.
pub trait Protocol: Send + 'static {
    /// Appends what a client sends as soon as it is connected: its login, and whatever subscribes it to what it should get.
    fn log_in(&mut self, index: u32, out: &mut Vec<u8>);

    /// Reads the whole frames that `bytes` begins with and tells what they mean, in order; returns how many bytes they took.
    /// The rest comes again, with more behind it.
    ///
    /// # Errors
    /// When the bytes are not this protocol: the connection is given up.
    fn read(
        &mut self,
        index: u32,
        bytes: &[u8],
        heard: &mut impl FnMut(Heard),
    ) -> Result<usize, Broken>;

    /// What keeps a connection alive, the same for all; `None` if clients need not say anything.
    fn heartbeat(&self) -> Option<Bytes>;

    /// Appends the acknowledgement of all kept messages up to these sequences, by channel (see [`Heard::Kept`]; 0: nothing to
    /// acknowledge). Protocols that acknowledge each message answer with [`Heard::Reply`] instead.
    fn acknowledge(&self, highest: &[u64; CHANNELS], out: &mut Vec<u8>);

    /// Appends a message of a client to the application. Only called when [`Self::CAN_PUBLISH`].
    fn publish(&mut self, index: u32, content: &str, out: &mut Vec<u8>);

    /// Whether clients can send messages to the application.
    const CAN_PUBLISH: bool;
}

/// Channels with their own sequence that a client acknowledges.
pub const CHANNELS: usize = 3;

/// What the server said.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// The client is logged in and subscribed.
    Welcome,
    /// A message of this generator.
    Message {
        /// What is in it.
        stamp: Stamp,
        /// The server's own order of the channel; 0 where it has none, and the order of the stamps counts.
        sequence: u64,
    },
    /// A kept message, to be acknowledged cumulatively. Told before its [`Heard::Message`].
    Kept {
        /// Below [`CHANNELS`].
        channel: u8,
        /// Rises.
        sequence: u64,
    },
    /// To be sent back.
    Reply(Bytes),
    /// What became of the oldest message that the client published and that was not answered.
    Published {
        /// Whether the server took it.
        accepted: bool,
    },
    /// The login is not taken yet: the client is to come back.
    ComeBack {
        /// When, in milliseconds.
        after_ms: u32,
    },
    /// The login is refused, or the server ends the connection.
    End,
}

/// Bytes that are not the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

/// How messages are offered to a server. One value for all of its connections, which are made when a phase begins; the state of
/// a connection is what has not been answered on it.
pub trait Pusher: Send {
    /// Appends what a new connection begins with.
    fn greet(&mut self, out: &mut Vec<u8>);

    /// Appends one request with at most [`PusherOptions::batch`] pushes.
    fn request(&mut self, pushes: &[Push], out: &mut Vec<u8>);

    /// Reads the whole answers that `bytes` begins with, in the order of their requests; returns how many bytes they took. The
    /// rest comes again, with more behind it.
    ///
    /// # Errors
    /// When the bytes are not the protocol: the connection is given up.
    fn read(&mut self, bytes: &[u8], told: &mut dyn FnMut(Told)) -> Result<usize, Broken>;

    /// Requests on one connection that may wait for their answer at once: 1 for HTTP. `None`: the server answers nothing, and
    /// what its socket took counts as accepted.
    fn unanswered_max(&self) -> Option<u32>;

    /// What the server calls the pushes that it has accepted so far; nothing where it gives them no names, or [`PusherOptions::ids`] did not
    /// ask for them.
    fn ids(&self) -> &[u64] {
        &[]
    }
}

/// A message to be pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Push {
    /// Who gets it.
    pub to: To,
    /// What is in it; see [`Stamp::write`].
    pub stamp: Stamp,
    /// Bytes of content, at least.
    pub size: usize,
    /// Whether it is kept for who is not connected.
    pub kept: bool,
}

/// Receivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// A client, by index.
    User(u32),
    /// Every client of the app.
    App,
    /// Every client of every app.
    Everyone,
    /// A topic's members, by number.
    Topic(u32),
}

/// What the server said to who pushes.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// What became of the oldest request without an answer.
    Answer {
        /// Pushes of it that were taken; the others were refused. More than there were: all.
        accepted: u32,
    },
    /// To be sent back.
    Reply(Bytes),
}

/// Protocols by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// gpusher, version 0: the forerunner's frame.
    #[value(name = "0")]
    V0,
    /// gpusher, version 1.
    #[value(name = "1")]
    V1,
    /// NATS.
    Nats,
    /// MQTT 3.1.1.
    Mqtt,
    /// goim over TCP, pushes by its logic.
    Goim,
}

/// Something to do with a protocol, whichever it is.
pub trait Visitor {
    /// What comes of it.
    type Output;

    /// Does it.
    fn visit<P: Protocol>(self, protocol: P) -> Self::Output;
}

impl Name {
    /// Makes the protocol for a thread.
    pub fn visit<V: Visitor>(self, account: &Account, visitor: V) -> V::Output {
        match self {
            Self::V0 => visitor.visit(v0::V0::new(account)),
            Self::V1 => visitor.visit(v1::V1::new(account)),
            Self::Nats => visitor.visit(nats::Nats::new(account)),
            Self::Mqtt => visitor.visit(mqtt::Mqtt::new(account)),
            Self::Goim => visitor.visit(goim::Goim::new(account)),
        }
    }

    /// Whether the server can be asked what became of a push.
    pub fn has_receipts(self) -> bool {
        matches!(self, Self::V0 | Self::V1)
    }

    /// Whether its clients acknowledge kept messages, and the server counts that.
    pub fn acknowledges(self) -> bool {
        self == Self::V1
    }

    /// Pushes that can share a request.
    pub fn batch_max(self) -> u32 {
        match self {
            Self::V0 | Self::V1 | Self::Nats | Self::Mqtt => u32::MAX,
            Self::Goim => 1,
        }
    }

    /// For reports.
    pub fn describe(self) -> &'static str {
        match self {
            Self::V0 => "gpusher, version 0",
            Self::V1 => "gpusher, version 1",
            Self::Nats => "NATS",
            Self::Mqtt => "MQTT 3.1.1",
            Self::Goim => "goim",
        }
    }

    /// The pusher that goes with it.
    pub fn pusher(self, account: &Account, options: &PusherOptions) -> Box<dyn Pusher> {
        match self {
            Self::V0 | Self::V1 => Box::new(Web::new(account, options)),
            Self::Nats => Box::new(nats::NatsPusher::new(account)),
            Self::Mqtt => Box::new(mqtt::MqttPusher::new(account)),
            Self::Goim => Box::new(goim::GoimPusher::new(account, options)),
        }
    }
}

/// What a pusher is told besides the account.
#[derive(Debug, Clone, Default)]
pub struct PusherOptions {
    /// `host:port` as HTTP's Host header has it.
    pub host: String,
    /// API key, if one is needed.
    pub api_key: Option<String>,
    /// Pushes that share a request, where the server has such requests.
    pub batch: u32,
    /// Whether the server's names of pushes are noted.
    pub ids: bool,
}
