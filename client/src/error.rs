//! Why a request failed.

use crate::core::End;
use gpusher_proto::wire::{Code, WireError};

/// Why a send, join or leave failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The server said no.
    #[error("refused: {}", name(*.0))]
    Refused(u16),
    /// The connection ended before the answer: whether it was done is not known.
    #[error("the connection ended before the answer")]
    Unanswered,
    /// There is no connection at the moment; nothing was sent.
    #[error("not connected")]
    Offline,
    /// Too many requests wait for their answers.
    #[error("too many requests wait for answers")]
    TooMany,
    /// The request breaks a rule of the protocol; nothing was sent.
    #[error("{0}")]
    Invalid(WireError),
    /// The client has ended for good.
    #[error("the client has ended: {0}")]
    Ended(End),
}

/// The name of a code, or its number if this version does not know it.
pub(crate) fn name(code: u16) -> String {
    Code::from_number(code).map_or_else(|| format!("code {code}"), |code| code.name().to_owned())
}
