//! Channels, positions in them, and the one number that version 0 has for both.

use super::code::WireError;
use super::read::check_name;
pub use crate::gateway::ChannelKind;

/// A sequence number in a channel of the connection's user.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Position {
    /// Which channel.
    pub kind: ChannelKind,
    /// Which message of it, or the last of a range.
    pub seq: u64,
}

impl From<Position> for crate::gateway::Position {
    fn from(position: Position) -> Self {
        Self { channel: position.kind.into(), seq: position.seq }
    }
}

/// Sequence numbers have this many bits in a `msgSeq`: three more make every value exact in a double.
const SEQ_BITS: u32 = 50;
/// The largest sequence number that a `msgSeq` holds.
pub const MSG_SEQ_MAX: u64 = (1 << SEQ_BITS) - 1;

/// Version 0's number for a message: `kind × 2^50 + sequence`. Sequences beyond [`MSG_SEQ_MAX`] (a million messages a
/// second for 35 years) stay there.
pub fn msg_seq(kind: ChannelKind, seq: u64) -> u64 {
    ((kind as u64) << SEQ_BITS) | seq.min(MSG_SEQ_MAX)
}

/// Inverse of [`msg_seq`]; none for numbers that are no message's.
pub fn position_of(msg_seq: u64) -> Option<Position> {
    let kind = i32::try_from(msg_seq >> SEQ_BITS).ok()?;
    let kind = ChannelKind::try_from(kind).ok()?;
    Some(Position { kind, seq: msg_seq & MSG_SEQ_MAX })
}

/// Where a client's message goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Target {
    /// The application that the user belongs to.
    Application = 0,
    /// Another user of the same app.
    User = 1,
    /// Who has joined a topic.
    Topic = 4,
}

impl Target {
    /// Reads the number that both versions use.
    pub fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Application),
            1 => Some(Self::User),
            4 => Some(Self::Topic),
            _ => None,
        }
    }

    /// Names are 1 to 64 bytes, and the application has none.
    pub(crate) fn check_name(self, name: &str) -> Result<(), WireError> {
        match self {
            Self::Application if name.is_empty() => Ok(()),
            Self::Application => Err(WireError::malformed("the application has no name")),
            _ if name.is_empty() => Err(WireError::malformed("name of the target is empty")),
            _ => check_name(name, "name of the target is longer than 64 bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn msg_seq_is_exact_in_a_double_and_comes_back() {
        for kind in [ChannelKind::Own, ChannelKind::App, ChannelKind::Everyone, ChannelKind::Topic]
        {
            for seq in [0, 1, 5, MSG_SEQ_MAX] {
                let number = msg_seq(kind, seq);
                assert_eq!(number as f64 as u64, number);
                assert_eq!(position_of(number), Some(Position { kind, seq }));
            }
        }
        assert_eq!(msg_seq(ChannelKind::Own, 5), 5);
        assert_eq!(msg_seq(ChannelKind::Own, u64::MAX), MSG_SEQ_MAX);
        assert_eq!(position_of(4 << SEQ_BITS), None);
        assert_eq!(position_of(u64::MAX), None);
    }
}
