//! What clients send.

use super::{RawFrame, frame_type as types, put_header, put_str8, str8_bytes};
use crate::wire::channel::{ChannelKind, Position, Target};
use crate::wire::code::{Code, WireError};
use crate::wire::limits::RESUME_ENTRIES_MAX;
use crate::wire::list::{Entry, Positions};
use crate::wire::read::{Reader, check_name};
use bytes::BufMut;

/// Flag of JOIN: the field `since` is there.
const JOIN_SINCE: u8 = 0x01;

/// A frame from a client, borrowed from what was received or from whoever sends it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ClientFrame<'a> {
    /// The first frame.
    Login(Login<'a>),
    /// Keeps the connection.
    Heartbeat {
        /// Acknowledgements riding along.
        acks: Positions<'a>,
    },
    /// Acknowledges, cumulatively per channel.
    Ack {
        /// The last message received of each channel.
        positions: Positions<'a>,
    },
    /// A message of the client.
    Send {
        /// Comes back in the ANSWER.
        request: u64,
        /// Where it goes.
        target: Target,
        /// User or topic; empty for the application.
        name: &'a str,
        /// Opaque.
        content: &'a [u8],
    },
    /// Joins a topic.
    Join {
        /// Comes back in the ANSWER.
        request: u64,
        /// 1 to 64 bytes.
        topic: &'a str,
        /// Kept messages after this sequence are wanted.
        since: Option<u64>,
    },
    /// Leaves a topic.
    Leave {
        /// Comes back in the ANSWER.
        request: u64,
        /// 1 to 64 bytes.
        topic: &'a str,
    },
    /// Asks for what is kept and not acknowledged.
    Sync,
    /// The client leaves.
    Bye,
}

/// Fields of LOGIN.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Login<'a> {
    /// Number of the app.
    pub app_id: u32,
    /// 1 to 64 bytes.
    pub user: &'a str,
    /// 0 to 64 bytes; empty: a device without a name.
    pub device: &'a str,
    /// From `POST /v1/token`.
    pub token: &'a str,
    /// What the client can do: bits, see [`super::CAPABILITY_ZLIB`].
    pub capabilities: u8,
    /// What the positions are positions of; 0: none known.
    pub epoch: u64,
    /// Last kept message received, per channel; at most one entry each.
    pub resume: Positions<'a>,
}

impl<'a> ClientFrame<'a> {
    /// Reads a frame.
    ///
    /// # Errors
    /// `unexpected_frame` for a type that clients do not send, `missing_field` for a LOGIN without app id or user, `malformed`.
    pub fn decode(raw: RawFrame<'a>) -> Result<Self, WireError> {
        let known_flags = if raw.frame_type == types::JOIN { JOIN_SINCE } else { 0 };
        if !(types::LOGIN..=types::BYE).contains(&raw.frame_type) {
            return Err(WireError::new(Code::UnexpectedFrame, "not a type that clients send"));
        }
        if raw.flags & !known_flags != 0 {
            return Err(WireError::malformed("unknown flag"));
        }
        let mut fields = Reader::new(raw.body);
        let frame = Self::decode_fields(raw.frame_type, raw.flags, &mut fields)?;
        fields.end()?;
        frame.check()?;
        Ok(frame)
    }

    fn decode_fields(
        frame_type: u8,
        flags: u8,
        fields: &mut Reader<'a>,
    ) -> Result<Self, WireError> {
        Ok(match frame_type {
            types::LOGIN => Self::Login(Login::decode(fields)?),
            types::HEARTBEAT => Self::Heartbeat { acks: Positions::from_client(fields.rest())? },
            types::ACK => Self::Ack { positions: Positions::from_client(fields.rest())? },
            types::SEND => Self::Send {
                request: fields.u64()?,
                target: Target::from_number(fields.u8()?.into())
                    .ok_or(WireError::malformed("unknown target"))?,
                name: fields.str8()?,
                content: fields.rest(),
            },
            types::JOIN => Self::Join {
                request: fields.u64()?,
                topic: fields.str8()?,
                since: if flags & JOIN_SINCE != 0 { Some(fields.u64()?) } else { None },
            },
            types::LEAVE => Self::Leave { request: fields.u64()?, topic: fields.str8()? },
            types::SYNC => Self::Sync,
            _ => Self::Bye,
        })
    }

    /// The rules that both directions share: what this refuses is neither read nor written.
    fn check(&self) -> Result<(), WireError> {
        match self {
            Self::Login(login) => login.check(),
            Self::Heartbeat { acks: positions } | Self::Ack { positions } => {
                check_no_topic(*positions)
            }
            Self::Send { target, name, .. } => target.check_name(name),
            Self::Join { topic, .. } | Self::Leave { topic, .. } => Target::Topic.check_name(topic),
            Self::Sync | Self::Bye => Ok(()),
        }
    }

    fn frame_type(&self) -> u8 {
        match self {
            Self::Login(_) => types::LOGIN,
            Self::Heartbeat { .. } => types::HEARTBEAT,
            Self::Ack { .. } => types::ACK,
            Self::Send { .. } => types::SEND,
            Self::Join { .. } => types::JOIN,
            Self::Leave { .. } => types::LEAVE,
            Self::Sync => types::SYNC,
            Self::Bye => types::BYE,
        }
    }

    /// Bytes that [`Self::encode`] appends.
    pub fn encoded_len(&self) -> usize {
        super::HEADER_BYTES
            + match self {
                Self::Login(login) => login.encoded_len(),
                Self::Heartbeat { acks: positions } | Self::Ack { positions } => {
                    positions.encoded_len()
                }
                Self::Send { name, content, .. } => 8 + 1 + str8_bytes(name) + content.len(),
                Self::Join { topic, since, .. } => {
                    8 + str8_bytes(topic) + if since.is_some() { 8 } else { 0 }
                }
                Self::Leave { topic, .. } => 8 + str8_bytes(topic),
                Self::Sync | Self::Bye => 0,
            }
    }

    /// Appends the frame.
    ///
    /// # Errors
    /// What [`Self::decode`] would refuse; nothing is appended then.
    pub fn encode(&self, out: &mut impl BufMut) -> Result<(), WireError> {
        self.check()?;
        let has_since = matches!(self, Self::Join { since: Some(_), .. });
        let flags = if has_since { JOIN_SINCE } else { 0 };
        put_header(out, self.frame_type(), flags, self.encoded_len() - super::HEADER_BYTES);
        match self {
            Self::Login(login) => login.encode(out),
            Self::Heartbeat { acks: positions } | Self::Ack { positions } => positions.encode(out),
            Self::Send { request, target, name, content } => {
                out.put_u64(*request);
                out.put_u8(*target as u8);
                put_str8(out, name);
                out.put_slice(content);
            }
            Self::Join { request, topic, since } => {
                out.put_u64(*request);
                put_str8(out, topic);
                since.iter().for_each(|since| out.put_u64(*since));
            }
            Self::Leave { request, topic } => {
                out.put_u64(*request);
                put_str8(out, topic);
            }
            Self::Sync | Self::Bye => {}
        }
        Ok(())
    }

    /// The frame in a buffer of exactly its size.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn to_vec(&self) -> Result<Vec<u8>, WireError> {
        let mut out = Vec::with_capacity(self.encoded_len());
        self.encode(&mut out)?;
        Ok(out)
    }
}

impl<'a> Login<'a> {
    fn decode(fields: &mut Reader<'a>) -> Result<Self, WireError> {
        Ok(Self {
            app_id: fields.u32()?,
            user: fields.str8()?,
            device: fields.str8()?,
            token: fields.str16()?,
            capabilities: fields.u8()?,
            epoch: fields.u64()?,
            resume: {
                let entries: usize = fields.u8()?.into();
                Positions::from_client(fields.bytes(entries * Position::BYTES)?)?
            },
        })
    }

    fn check(&self) -> Result<(), WireError> {
        if self.app_id == 0 {
            return Err(WireError::new(Code::MissingField, "app id is required"));
        }
        if self.user.is_empty() {
            return Err(WireError::new(Code::MissingField, "user is required"));
        }
        check_name(self.user, "user is longer than 64 bytes")?;
        check_name(self.device, "device is longer than 64 bytes")?;
        if self.token.len() > u16::MAX.into() {
            return Err(WireError::malformed("token is longer than 65535 bytes"));
        }
        if self.resume.len() > RESUME_ENTRIES_MAX {
            return Err(WireError::malformed("more than three channels to resume"));
        }
        check_no_topic(self.resume)?;
        let mut seen = [false; RESUME_ENTRIES_MAX];
        for position in self.resume.iter() {
            if std::mem::replace(&mut seen[position.kind as usize], true) {
                return Err(WireError::malformed("a channel to resume is named twice"));
            }
        }
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        4 + str8_bytes(self.user)
            + str8_bytes(self.device)
            + (2 + self.token.len())
            + 1
            + 8
            + 1
            + self.resume.encoded_len()
    }

    fn encode(&self, out: &mut impl BufMut) {
        out.put_u32(self.app_id);
        put_str8(out, self.user);
        put_str8(out, self.device);
        out.put_u16(u16::try_from(self.token.len()).expect("checked"));
        out.put_slice(self.token.as_bytes());
        out.put_u8(self.capabilities);
        out.put_u64(self.epoch);
        out.put_u8(u8::try_from(self.resume.len()).expect("checked"));
        self.resume.encode(out);
    }
}

/// A topic's position is the client's own: it is neither acknowledged nor resumed.
fn check_no_topic(positions: Positions<'_>) -> Result<(), WireError> {
    if positions.iter().any(|position| position.kind == ChannelKind::Topic) {
        return Err(WireError::malformed("topics have no position here"));
    }
    Ok(())
}
