//! What the server sends. Texts that are too long for their field are cut: the server has nobody to refuse them to.

use super::push::Push;
use super::{RawFrame, frame_type as types, put_header, put_str8, read_kind, str8_bytes};
use crate::wire::channel::{ChannelKind, Position};
use crate::wire::code::{Advice, Code, WireError};
use crate::wire::list::{Entry, List, Positions};
use crate::wire::read::{Reader, clip_str8};
use bytes::BufMut;

/// A frame from the server, borrowed from what was received or from whoever sends it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ServerFrame<'a> {
    /// Answers a HEARTBEAT.
    Heartbeat,
    /// The login is accepted.
    Welcome(Welcome<'a>),
    /// A message.
    Push(Push<'a>),
    /// What became of a SEND, JOIN or LEAVE.
    Answer {
        /// Of the request.
        request: u64,
        /// From the table of codes; 0: done.
        code: u16,
        /// Message id (SEND), last sequence of the topic (JOIN), else 0.
        value: u64,
    },
    /// A message is withdrawn.
    Recall {
        /// Its id.
        message_id: u64,
        /// Where it was.
        position: Position,
    },
    /// The replay is complete.
    Synced {
        /// Up to here.
        positions: Positions<'a>,
    },
    /// Finish and reconnect.
    GoAway(GoAway<'a>),
    /// The end, and why.
    Close(Close<'a>),
    /// A type that this version of the crate does not know: to be ignored.
    Unknown {
        /// The type.
        frame_type: u8,
    },
}

/// Fields of WELCOME.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Welcome<'a> {
    /// Names the connection in logs.
    pub connection_id: u64,
    /// What sequence numbers belong to.
    pub epoch: u64,
    /// A heartbeat is due after this much silence.
    pub heartbeat_interval_s: u16,
    /// Longest delay of an acknowledgement, in units of 10 ms.
    pub ack_delay_10ms: u16,
    /// Largest body that the server takes.
    pub body_bytes_max: u32,
    /// Capabilities in force, see [`super::CAPABILITY_ZLIB`].
    pub capabilities: u8,
    /// How resuming went.
    pub resumed: List<'a, Resume>,
}

/// How resuming went on one channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resume {
    /// Which.
    pub kind: ChannelKind,
    /// How.
    pub result: ResumeResult,
    /// When resumed, the one that the client named; else where the replay starts.
    pub seq: u64,
}

/// Whether a client gets all that it missed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum ResumeResult {
    /// All after the sequence follows.
    Resumed = 0,
    /// The epoch is another: the log begins anew.
    OtherEpoch = 1,
    /// The log no longer reaches back that far.
    TooOld = 2,
}

impl ResumeResult {
    /// Reads the number.
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Resumed),
            1 => Some(Self::OtherEpoch),
            2 => Some(Self::TooOld),
            _ => None,
        }
    }
}

impl Entry for Resume {
    const BYTES: usize = 10;

    fn read(bytes: &[u8]) -> Option<Self> {
        let [kind, result, seq @ ..] = bytes else { return None };
        Some(Self {
            kind: ChannelKind::try_from(i32::from(*kind)).ok()?,
            result: ResumeResult::from_number(*result)?,
            seq: u64::from_be_bytes(seq.try_into().ok()?),
        })
    }

    fn write(&self, out: &mut impl BufMut) {
        out.put_u8(self.kind as u8);
        out.put_u8(self.result as u8);
        out.put_u64(self.seq);
    }
}

/// Fields of GOAWAY.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GoAway<'a> {
    /// From the table of codes.
    pub reason: u16,
    /// Until the server closes.
    pub close_in_ms: u32,
    /// When to reconnect.
    pub reconnect_after_ms: u32,
    /// host:port, or empty: the same.
    pub target: &'a str,
}

/// Fields of CLOSE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Close<'a> {
    /// From the table of codes.
    pub reason: u16,
    /// What to do next.
    pub advice: Advice,
    /// Before reconnecting.
    pub delay_ms: u32,
    /// host:port, or empty: the same.
    pub target: &'a str,
    /// For people.
    pub text: &'a str,
}

impl<'a> Close<'a> {
    /// With the advice that the table has for the code; no delay, no target.
    pub fn of(code: Code, text: &'a str) -> Self {
        let advice = code.advice().unwrap_or(Advice::Reconnect);
        Self { reason: code.number(), advice, delay_ms: 0, target: "", text }
    }
}

impl<'a> ServerFrame<'a> {
    /// Reads a frame. Flags that are not known, and bytes after the last known field, are ignored: a newer server may have more to say.
    ///
    /// # Errors
    /// `malformed`.
    pub fn decode(raw: RawFrame<'a>) -> Result<Self, WireError> {
        let fields = &mut Reader::new(raw.body);
        Ok(match raw.frame_type {
            types::HEARTBEAT => Self::Heartbeat,
            types::WELCOME => Self::Welcome(Welcome::decode(fields)?),
            types::PUSH => Self::Push(Push::decode(raw.flags, fields)?),
            types::ANSWER => {
                Self::Answer { request: fields.u64()?, code: fields.u16()?, value: fields.u64()? }
            }
            types::RECALL => {
                let kind = read_kind(fields)?;
                let message_id = fields.u64()?;
                Self::Recall { message_id, position: Position { kind, seq: fields.u64()? } }
            }
            types::SYNCED => Self::Synced { positions: Positions::from_wire(fields.rest())? },
            types::GOAWAY => Self::GoAway(GoAway {
                reason: fields.u16()?,
                close_in_ms: fields.u32()?,
                reconnect_after_ms: fields.u32()?,
                target: fields.str8()?,
            }),
            types::CLOSE => Self::Close(Close {
                reason: fields.u16()?,
                advice: Advice::from_number(fields.u8()?),
                delay_ms: fields.u32()?,
                target: fields.str8()?,
                text: fields.str8()?,
            }),
            frame_type => Self::Unknown { frame_type },
        })
    }

    fn frame_type(&self) -> u8 {
        match self {
            Self::Heartbeat => types::HEARTBEAT,
            Self::Welcome(_) => types::WELCOME,
            Self::Push(_) => types::PUSH,
            Self::Answer { .. } => types::ANSWER,
            Self::Recall { .. } => types::RECALL,
            Self::Synced { .. } => types::SYNCED,
            Self::GoAway(_) => types::GOAWAY,
            Self::Close(_) => types::CLOSE,
            Self::Unknown { frame_type } => *frame_type,
        }
    }

    /// Bytes that [`Self::encode`] appends.
    pub fn encoded_len(&self) -> usize {
        super::HEADER_BYTES
            + match self {
                Self::Heartbeat | Self::Unknown { .. } => 0,
                Self::Welcome(welcome) => 8 + 8 + 2 + 2 + 4 + 1 + 1 + welcome.resumed.encoded_len(),
                Self::Push(push) => push.body_bytes(),
                Self::Answer { .. } => 8 + 2 + 8,
                Self::Recall { .. } => 1 + 8 + 8,
                Self::Synced { positions } => positions.encoded_len(),
                Self::GoAway(go_away) => 2 + 4 + 4 + str8_bytes(clip_str8(go_away.target)),
                Self::Close(close) => {
                    2 + 1
                        + 4
                        + str8_bytes(clip_str8(close.target))
                        + str8_bytes(clip_str8(close.text))
                }
            }
    }

    /// Appends the frame.
    pub fn encode(&self, out: &mut impl BufMut) {
        let flags = if let Self::Push(push) = self { push.flags() } else { 0 };
        put_header(out, self.frame_type(), flags, self.encoded_len() - super::HEADER_BYTES);
        match self {
            Self::Heartbeat | Self::Unknown { .. } => {}
            Self::Welcome(welcome) => welcome.encode_body(out),
            Self::Push(push) => push.encode_body(out),
            Self::Answer { request, code, value } => {
                out.put_u64(*request);
                out.put_u16(*code);
                out.put_u64(*value);
            }
            Self::Recall { message_id, position } => {
                out.put_u8(position.kind as u8);
                out.put_u64(*message_id);
                out.put_u64(position.seq);
            }
            Self::Synced { positions } => positions.encode(out),
            Self::GoAway(go_away) => {
                out.put_u16(go_away.reason);
                out.put_u32(go_away.close_in_ms);
                out.put_u32(go_away.reconnect_after_ms);
                put_str8(out, clip_str8(go_away.target));
            }
            Self::Close(close) => {
                out.put_u16(close.reason);
                out.put_u8(close.advice.number());
                out.put_u32(close.delay_ms);
                put_str8(out, clip_str8(close.target));
                put_str8(out, clip_str8(close.text));
            }
        }
    }

    /// The frame in a buffer of exactly its size.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        self.encode(&mut out);
        out
    }
}

impl<'a> Welcome<'a> {
    fn decode(fields: &mut Reader<'a>) -> Result<Self, WireError> {
        Ok(Self {
            connection_id: fields.u64()?,
            epoch: fields.u64()?,
            heartbeat_interval_s: fields.u16()?,
            ack_delay_10ms: fields.u16()?,
            body_bytes_max: fields.u32()?,
            capabilities: fields.u8()?,
            resumed: {
                let entries: usize = fields.u8()?.into();
                List::from_wire(fields.bytes(entries * Resume::BYTES)?)?
            },
        })
    }

    fn encode_body(&self, out: &mut impl BufMut) {
        out.put_u64(self.connection_id);
        out.put_u64(self.epoch);
        out.put_u16(self.heartbeat_interval_s);
        out.put_u16(self.ack_delay_10ms);
        out.put_u32(self.body_bytes_max);
        out.put_u8(self.capabilities);
        out.put_u8(u8::try_from(self.resumed.len()).expect("one entry a channel"));
        self.resumed.encode(out);
    }
}
