//! PUSH: the frame that there are most of, with fields that are there only when flagged.

use super::{put_str8, read_kind, str8_bytes};
use crate::gateway::Message;
use crate::wire::channel::{ChannelKind, Position};
use crate::wire::code::WireError;
use crate::wire::read::{Reader, clip_str8};
use bytes::BufMut;

/// Flags of PUSH.
mod flag {
    pub(super) const KEPT: u8 = 0x01;
    pub(super) const EXPIRES: u8 = 0x02;
    pub(super) const TOPIC: u8 = 0x04;
    pub(super) const SENDER: u8 = 0x08;
    pub(super) const ZLIB: u8 = 0x10;
}

/// Fields of PUSH.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Push<'a> {
    /// Which channel, and which message of it.
    pub position: Position,
    /// Unique.
    pub message_id: u64,
    /// To be acknowledged, but for topics.
    pub kept: bool,
    /// Unix milliseconds; none: does not expire.
    pub expires_at_ms: Option<u64>,
    /// Of a push to a topic; else empty.
    pub topic: &'a str,
    /// The user who sent it, if one did; else empty.
    pub sender: &'a str,
    /// The content is a zlib stream.
    pub compressed: bool,
    /// Opaque.
    pub content: &'a [u8],
}

impl<'a> Push<'a> {
    /// The frame for a message, not compressed.
    pub fn of(message: &'a Message) -> Self {
        let kind = ChannelKind::try_from(message.channel).unwrap_or(ChannelKind::Own);
        Self {
            position: Position { kind, seq: message.seq },
            message_id: message.id,
            kept: message.kept,
            expires_at_ms: u64::try_from(message.expires_at_ms).ok().filter(|at_ms| *at_ms != 0),
            topic: clip_str8(&message.topic),
            sender: clip_str8(&message.sender),
            compressed: false,
            content: &message.content,
        }
    }

    pub(super) fn decode(flags: u8, fields: &mut Reader<'a>) -> Result<Self, WireError> {
        let has = |flag| flags & flag != 0;
        let kind = read_kind(fields)?;
        Ok(Self {
            message_id: fields.u64()?,
            position: Position { kind, seq: fields.u64()? },
            kept: has(flag::KEPT),
            expires_at_ms: if has(flag::EXPIRES) { Some(fields.u64()?) } else { None },
            topic: if has(flag::TOPIC) { fields.str8()? } else { "" },
            sender: if has(flag::SENDER) { fields.str8()? } else { "" },
            compressed: has(flag::ZLIB),
            content: fields.rest(),
        })
    }

    pub(super) fn flags(&self) -> u8 {
        [
            (self.kept, flag::KEPT),
            (self.expires_at_ms.is_some(), flag::EXPIRES),
            (!self.topic.is_empty(), flag::TOPIC),
            (!self.sender.is_empty(), flag::SENDER),
            (self.compressed, flag::ZLIB),
        ]
        .into_iter()
        .fold(0, |flags, (on, flag)| if on { flags | flag } else { flags })
    }

    pub(super) fn body_bytes(&self) -> usize {
        let text = |text: &str| if text.is_empty() { 0 } else { str8_bytes(clip_str8(text)) };
        1 + 8
            + 8
            + if self.expires_at_ms.is_some() { 8 } else { 0 }
            + text(self.topic)
            + text(self.sender)
            + self.content.len()
    }

    pub(super) fn encode_body(&self, out: &mut impl BufMut) {
        out.put_u8(self.position.kind as u8);
        out.put_u64(self.message_id);
        out.put_u64(self.position.seq);
        self.expires_at_ms.iter().for_each(|at_ms| out.put_u64(*at_ms));
        for text in [self.topic, self.sender] {
            if !text.is_empty() {
                put_str8(out, clip_str8(text));
            }
        }
        out.put_slice(self.content);
    }
}
