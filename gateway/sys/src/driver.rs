//! What a shard sees of the kernel: slots that hold sockets, things to ask for, and events.
//!
//! Reads are readiness-based with the bytes fetched by the driver; sends are non-blocking and
//! complete inside [`Driver::turn`]. Three implementations share this surface: io_uring (the
//! product), epoll, and a fake one for simulation. A driver belongs to the thread that made it.
//!
//! # Slots
//! The shard chooses slots (small integers, dense from 0) and gives each accepted socket one with
//! [`Driver::open`]. From then until [`Event::Closed`] the slot belongs to that socket; no event
//! for it arrives after `Closed`, so the shard may use the slot again at once.
//!
//! # Sends
//! At most one send per slot may be asked for between two calls of [`Driver::turn`]: with two, the
//! second could pass when the first found the socket full. A send that the kernel takes whole makes
//! no event. The bytes named by a [`FrameKey`] live in the driver until the turn ends.
//!
//! # Close
//! `close` first lets the sends go that were asked for before it, then shuts the socket down, waits
//! for what is armed on it to end, closes the descriptor, and reports `Closed`. It is the only
//! event after `close`. Bytes of the peer that were not read by then make the kernel answer with a
//! reset, which may overtake what was sent last: who wants a last frame to arrive reads on until
//! `Hangup`.
//!
//! # Waiting
//! A turn works off a bounded number of completions; what is left is there at once in the next
//! turn.

use bytes::Bytes;
use std::net::SocketAddrV4;
use std::time::Duration;

/// A socket the driver has accepted, not yet given a slot. Means something only to the driver it
/// came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket(pub u32);

/// Names bytes lent to the driver until the current turn's end; naming them later is a bug, and
/// panics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameKey(pub u32);

/// What happened. `errno` values are positive (`libc::ECONNRESET`, …).
#[derive(Debug)]
pub enum Event<'a> {
    /// A client connected. The shard answers with [`Driver::open`] or [`Driver::discard`].
    Accepted(Socket),
    /// Accepting ended (out of descriptors, …); the shard calls [`Driver::accept`] again, after a
    /// pause.
    AcceptFailed {
        /// Why.
        errno: i32,
    },
    /// A socket made by [`Driver::connect`] is connected.
    Connected(u32),
    /// Bytes from the peer, never none; borrowed until the sink returns.
    Received(u32, &'a [u8]),
    /// The peer has shut down its side, or the socket failed: close it. `errno` is 0 for an orderly
    /// end. Reported once per slot. An end that was read comes after all bytes; a write that failed
    /// is reported at once, whatever the peer sent before. While reading is off, it may wait until
    /// reading is on again or something is written.
    Hangup {
        /// Which.
        slot: u32,
        /// Why.
        errno: i32,
    },
    /// A send was not taken whole: `taken` bytes were. The rest must go through [`Driver::flush`].
    Short {
        /// Which.
        slot: u32,
        /// The bytes that were asked for.
        frame: Bytes,
        /// How many of them the socket took (0: it was full).
        taken: u32,
    },
    /// A flush ended having written `taken` bytes (0: the socket was full).
    Flushed {
        /// Which.
        slot: u32,
        /// Bytes taken.
        taken: u32,
    },
    /// Room again, after [`Driver::await_writable`].
    Writable(u32),
    /// The slot is free.
    Closed(u32),
    /// The [`crate::Waker`] was used.
    Woken,
}

/// Pieces per flush.
pub const FLUSH_PIECES_MAX: usize = 16;

/// Asking for something impossible is our bug and panics; the kernel's refusals come back as
/// events.
pub trait Driver {
    /// Starts accepting on the shard's listener (again). Nothing happens if it does already, or has
    /// stopped for good.
    fn accept(&mut self);
    /// Stops for good: the listener refuses from now on, its siblings on the port get what comes.
    /// For draining.
    fn stop_accepting(&mut self);
    /// Gives an accepted socket its slot and starts watching it.
    fn open(&mut self, socket: Socket, slot: u32);
    /// Closes an accepted socket that got no slot.
    fn discard(&mut self, socket: Socket);
    /// Makes a socket for `slot`, bound to `source` if given, and connects it. For load generators.
    ///
    /// # Errors
    /// When no socket could be made or bound; the slot is then free. A failed connection is a
    /// `Hangup`.
    fn connect(
        &mut self,
        slot: u32,
        source: Option<SocketAddrV4>,
        to: SocketAddrV4,
    ) -> std::io::Result<()>;

    /// Lends bytes for sends of this turn. One reference is taken however many sends name it.
    fn lend(&mut self, bytes: Bytes) -> FrameKey;
    /// Sends lent bytes, without waiting.
    fn send(&mut self, slot: u32, frame: FrameKey);
    /// Writes queued pieces (at most [`FLUSH_PIECES_MAX`]), without waiting; always answered by
    /// `Flushed` or the slot's `Hangup`. One at a time per slot.
    fn flush(&mut self, slot: u32, pieces: &mut dyn Iterator<Item = Bytes>);
    /// Asks for one `Writable`; asking twice gives one.
    fn await_writable(&mut self, slot: u32);
    /// Starts or stops fetching bytes from the slot (back-pressure). Slots start readable.
    fn set_reading(&mut self, slot: u32, on: bool);
    /// Ends the connection; `Closed` follows. No other call may name the slot after this one.
    /// Idempotent until `Closed`.
    fn close(&mut self, slot: u32);

    /// Hands everything asked for to the kernel, waits up to `timeout` for the first event (zero:
    /// does not wait), and reports the events there are; none, if a signal cuts the wait short. The
    /// sink may not call the driver: it records, the shard acts after the turn.
    fn turn(&mut self, timeout: Duration, sink: &mut dyn FnMut(Event<'_>));

    /// Counters of limits hit, for metrics: (name, value).
    fn counters(&self) -> Vec<(&'static str, u64)>;
}

/// So that a shard made for any driver takes the one chosen at start.
impl<D: Driver + ?Sized> Driver for Box<D> {
    fn accept(&mut self) {
        (**self).accept();
    }

    fn stop_accepting(&mut self) {
        (**self).stop_accepting();
    }

    fn open(&mut self, socket: Socket, slot: u32) {
        (**self).open(socket, slot);
    }

    fn discard(&mut self, socket: Socket) {
        (**self).discard(socket);
    }

    fn connect(
        &mut self,
        slot: u32,
        source: Option<SocketAddrV4>,
        to: SocketAddrV4,
    ) -> std::io::Result<()> {
        (**self).connect(slot, source, to)
    }

    fn lend(&mut self, bytes: Bytes) -> FrameKey {
        (**self).lend(bytes)
    }

    fn send(&mut self, slot: u32, frame: FrameKey) {
        (**self).send(slot, frame);
    }

    fn flush(&mut self, slot: u32, pieces: &mut dyn Iterator<Item = Bytes>) {
        (**self).flush(slot, pieces);
    }

    fn await_writable(&mut self, slot: u32) {
        (**self).await_writable(slot);
    }

    fn set_reading(&mut self, slot: u32, on: bool) {
        (**self).set_reading(slot, on);
    }

    fn close(&mut self, slot: u32) {
        (**self).close(slot);
    }

    fn turn(&mut self, timeout: Duration, sink: &mut dyn FnMut(Event<'_>)) {
        (**self).turn(timeout, sink);
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        (**self).counters()
    }
}
