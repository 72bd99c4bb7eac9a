//! Version 0: the forerunner's header of 21 bytes, then a body, mostly JSON (`WIRE.md` section 2).

mod body;

pub use body::{Answer, Login, Push, Refusal, Upstream};

use super::code::WireError;
use super::limits::MAGIC;
use super::read::Reader;
use super::split::{RawFrame, Split, check_length};
use bytes::BufMut;

/// The second byte of a frame.
pub const VERSION: u8 = 0;
/// Bytes before the body.
pub const HEADER_BYTES: usize = 21;

/// What a frame is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum FrameType {
    /// A message, or a refused login.
    General = 0,
    /// Keeps the connection; also the answer to a login.
    Heartbeat = 1,
    /// Acknowledges a push, or answers an upstream message.
    Ack = 2,
    /// Asks for kept messages, or says that they have all been sent.
    Sync = 3,
}

impl FrameType {
    fn from_number(number: u8) -> Option<Self> {
        [Self::General, Self::Heartbeat, Self::Ack, Self::Sync]
            .into_iter()
            .find(|known| *known as u8 == number)
    }
}

/// A frame of version 0, in either direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// What it is for.
    pub frame_type: FrameType,
    /// Request type 0: the sender of an upstream message wants to know what became of it.
    pub wants_answer: bool,
    /// The body is a zlib stream.
    pub compressed: bool,
    /// Number of the message.
    pub stream_id: u64,
    /// The body as it is on the wire.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// A frame as clients send it: it wants an answer, and is not compressed.
    pub fn from_client(frame_type: FrameType, stream_id: u64, body: &'a [u8]) -> Self {
        Self { frame_type, wants_answer: true, compressed: false, stream_id, body }
    }

    /// A frame as the server sends it: it wants no answer, and is not compressed.
    pub fn from_server(frame_type: FrameType, stream_id: u64, body: &'a [u8]) -> Self {
        Self { frame_type, wants_answer: false, compressed: false, stream_id, body }
    }

    /// Bytes that [`Self::encode`] appends.
    pub fn encoded_len(&self) -> usize {
        HEADER_BYTES + self.body.len()
    }

    /// Appends the frame. The body must be shorter than 4 GiB.
    pub fn encode(&self, out: &mut impl BufMut) {
        out.put_u8(MAGIC);
        out.put_u8(VERSION);
        out.put_u8(self.frame_type as u8);
        out.put_u8(u8::from(!self.wants_answer));
        out.put_u8(u8::from(self.compressed));
        out.put_u64(self.stream_id);
        out.put_u32(u32::try_from(self.body.len()).expect("bodies are far below 4 GiB"));
        out.put_u32(0);
        out.put_slice(self.body);
    }

    /// The frame in a buffer of exactly its size.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        self.encode(&mut out);
        out
    }
}

/// [`super::split()`] for bytes that begin with this version's prefix.
pub(super) fn split(bytes: &[u8], body_bytes_max: u32) -> Result<Split<'_>, WireError> {
    let Some((header, after)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Ok(Split::Incomplete { need: HEADER_BYTES });
    };
    let mut fields = Reader::new(&header[2..]);
    let (frame_type, request, compression) = (fields.u8()?, fields.u8()?, fields.u8()?);
    let stream_id = fields.u64()?;
    let body_bytes = check_length(fields.u32()?, body_bytes_max)?;
    let frame_type =
        FrameType::from_number(frame_type).ok_or(WireError::malformed("unknown message type"))?;
    if request > 1 {
        return Err(WireError::malformed("unknown request type"));
    }
    if compression > 1 {
        return Err(WireError::malformed("unknown compression"));
    }
    let len = HEADER_BYTES + body_bytes;
    let Some(body) = after.get(..body_bytes) else {
        return Ok(Split::Incomplete { need: len });
    };
    let (wants_answer, compressed) = (request == 0, compression == 1);
    let frame = Frame { frame_type, wants_answer, compressed, stream_id, body };
    Ok(Split::Whole { frame: RawFrame::V0(frame), len })
}
