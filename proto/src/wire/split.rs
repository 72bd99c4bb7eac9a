//! Finds the frames in a stream of bytes, of either version.

use super::code::{Code, WireError};
use super::limits::MAGIC;
use super::{v0, v1};

/// What the bytes begin with.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Split<'a> {
    /// Part of a frame.
    Incomplete {
        /// Nothing more can be said with fewer bytes than this from the frame's start: the length of its header, or, once
        /// that is here, of the whole frame.
        need: usize,
    },
    /// A frame, whose body follows the body rules of its type or not.
    Whole {
        /// The frame.
        frame: RawFrame<'a>,
        /// Bytes it takes.
        len: usize,
    },
}

/// A frame of either version, its body not looked into.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum RawFrame<'a> {
    /// Version 0.
    V0(v0::Frame<'a>),
    /// Version 1.
    V1(v1::RawFrame<'a>),
}

/// Shorter than any header, but names the version.
const PREFIX_BYTES: usize = 2;

/// Looks at the first frame of `bytes`. Allocates nothing; rules are checked as soon as the bytes they are about are there.
///
/// # Errors
/// `bad_magic`, `bad_version`, `too_large` when the header announces more than `body_bytes_max`, `malformed` for a field of
/// version 0's header that is out of range.
pub fn split(bytes: &[u8], body_bytes_max: u32) -> Result<Split<'_>, WireError> {
    let Some((&magic, rest)) = bytes.split_first() else {
        return Ok(Split::Incomplete { need: PREFIX_BYTES });
    };
    if magic != MAGIC {
        return Err(WireError::new(Code::BadMagic, "frame does not begin with 0x45"));
    }
    match rest.first() {
        None => Ok(Split::Incomplete { need: PREFIX_BYTES }),
        Some(&v0::VERSION) => v0::split(bytes, body_bytes_max),
        Some(&v1::VERSION) => v1::split(bytes, body_bytes_max),
        Some(_) => Err(WireError::new(Code::BadVersion, "version is neither 0 nor 1")),
    }
}

/// Checks an announced length.
pub(super) fn check_length(length: u32, body_bytes_max: u32) -> Result<usize, WireError> {
    if length > body_bytes_max {
        return Err(WireError::new(Code::TooLarge, "body is longer than allowed"));
    }
    Ok(length as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_much_it_needs() {
        assert_eq!(split(&[], 0), Ok(Split::Incomplete { need: 2 }));
        assert_eq!(split(&[0x45], 0), Ok(Split::Incomplete { need: 2 }));
        assert_eq!(split(&[0x45, 1], 0), Ok(Split::Incomplete { need: 8 }));
        assert_eq!(split(&[0x45, 0], 0), Ok(Split::Incomplete { need: 21 }));
        let header = [0x45, 1, 2, 0, 0, 0, 0, 9];
        assert_eq!(split(&header, 9), Ok(Split::Incomplete { need: 17 }));
        assert_eq!(split(&header, 8).map_err(|error| error.code), Err(Code::TooLarge));
    }

    #[test]
    fn refuses_at_the_first_wrong_byte() {
        assert_eq!(split(&[0x44], 0).map_err(|error| error.code), Err(Code::BadMagic));
        assert_eq!(split(&[0x45, 2], 0).map_err(|error| error.code), Err(Code::BadVersion));
    }
}
