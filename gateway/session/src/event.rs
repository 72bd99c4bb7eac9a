//! What a client wants of the system.

use gpusher_proto::wire::{Position, Positions, Target};

/// Something the shard has to act on, or pass on to logic. Borrowed until the sink returns.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Event<'a> {
    /// The first frame: [`crate::Session::admit`] or [`crate::Session::close`] answers it.
    Login(Login<'a>),
    /// Kept messages up to here are received. Never of a topic.
    Ack(Position),
    /// A message to pass on.
    Upstream(Upstream<'a>),
    /// To be answered by [`crate::Session::answer`].
    Join {
        /// Goes into the answer.
        request: u64,
        /// 1 to 64 bytes.
        topic: &'a str,
        /// Kept messages after this sequence are wanted.
        since: Option<u64>,
    },
    /// To be answered by [`crate::Session::answer`].
    Leave {
        /// Goes into the answer.
        request: u64,
        /// 1 to 64 bytes.
        topic: &'a str,
    },
    /// What is kept and not acknowledged is wanted again; [`crate::Session::synced`] ends it.
    Sync {
        /// Stream id of version 0; none in version 1.
        request: Option<u64>,
    },
    /// The client leaves: close.
    Bye,
}

/// A login, of either version.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Login<'a> {
    /// Of the wire: 0 or 1.
    pub version: u8,
    /// Not 0.
    pub app_id: u32,
    /// 1 to 64 bytes.
    pub user: &'a str,
    /// 0 to 64 bytes; empty in version 0.
    pub device: &'a str,
    /// As presented.
    pub token: &'a str,
    /// The app's tag or a topic, 1 to 64 bytes; empty in version 1.
    pub key: &'a str,
    /// Of the positions; 0: none.
    pub epoch: u64,
    /// Last kept message received, per channel; empty in version 0.
    pub resume: Positions<'a>,
}

/// A client's message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Upstream<'a> {
    /// Goes into the answer.
    pub request: u64,
    /// Where it goes.
    pub target: Target,
    /// User or topic; empty for the application.
    pub name: &'a str,
    /// Inflated and decoded.
    pub content: &'a [u8],
    /// The client wants an answer.
    pub answer: bool,
}
