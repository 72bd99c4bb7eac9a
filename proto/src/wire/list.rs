//! Lists of fixed-size entries inside a body: read in place, or written from a slice.

use super::channel::{ChannelKind, Position};
use super::code::WireError;
use bytes::BufMut;
use std::fmt;

/// One entry of a [`List`].
pub trait Entry: Copy + PartialEq + fmt::Debug {
    /// Bytes that each one takes.
    const BYTES: usize;
    /// Reads one from exactly [`Self::BYTES`] bytes; none if it is not a valid one.
    fn read(bytes: &[u8]) -> Option<Self>;
    /// Appends exactly [`Self::BYTES`] bytes.
    fn write(&self, out: &mut impl BufMut);
}

/// Entries, borrowed from a received body or from a slice.
#[derive(Clone, Copy)]
pub struct List<'a, E>(Source<'a, E>);

#[derive(Clone, Copy)]
enum Source<'a, E> {
    Wire(&'a [u8]),
    Slice(&'a [E]),
}

/// How far each of several channels has come.
pub type Positions<'a> = List<'a, Position>;

impl<'a, E: Entry> List<'a, E> {
    /// A list that has no entries.
    pub const EMPTY: Self = Self(Source::Slice(&[]));

    /// Takes bytes that hold entries and nothing else.
    pub(crate) fn from_wire(bytes: &'a [u8]) -> Result<Self, WireError> {
        if !bytes.len().is_multiple_of(E::BYTES) {
            return Err(WireError::malformed("list ends within an entry"));
        }
        Ok(Self(Source::Wire(bytes)))
    }

    /// As [`Self::from_wire`], for the server: every entry must be a valid one.
    pub(crate) fn from_client(bytes: &'a [u8]) -> Result<Self, WireError> {
        if bytes.chunks(E::BYTES).any(|entry| E::read(entry).is_none()) {
            return Err(WireError::malformed("list with an invalid entry"));
        }
        Self::from_wire(bytes)
    }

    /// The entries. Those of kinds that this version of the crate does not know are passed over.
    pub fn iter(&self) -> impl Iterator<Item = E> + use<'a, E> {
        let (wire, slice): (&'a [u8], &'a [E]) = match self.0 {
            Source::Wire(bytes) => (bytes, &[]),
            Source::Slice(entries) => (&[], entries),
        };
        wire.chunks_exact(E::BYTES).filter_map(E::read).chain(slice.iter().copied())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self.0 {
            Source::Wire(bytes) => bytes.len() / E::BYTES,
            Source::Slice(entries) => entries.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn encoded_len(&self) -> usize {
        self.len() * E::BYTES
    }

    pub(crate) fn encode(&self, out: &mut impl BufMut) {
        match self.0 {
            Source::Wire(bytes) => out.put_slice(bytes),
            Source::Slice(entries) => entries.iter().for_each(|entry| entry.write(out)),
        }
    }
}

impl<'a, E> From<&'a [E]> for List<'a, E> {
    fn from(entries: &'a [E]) -> Self {
        Self(Source::Slice(entries))
    }
}

impl<E: Entry> PartialEq for List<'_, E> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<E: Entry> fmt::Debug for List<'_, E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

impl Entry for Position {
    const BYTES: usize = 9;

    fn read(bytes: &[u8]) -> Option<Self> {
        let (kind, seq) = bytes.split_first()?;
        let kind = ChannelKind::try_from(i32::from(*kind)).ok()?;
        Some(Self { kind, seq: u64::from_be_bytes(seq.try_into().ok()?) })
    }

    fn write(&self, out: &mut impl BufMut) {
        out.put_u8(self.kind as u8);
        out.put_u64(self.seq);
    }
}
