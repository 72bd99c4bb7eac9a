//! The frames of gpusher's wire, whatever their version.

use super::Broken;
use gpusher_proto::wire::{RawFrame, Split, split};

/// Larger than any body the server sends.
const BODY_BYTES_MAX: u32 = 4 << 20;

/// Hands over the whole frames that `bytes` begins with, in order; returns how many bytes they took.
///
/// # Errors
/// When the bytes are not frames, or one of them is not what the client speaks.
pub(super) fn frames<'a>(
    bytes: &'a [u8],
    mut each: impl FnMut(RawFrame<'a>) -> Result<(), Broken>,
) -> Result<usize, Broken> {
    let mut used = 0;
    loop {
        match split(&bytes[used..], BODY_BYTES_MAX) {
            Ok(Split::Whole { frame, len }) => {
                used += len;
                each(frame)?;
            }
            Ok(Split::Incomplete { .. }) => return Ok(used),
            Err(_) => return Err(Broken),
        }
    }
}
