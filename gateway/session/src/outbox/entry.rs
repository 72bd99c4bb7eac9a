//! The vocabulary of the outbox.

use bytes::Bytes;
use gpusher_proto::gateway::{Message, SlowPolicy};
use gpusher_proto::wire::{ChannelKind, Position};

/// A frame that waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry<T> {
    /// Shared with all other receivers. Not empty.
    pub frame: Bytes,
    /// For recalls; 0 for control frames.
    pub message_id: u64,
    /// Channel and sequence; of no meaning for control frames.
    pub position: Position,
    /// What becomes of it when there is no room.
    pub class: Class,
    /// Unix milliseconds; 0: never.
    pub expires_at_ms: u64,
    /// Whose outcome it counts for.
    pub job: T,
}

impl<T> Entry<T> {
    /// An answer, a heartbeat, a farewell: anything that is no message.
    pub fn control(frame: Bytes, job: T) -> Self {
        let position = Position { kind: ChannelKind::Own, seq: 0 };
        Self { frame, message_id: 0, position, class: Class::Control, expires_at_ms: 0, job }
    }

    /// A message, with its frame in the connection's encoding.
    pub fn message(message: &Message, frame: Bytes, job: T) -> Self {
        let kind = ChannelKind::try_from(message.channel).unwrap_or(ChannelKind::Own);
        Self {
            frame,
            message_id: message.id,
            position: Position { kind, seq: message.seq },
            class: Class::of(message),
            expires_at_ms: u64::try_from(message.expires_at_ms).unwrap_or(0),
            job,
        }
    }

    pub(super) fn is_kept(&self) -> bool {
        self.class == Class::Kept
    }
}

/// What becomes of an entry that finds no room.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// No message. Has a limit of its own, beyond which the connection closes.
    Control,
    /// Dropped by policy.
    Live(SlowPolicy),
    /// Spilled: logic replays it. Never of a topic.
    Kept,
}

impl Class {
    /// A topic's kept message counts as live here: where a client is in a topic is known to nobody else, so nobody could replay from a gap.
    pub fn of(message: &Message) -> Self {
        if message.kept && message.channel != ChannelKind::Topic as i32 {
            Self::Kept
        } else {
            Self::Live(SlowPolicy::try_from(message.slow).unwrap_or(SlowPolicy::DropOldest))
        }
    }
}

/// Which queue.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lane {
    /// May be written: no replay is under way, or this is part of it.
    Pass,
    /// Waits for [`super::Outbox::release`].
    Hold,
}

/// What one outbox may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutboxLimits {
    /// Of messages; exceeded by one frame at most, see [`super::Outbox::offer`].
    pub bytes_max: usize,
    /// Of messages.
    pub entries_max: usize,
    /// Of control frames.
    pub control_bytes_max: usize,
}

impl Default for OutboxLimits {
    fn default() -> Self {
        Self { bytes_max: 256 << 10, entries_max: 1024, control_bytes_max: 32 << 10 }
    }
}

/// What became of an offer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use]
pub enum Offered {
    /// It waits.
    Queued,
    /// It was dropped or spilled.
    Refused,
    /// It was dropped, and the connection is to be closed as a slow consumer.
    Close,
}

/// Why an entry left without being written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Removal {
    /// No room: gone.
    Overflowed,
    /// No room: to be replayed.
    Spilled,
    /// Its time is over.
    Expired,
    /// It was withdrawn.
    Recalled,
    /// A replay has brought it already.
    Duplicate,
}

/// The first message of each channel (own, app, everyone) that is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Gap([Option<u64>; 3]);

const KINDS: [ChannelKind; 3] = [ChannelKind::Own, ChannelKind::App, ChannelKind::Everyone];

impl Gap {
    /// Sequence of the first one missing in the channel.
    pub fn of(&self, kind: ChannelKind) -> Option<u64> {
        self.0.get(kind as usize).copied().flatten()
    }

    /// No message is missing.
    pub fn is_empty(&self) -> bool {
        self.0 == [None; 3]
    }

    /// Those channels that have one.
    pub fn positions(&self) -> impl Iterator<Item = Position> + use<> {
        let gap = *self;
        KINDS.into_iter().filter_map(move |kind| Some(Position { kind, seq: gap.of(kind)? }))
    }

    /// # Panics
    /// For a topic's position: see [`Class::of`].
    pub(super) fn include(&mut self, position: Position) {
        let first = &mut self.0[position.kind as usize];
        *first = Some(first.map_or(position.seq, |seq| seq.min(position.seq)));
    }

    /// Nothing up to the position is missing; `last` is the last that is.
    pub(super) fn close(&mut self, through: Position, last: u64) {
        let first = &mut self.0[through.kind as usize];
        let missing = first.filter(|_| last > through.seq);
        *first = missing.map(|first| first.max(through.seq + 1));
    }

    pub(super) fn merge(&mut self, other: Self) {
        other.positions().for_each(|position| self.include(position));
    }
}
