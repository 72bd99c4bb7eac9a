//! Takes fields off the front of a body. Nothing here allocates, and nothing reads past the end.

use super::code::WireError;
use super::limits::NAME_BYTES_MAX;

/// What is left of a body.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

const TRUNCATED: WireError = WireError::malformed("body ends within a field");
const NOT_UTF8: WireError = WireError::malformed("text is not utf-8");

impl<'a> Reader<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, WireError> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn str8(&mut self) -> Result<&'a str, WireError> {
        let length = self.u8()?;
        self.text(length.into())
    }

    pub(crate) fn str16(&mut self) -> Result<&'a str, WireError> {
        let length = self.u16()?;
        self.text(length.into())
    }

    fn text(&mut self, length: usize) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes(length)?).map_err(|_| NOT_UTF8)
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// For frames whose fields fill the body.
    pub(crate) fn end(self) -> Result<(), WireError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(WireError::malformed("bytes after the last field"))
        }
    }
}

/// The rule for users, topics and keys.
pub(crate) fn check_name(name: &str, too_long: &'static str) -> Result<(), WireError> {
    if name.len() > NAME_BYTES_MAX { Err(WireError::malformed(too_long)) } else { Ok(()) }
}

/// The longest beginning of a text that a `str8` holds: for what the server says and cannot have refused.
pub(crate) fn clip_str8(text: &str) -> &str {
    &text[..text.floor_char_boundary(u8::MAX.into())]
}
