//! The way to the socket.

use super::{Entry, Outbox};
use bytes::Bytes;

/// Pieces handed to the kernel at once.
pub const PIECES_MAX: usize = 16;

/// What a flush has come to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Progress {
    /// Nothing may be written any more: all is gone, or held.
    Done,
    /// The socket took all it was given, and there is more.
    More,
    /// The socket is full.
    Full,
}

impl<T> Outbox<T> {
    /// Bytes to write, in order. Until [`Self::advance`], which must follow, nothing that was handed out is taken back.
    ///
    /// # Panics
    /// If a flush is under way.
    pub fn pieces(&mut self) -> impl Iterator<Item = Bytes> + use<'_, T> {
        assert_eq!(self.in_flight, 0);
        self.in_flight = self.ready.len().min(PIECES_MAX);
        let mut skip = self.first_taken;
        self.ready
            .iter()
            .take(PIECES_MAX)
            .map(move |entry| entry.frame.slice(std::mem::take(&mut skip)..))
    }

    /// The socket has taken that many bytes of what [`Self::pieces`] gave; `completed` gets what it has whole.
    ///
    /// # Panics
    /// If it took more than it was given.
    pub fn advance(&mut self, taken: usize, completed: &mut dyn FnMut(Entry<T>)) -> Progress {
        let in_flight = std::mem::take(&mut self.in_flight);
        let mut taken = self.first_taken + taken;
        for _ in 0..in_flight {
            let bytes = self.ready[0].frame.len();
            if taken < bytes {
                self.first_taken = taken;
                return Progress::Full;
            }
            taken -= bytes;
            self.first_taken = 0;
            let entry = self.ready.pop_front().expect("looked at");
            self.loads.of(entry.class).remove(bytes);
            completed(entry);
        }
        assert_eq!(taken, 0, "more was taken than given");
        if self.ready.is_empty() { Progress::Done } else { Progress::More }
    }
}
