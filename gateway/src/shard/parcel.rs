//! What one send carries: one frame, or several joined in one buffer, and whose they are.

use super::jobs::JobKey;
use bytes::{Bytes, BytesMut};
use gpusher_proto::wire::{EncodedPush, Encoding};
use gpusher_session::Entry;
use std::sync::Arc;

/// One frame on its way to a connection, its encoding chosen.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) frame: Bytes,
    /// None for control frames.
    pub(crate) message: Option<(JobKey, Arc<EncodedPush>)>,
    pub(crate) origin: Origin,
}

/// Why a message is sent to a connection: logic waits for what it replays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It is new.
    Push,
    /// It comes from a log, past the hold.
    Replay,
}

impl Content {
    /// A frame that is no message.
    pub(crate) fn control(frame: Bytes) -> Self {
        Self { frame, message: None, origin: Origin::Push }
    }

    /// A message's frame.
    pub(crate) fn message(job: JobKey, push: &Arc<EncodedPush>, encoding: Encoding) -> Self {
        let frame = push.frame(encoding).clone();
        Self { frame, message: Some((job, push.clone())), origin: Origin::Push }
    }

    /// As an outbox has it.
    pub(crate) fn entry(&self) -> Entry<Origin> {
        match &self.message {
            None => Entry::control(self.frame.clone(), self.origin),
            Some((_, push)) => Entry::message(push.message(), self.frame.clone(), self.origin),
        }
    }
}

/// Frames that go out in one send. Shared by all its receivers.
#[derive(Debug, Clone)]
pub(crate) struct Parcel {
    /// All frames, one after the other.
    pub(crate) bytes: Bytes,
    pub(crate) contents: Arc<[Content]>,
}

impl Parcel {
    /// Joins frames; one alone is not copied.
    pub(crate) fn join(contents: impl Into<Arc<[Content]>>) -> Self {
        let contents: Arc<[Content]> = contents.into();
        let bytes = match &*contents {
            [only] => only.frame.clone(),
            several => {
                let total = several.iter().map(|content| content.frame.len()).sum();
                let mut joined = BytesMut::with_capacity(total);
                several.iter().for_each(|content| joined.extend_from_slice(&content.frame));
                joined.freeze()
            }
        };
        Self { bytes, contents }
    }

    /// Messages among the frames.
    pub(crate) fn messages(&self) -> u64 {
        self.contents.iter().filter(|content| content.message.is_some()).count() as u64
    }

    /// What a socket that took only so many bytes has not got whole, and how much of its first frame it has.
    pub(crate) fn rest(&self, mut taken: usize) -> (&[Content], usize) {
        let whole = self.contents.iter().take_while(|content| {
            let fits = content.frame.len() <= taken;
            taken -= if fits { content.frame.len() } else { 0 };
            fits
        });
        let whole = whole.count();
        (&self.contents[whole..], taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_begins_with_the_first_frame_not_taken_whole() {
        let frame = |bytes: &'static [u8]| Content::control(Bytes::from_static(bytes));
        let parcel = Parcel::join([frame(b"abc"), frame(b"de"), frame(b"f")]);
        assert_eq!(&parcel.bytes[..], b"abcdef");
        let rest = |taken| {
            let (rest, first_taken) = parcel.rest(taken);
            (rest.len(), first_taken)
        };
        assert_eq!([0, 1, 3, 4, 5].map(rest), [(3, 0), (3, 1), (2, 0), (2, 1), (1, 0)]);
        assert_eq!(rest(6), (0, 0));
    }
}
