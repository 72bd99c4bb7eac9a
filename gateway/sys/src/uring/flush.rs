//! What the kernel reads while it works on a flush: the message header, the list of pieces, and the
//! pieces.

use crate::driver::FLUSH_PIECES_MAX;
use bytes::Bytes;
use std::mem::zeroed;

/// Flushes that may wait for submission at once; about 200 KiB.
const FLUSHES_MAX: usize = 256;

/// Records by number, made on demand and used again.
#[derive(Debug, Default)]
pub(super) struct Flushes {
    #[expect(clippy::vec_box, reason = "what the kernel was told the address of must not move")]
    records: Vec<Box<Record>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Record {
    message: libc::msghdr,
    parts: [libc::iovec; FLUSH_PIECES_MAX],
    pieces: Vec<Bytes>,
}

impl Flushes {
    /// Whether [`Self::fill`] would find a record.
    pub(super) fn has_room(&self) -> bool {
        !self.free.is_empty() || self.records.len() < FLUSHES_MAX
    }

    /// How many have not been given back.
    pub(super) fn in_flight(&self) -> usize {
        self.records.len() - self.free.len()
    }

    /// Keeps the pieces, and returns what to hand to the kernel: valid until [`Self::give_back`].
    pub(super) fn fill(
        &mut self,
        pieces: &mut dyn Iterator<Item = Bytes>,
    ) -> (u32, *const libc::msghdr) {
        let number = self.free.pop().unwrap_or_else(|| {
            assert!(self.records.len() < FLUSHES_MAX);
            self.records.push(Box::new(Record::new()));
            self.records.len() as u32 - 1
        });
        (number, self.records[number as usize].fill(pieces))
    }

    pub(super) fn give_back(&mut self, number: u32) {
        self.records[number as usize].pieces.clear();
        self.free.push(number);
    }
}

impl Record {
    fn new() -> Self {
        Self {
            // SAFETY: a `msghdr` is integers and pointers, for which all zeros is a value.
            message: unsafe { zeroed() },
            parts: [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; FLUSH_PIECES_MAX],
            pieces: Vec::with_capacity(FLUSH_PIECES_MAX),
        }
    }

    fn fill(&mut self, pieces: &mut dyn Iterator<Item = Bytes>) -> *const libc::msghdr {
        for piece in pieces {
            let count = self.pieces.len();
            assert!(count < FLUSH_PIECES_MAX, "a flush of more than {FLUSH_PIECES_MAX} pieces");
            let iov_base = piece.as_ptr().cast_mut().cast();
            self.parts[count] = libc::iovec { iov_base, iov_len: piece.len() };
            self.pieces.push(piece);
        }
        assert!(!self.pieces.is_empty(), "a flush of nothing");
        self.message.msg_iov = self.parts.as_mut_ptr();
        self.message.msg_iovlen = self.pieces.len();
        &raw const self.message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_keeps_its_pieces_until_given_back() {
        let mut flushes = Flushes::default();
        let piece = Bytes::from(vec![7; 100]);
        let (number, message) = flushes.fill(&mut [piece.clone(), piece.clone()].into_iter());
        assert!(!piece.is_unique());
        assert!(!message.is_null());
        assert_eq!(flushes.in_flight(), 1);
        flushes.give_back(number);
        assert!(piece.is_unique());
        assert_eq!(flushes.in_flight(), 0);
    }

    #[test]
    fn there_is_a_limit() {
        let mut flushes = Flushes::default();
        let fill =
            |flushes: &mut Flushes| flushes.fill(&mut std::iter::once(Bytes::from_static(b"x"))).0;
        let numbers: Vec<u32> = (0..FLUSHES_MAX).map(|_| fill(&mut flushes)).collect();
        assert!(!flushes.has_room());
        flushes.give_back(numbers[9]);
        assert!(flushes.has_room());
        assert_eq!(fill(&mut flushes), numbers[9]);
    }
}
