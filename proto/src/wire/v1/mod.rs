//! Version 1: a header of 8 bytes, then fields in a fixed order (`WIRE.md` section 3).

mod client;
mod push;
mod server;

pub use client::{ClientFrame, Login};
pub use push::Push;
pub use server::{Close, GoAway, Resume, ResumeResult, ServerFrame, Welcome};

use super::channel::ChannelKind;
use super::code::WireError;
use super::limits::MAGIC;
use super::read::Reader;
use super::split::{RawFrame as AnyFrame, Split, check_length};
use bytes::BufMut;

/// The second byte of a frame.
pub const VERSION: u8 = 1;
/// Bytes before the fields.
pub const HEADER_BYTES: usize = 8;
/// Capability bit: the client inflates zlib contents.
pub const CAPABILITY_ZLIB: u8 = 0x01;

/// Type numbers, of both directions.
pub mod frame_type {
    #![allow(missing_docs)]
    pub const LOGIN: u8 = 0x01;
    pub const HEARTBEAT: u8 = 0x02;
    pub const ACK: u8 = 0x03;
    pub const SEND: u8 = 0x04;
    pub const JOIN: u8 = 0x05;
    pub const LEAVE: u8 = 0x06;
    pub const SYNC: u8 = 0x07;
    pub const BYE: u8 = 0x08;
    pub const WELCOME: u8 = 0x81;
    pub const PUSH: u8 = 0x82;
    pub const ANSWER: u8 = 0x83;
    pub const RECALL: u8 = 0x84;
    pub const SYNCED: u8 = 0x85;
    pub const GOAWAY: u8 = 0x86;
    pub const CLOSE: u8 = 0x87;
}

/// A frame whose fields have not been looked at: [`ClientFrame::decode`] and [`ServerFrame::decode`] do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RawFrame<'a> {
    /// See [`frame_type`].
    pub frame_type: u8,
    /// Meaning depends on the type.
    pub flags: u8,
    /// Everything after the header.
    pub body: &'a [u8],
}

/// [`super::split()`] for bytes that begin with this version's prefix.
pub(super) fn split(bytes: &[u8], body_bytes_max: u32) -> Result<Split<'_>, WireError> {
    let Some((header, after)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Ok(Split::Incomplete { need: HEADER_BYTES });
    };
    let mut fields = Reader::new(&header[2..]);
    let (frame_type, flags) = (fields.u8()?, fields.u8()?);
    let body_bytes = check_length(fields.u32()?, body_bytes_max)?;
    let len = HEADER_BYTES + body_bytes;
    let Some(body) = after.get(..body_bytes) else {
        return Ok(Split::Incomplete { need: len });
    };
    Ok(Split::Whole { frame: AnyFrame::V1(RawFrame { frame_type, flags, body }), len })
}

fn put_header(out: &mut impl BufMut, frame_type: u8, flags: u8, body_bytes: usize) {
    out.put_u8(MAGIC);
    out.put_u8(VERSION);
    out.put_u8(frame_type);
    out.put_u8(flags);
    out.put_u32(u32::try_from(body_bytes).expect("bodies are far below 4 GiB"));
}

/// The text must have been checked or clipped.
fn put_str8(out: &mut impl BufMut, text: &str) {
    out.put_u8(u8::try_from(text.len()).expect("checked to be short"));
    out.put_slice(text.as_bytes());
}

fn str8_bytes(text: &str) -> usize {
    1 + text.len()
}

fn read_kind(fields: &mut Reader<'_>) -> Result<ChannelKind, WireError> {
    ChannelKind::try_from(i32::from(fields.u8()?))
        .map_err(|_| WireError::malformed("unknown channel"))
}
