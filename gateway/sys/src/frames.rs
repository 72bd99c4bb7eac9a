//! Bytes lent to a driver for the sends of one turn.

use crate::driver::FrameKey;
use bytes::Bytes;

/// Of a key's 32 bits, those that name the frame; the others name the turn, so that a stale key is
/// noticed.
const INDEX_BITS: u32 = 20;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;
const TURN_MASK: u32 = u32::MAX >> INDEX_BITS;

/// A frame's length must fit a completion's result.
const FRAME_BYTES_MAX: usize = 1 << 30;

/// The frames of the present turn.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    turn: u32,
    bytes: Vec<Bytes>,
}

impl Frames {
    pub(crate) fn lend(&mut self, bytes: Bytes) -> FrameKey {
        let index = self.bytes.len() as u32;
        assert!(index <= INDEX_MASK, "more than a million frames lent in one turn");
        assert!(!bytes.is_empty(), "an empty frame cannot be sent");
        assert!(bytes.len() <= FRAME_BYTES_MAX, "a frame of more than 1 GiB");
        self.bytes.push(bytes);
        FrameKey(self.turn << INDEX_BITS | index)
    }

    /// The frame's number in this turn.
    pub(crate) fn index(&self, key: FrameKey) -> u32 {
        let index = key.0 & INDEX_MASK;
        assert_eq!(key.0 >> INDEX_BITS, self.turn, "a frame key of another turn");
        assert!((index as usize) < self.bytes.len(), "a frame key that was never given out");
        index
    }

    /// By number. Stays where it is in memory until [`Self::end_turn`], however many are lent
    /// meanwhile.
    pub(crate) fn get(&self, index: u32) -> &Bytes {
        &self.bytes[index as usize]
    }

    pub(crate) fn end_turn(&mut self) {
        if !self.bytes.is_empty() {
            self.bytes.clear();
            self.turn = (self.turn + 1) & TURN_MASK;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_frames_until_the_turn_ends() {
        let mut frames = Frames::default();
        let first = frames.lend(Bytes::from_static(b"one"));
        let second = frames.lend(Bytes::from_static(b"two"));
        assert_eq!(frames.get(frames.index(first)), "one");
        assert_eq!(frames.get(frames.index(second)), "two");
        frames.end_turn();
        assert_eq!(frames.turn, 1);
    }

    #[test]
    #[should_panic(expected = "another turn")]
    fn a_key_of_the_last_turn_panics() {
        let mut frames = Frames::default();
        let stale = frames.lend(Bytes::from_static(b"one"));
        frames.end_turn();
        frames.lend(Bytes::from_static(b"two"));
        frames.index(stale);
    }
}
