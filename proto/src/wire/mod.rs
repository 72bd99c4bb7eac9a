//! Client frames of both versions, as `WIRE.md` has them.
//!
//! Received bytes go through [`split()`], which finds one frame of either version. The body of a version 1 frame is then read by
//! [`v1::ClientFrame::decode`] or [`v1::ServerFrame::decode`], that of a version 0 frame by the type in [`v0`] that its frame type calls for.
//! Everything decoded borrows from the bytes; nothing is allocated, but for JSON texts with escapes and contents that are inflated or base64.
//! Everything encodes into a buffer of the caller, and says before how much that is.

mod channel;
mod code;
mod compress;
#[doc(hidden)]
pub mod fuzz;
mod limits;
mod list;
mod push;
mod read;
mod split;
pub mod v0;
pub mod v1;

pub use channel::{ChannelKind, MSG_SEQ_MAX, Position, Target, msg_seq, position_of};
pub use code::{Advice, Code, Fault, WireError};
pub use compress::inflate;
pub use limits::{
    BODY_BYTES_MAX, COMPRESS_ABOVE_BYTES, LOGIN_BODY_BYTES_MAX, MAGIC, NAME_BYTES_MAX,
    RESUME_ENTRIES_MAX,
};
pub use list::{Entry, List, Positions};
pub use push::{EncodedPush, Encoding, tombstone};
pub use split::{RawFrame, Split, split};
