//! One connection to the server that takes pushes.

use crate::protocol::{Broken, Pusher, Told};
use bytes::Bytes;
use std::collections::VecDeque;

/// Bytes that may wait for a socket where no answers bound what is on the way.
const OUT_BYTES_MAX: usize = 256 << 10;

/// What is on its way on a connection.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) connected: bool,
    pub(super) gone: bool,
    /// It is among the free ones.
    pub(super) free: bool,
    /// Sizes of the requests that were not answered.
    unanswered: VecDeque<u32>,
    /// To be sent.
    pub(super) out: Vec<u8>,
    /// The socket was full: this must go first, when there is room.
    blocked: Option<Bytes>,
    /// Half an answer.
    half: Vec<u8>,
}

/// What answers brought.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) accepted: u64,
    pub(super) refused: u64,
}

impl Line {
    /// Whether it takes another request.
    pub(super) fn has_room(&self, unanswered_max: Option<u32>) -> bool {
        let room = match unanswered_max {
            Some(most) => self.unanswered.len() < most as usize,
            None => self.out.len() < OUT_BYTES_MAX,
        };
        self.connected && !self.gone && self.blocked.is_none() && room
    }

    /// Whether something is yet to be sent or answered.
    pub(super) fn is_waiting(&self) -> bool {
        !self.gone
            && (!self.unanswered.is_empty() || !self.out.is_empty() || self.blocked.is_some())
    }

    /// A request of that many pushes was put into `out`.
    pub(super) fn on_request(&mut self, pushes: u32) {
        self.unanswered.push_back(pushes);
    }

    /// What to send in this turn.
    pub(super) fn take_out(&mut self) -> Option<Bytes> {
        let wanted = !self.gone && self.blocked.is_none() && !self.out.is_empty();
        wanted.then(|| std::mem::take(&mut self.out).into())
    }

    pub(super) fn on_short(&mut self, rest: Bytes) {
        self.blocked = Some(rest);
    }

    /// There is room again: what was cut off goes first.
    pub(super) fn on_writable(&mut self) {
        if let Some(rest) = self.blocked.take() {
            self.out.splice(0..0, rest);
        }
    }

    pub(super) fn on_bytes(
        &mut self,
        bytes: &[u8],
        pusher: &mut dyn Pusher,
        tally: &mut Tally,
    ) -> Result<(), Broken> {
        if self.half.is_empty() {
            let used = self.read(bytes, pusher, tally)?;
            self.half.extend_from_slice(&bytes[used..]);
        } else {
            let mut half = std::mem::take(&mut self.half);
            half.extend_from_slice(bytes);
            let used = self.read(&half, pusher, tally)?;
            half.drain(..used);
            self.half = half;
        }
        Ok(())
    }

    fn read(
        &mut self,
        bytes: &[u8],
        pusher: &mut dyn Pusher,
        tally: &mut Tally,
    ) -> Result<usize, Broken> {
        let Self { unanswered, out, .. } = self;
        let mut surplus = false;
        let used = pusher.read(bytes, &mut |told| match told {
            Told::Reply(reply) => out.extend_from_slice(&reply),
            Told::Answer { accepted } => match unanswered.pop_front() {
                Some(pushes) => {
                    let accepted = accepted.min(pushes);
                    tally.accepted += u64::from(accepted);
                    tally.refused += u64::from(pushes - accepted);
                }
                None => surplus = true,
            },
        })?;
        if surplus { Err(Broken) } else { Ok(used) }
    }

    /// The connection has ended: what was not answered has failed. True the first time.
    pub(super) fn on_end(&mut self, tally: &mut Tally) -> bool {
        tally.refused += self.unanswered.drain(..).map(u64::from).sum::<u64>();
        !std::mem::replace(&mut self.gone, true)
    }
}
