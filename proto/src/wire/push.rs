//! A message and its frames: identical for all receivers, so encoded once and shared.

use super::compress::deflate_if_smaller;
use super::limits::COMPRESS_ABOVE_BYTES;
use super::{channel, v0, v1};
use crate::gateway::Message;
use bytes::Bytes;
use std::sync::OnceLock;

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
    frames: [OnceLock<Bytes>; 3],
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

    /// The frame for connections of this encoding. Two shards that ask at once: one encodes, the other waits for it.
    pub fn frame(&self, encoding: Encoding) -> &Bytes {
        self.frames[encoding as usize].get_or_init(|| match encoding {
            Encoding::V0 => self.encode_v0(),
            Encoding::V1 => v1::ServerFrame::Push(v1::Push::of(&self.message)).to_vec().into(),
            Encoding::V1Zlib => {
                self.encode_v1_zlib().unwrap_or_else(|| self.frame(Encoding::V1).clone())
            }
        })
    }

    fn encode_v0(&self) -> Bytes {
        let push = v0::Push::of(&self.message);
        v0::Frame::from_server(v0::FrameType::General, push.msg_seq, &push.to_json())
            .to_vec()
            .into()
    }

    fn encode_v1_zlib(&self) -> Option<Bytes> {
        if self.message.content.len() <= COMPRESS_ABOVE_BYTES {
            return None;
        }
        let compressed = deflate_if_smaller(&self.message.content)?;
        let push =
            v1::Push { compressed: true, content: &compressed, ..v1::Push::of(&self.message) };
        Some(v1::ServerFrame::Push(push).to_vec().into())
    }
}

/// The frame that withdraws a message (version 1; version 0 has none).
pub fn tombstone(message_id: u64, position: channel::Position) -> Bytes {
    v1::ServerFrame::Recall { message_id, position }.to_vec().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(content: Vec<u8>) -> Message {
        Message { id: 7, seq: 5, r#type: 1, content: content.into(), ..Default::default() }
    }

    #[test]
    fn each_frame_is_made_once_and_is_exactly_as_large_as_it_is() {
        let push = EncodedPush::new(message(b"hello".to_vec()));
        for encoding in [Encoding::V0, Encoding::V1, Encoding::V1Zlib] {
            assert_eq!(push.frame(encoding).as_ptr(), push.frame(encoding).as_ptr());
        }
    }

    #[test]
    fn compressed_only_when_large_and_smaller_else_shared() {
        let small = EncodedPush::new(message(vec![b'a'; COMPRESS_ABOVE_BYTES]));
        let shared = |push: &EncodedPush| {
            push.frame(Encoding::V1Zlib).as_ptr() == push.frame(Encoding::V1).as_ptr()
        };
        assert!(shared(&small));
        let noise = (0..2000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes());
        assert!(shared(&EncodedPush::new(message(noise.collect()))));
        let large = EncodedPush::new(message(vec![b'a'; COMPRESS_ABOVE_BYTES + 1]));
        assert!(!shared(&large));
        assert!(large.frame(Encoding::V1Zlib).len() < 100);
    }
}
