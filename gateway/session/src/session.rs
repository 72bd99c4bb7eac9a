//! The state of a connection, and how bytes become frames. What frames do is in `react.rs`, what is written in `write.rs`.

use crate::event::Event;
use crate::limits::Limits;
use crate::partial::Partial;
use crate::rate::RateLimit;
use gpusher_proto::wire::{Code, Encoding, MAGIC, Split, WireError, split, v0, v1};

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum State {
    /// Nothing but a login will do.
    AwaitLogin,
    /// The login waits for its verdict; what follows it is kept.
    Pending,
    /// In use.
    Admitted,
    /// Said good-bye, or was told to; what still arrives is ignored.
    Closing,
}

/// What the first frame, and then the login, said. `None` before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Spoken {
    Unknown,
    V0,
    V1,
    V1Zlib,
}

/// One connection on the server. Never allocates for a connection whose frames arrive whole, except between version 0's login and its verdict.
#[derive(Debug)]
pub struct Session {
    pub(crate) partial: Option<Box<Partial>>,
    pub(crate) rate: RateLimit,
    pub(crate) state: State,
    pub(crate) spoken: Spoken,
}

// There are millions of these.
const _: () = assert!(size_of::<Session>() == 16);

/// What a session's inputs have in common.
pub(crate) struct Turn<'a> {
    pub(crate) now_ms: u64,
    pub(crate) limits: &'a Limits,
    pub(crate) replies: &'a mut Vec<u8>,
    pub(crate) on: &'a mut dyn FnMut(Event<'_>),
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    /// A connection that has said nothing.
    pub const fn new() -> Self {
        Self {
            partial: None,
            rate: RateLimit::NEW,
            state: State::AwaitLogin,
            spoken: Spoken::Unknown,
        }
    }

    /// How far the connection has come.
    pub fn state(&self) -> State {
        self.state
    }

    /// How frames for it are encoded; final once a login event was given, none before its first bytes.
    pub fn encoding(&self) -> Option<Encoding> {
        match self.spoken {
            Spoken::Unknown => None,
            Spoken::V0 => Some(Encoding::V0),
            Spoken::V1 => Some(Encoding::V1),
            Spoken::V1Zlib => Some(Encoding::V1Zlib),
        }
    }

    /// Memory that it holds for half a frame, or for frames that wait for the verdict. The shard bounds the sum: it compares before and after
    /// each input.
    pub fn partial_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.bytes.capacity())
    }

    /// Takes bytes as they come: any part of a frame, or many. Answers to heartbeats are appended to `replies`; `on` gets what
    /// the shard has to act on, in order.
    ///
    /// # Errors
    /// The client broke a rule. What it is told is already in `replies`; the shard sends that and closes.
    pub fn on_bytes(
        &mut self,
        bytes: &[u8],
        now_ms: u64,
        limits: &Limits,
        replies: &mut Vec<u8>,
        on: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), WireError> {
        self.feed(bytes, &mut Turn { now_ms, limits, replies, on })
            .inspect_err(|error| self.close_on_error(error, replies))
    }

    pub(crate) fn feed(&mut self, mut bytes: &[u8], turn: &mut Turn<'_>) -> Result<(), WireError> {
        while !bytes.is_empty() {
            match self.state {
                State::Closing => return Ok(()),
                State::Pending => return self.keep_until_verdict(bytes, turn.limits),
                State::AwaitLogin | State::Admitted => {}
            }
            bytes = match self.partial.take() {
                Some(partial) => self.complete(partial, bytes, turn)?,
                None => self.take_frame(bytes, turn)?,
            };
        }
        Ok(())
    }

    /// Acts on the first frame of `bytes` and returns what follows it, or puts all of them aside.
    fn take_frame<'b>(
        &mut self,
        bytes: &'b [u8],
        turn: &mut Turn<'_>,
    ) -> Result<&'b [u8], WireError> {
        match self.split(bytes, turn.limits)? {
            Split::Whole { frame, len } => {
                self.react(frame, turn)?;
                Ok(&bytes[len..])
            }
            Split::Incomplete { need } => {
                let mut partial = Box::<Partial>::default();
                partial.extend(bytes, need);
                self.partial = Some(partial);
                Ok(&[])
            }
        }
    }

    /// Adds to a frame that was put aside, acts on it if that completes it, and returns what was not needed.
    fn complete<'b>(
        &mut self,
        mut partial: Box<Partial>,
        bytes: &'b [u8],
        turn: &mut Turn<'_>,
    ) -> Result<&'b [u8], WireError> {
        let Split::Incomplete { need } = self.split(&partial.bytes, turn.limits)? else {
            unreachable!("only part of a frame is put aside");
        };
        let missing = need - partial.bytes.len();
        let (taken, rest) = bytes.split_at(missing.min(bytes.len()));
        partial.extend(taken, need);
        match self.split(&partial.bytes, turn.limits)? {
            Split::Whole { frame, .. } => self.react(frame, turn)?,
            Split::Incomplete { .. } => self.partial = Some(partial),
        }
        Ok(rest)
    }

    /// As [`split()`], and a connection keeps to one version.
    fn split<'b>(&mut self, bytes: &'b [u8], limits: &Limits) -> Result<Split<'b>, WireError> {
        let body_bytes_max = match self.state {
            State::Admitted => limits.body_bytes_max,
            _ => limits.login_body_bytes_max.min(limits.body_bytes_max),
        };
        if let [MAGIC, version, ..] = *bytes {
            self.keep_to_version(version)?;
        }
        split(bytes, body_bytes_max)
    }

    /// Who begins with a version of the future is told about it in version 1.
    fn keep_to_version(&mut self, version: u8) -> Result<(), WireError> {
        match (self.spoken, version) {
            (Spoken::Unknown, v0::VERSION) => self.spoken = Spoken::V0,
            (Spoken::Unknown, _) => self.spoken = Spoken::V1,
            (Spoken::V0, v0::VERSION) | (Spoken::V1 | Spoken::V1Zlib, v1::VERSION) => {}
            _ => {
                let text = "a connection keeps to its first version";
                return Err(WireError::new(Code::BadVersion, text));
            }
        }
        Ok(())
    }

    /// What follows the login waits for the verdict; all of it together is bounded like the login.
    fn keep_until_verdict(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), WireError> {
        let partial = self.partial.get_or_insert_default();
        let bytes_max = limits.login_body_bytes_max as usize;
        if partial.bytes.len() + bytes.len() > bytes_max {
            return Err(WireError::new(Code::TooLarge, "too much before the login is accepted"));
        }
        partial.extend(bytes, bytes_max);
        Ok(())
    }
}
