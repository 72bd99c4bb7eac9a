//! The driver on io_uring.
//!
//! # A connection
//! Idle, it costs a one-shot POLL in the kernel (255 bytes) and eight bytes here. When the peer
//! sends, the poll completes, and a RECV that does not wait, into a shared scratch buffer, and the
//! next POLL are submitted together. The poll looks at the socket when it is armed, so what the
//! RECV left shows at once and no edge is missed. Why not a multishot poll:
//! `docs/adr/0002-one-shot-polls.md`.
//!
//! # Sending
//! SEND with MSG_DONTWAIT, MSG_WAITALL and CQE_SKIP_SUCCESS: one that the socket takes whole posts
//! no completion; any other posts how far it came. Without MSG_WAITALL a partial one would count as
//! success, and its rest would be lost.
//!
//! # Memory and the kernel
//! The kernel reads and writes memory by addresses that the borrow checker cannot see. Why that is
//! sound:
//!
//! 1. Operations that can wait (POLL, ACCEPT, CONNECT, SHUTDOWN, CLOSE) name no memory of ours once
//!    `Ring::enter` has returned: the only address among them, CONNECT's, is copied at submission.
//! 2. Operations that name memory (RECV, SEND, SENDMSG, FILES_UPDATE) cannot wait: they carry
//!    MSG_DONTWAIT or have nothing to wait for, and no ASYNC flag, link or submission thread defers
//!    them, so they end inside the `enter` that submits them. `enter` returns only when the queue is
//!    empty.
//! 3. Even so the memory is owned by the driver, does not move, and is kept until the end is known:
//!    scratch buffers and flush records until their completion is collected; frames, whose success
//!    posts nothing, until the turn that submitted them has collected everything.
//! 4. A scratch buffer is handed to the sink only between its completion and its return to the
//!    pool, and the sink cannot reach the driver.
//! 5. A driver that is dropped first submits and collects. If anything that names memory has not
//!    ended then, or the thread panics, that memory is leaked.
//!
//! The self-test checks the second point on the running kernel, together with what the sends rely
//! on.
//!
//! # Several rings
//! See `rings`. To the shard they are one driver.
//!
//! # Descriptors
//! A descriptor that the driver accepted is in exactly one place: a completion not yet handled, the
//! list of accepted sockets, a slot, or a queued CLOSE. A CLOSE is queued when nothing is in flight
//! on the descriptor any more.

mod bare;
mod complete;
mod error;
mod flush;
mod options;
mod place;
mod request;
mod ring;
mod rings;
mod scratch;
mod tag;

pub use error::UringError;
pub use options::{Descriptors, TABLE_ENTRIES_MAX, UringOptions};
pub use ring::RingFlags;

use crate::Waker;
use crate::accepted::Accepted;
use crate::driver::{Driver, Event, FrameKey, Socket};
use crate::frames::Frames;
use crate::slots::{Facts, SentThisTurn, Slots};
use crate::socket::{Listener, client_socket};
use bytes::Bytes;
use flush::Flushes;
use place::{Places, handle};
use request::Addresses;
use rings::Rings;
use scratch::Scratch;
use std::cell::Cell;
use std::io;
use std::mem::ManuallyDrop;
use std::net::SocketAddrV4;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::time::Duration;
use tag::Operation;

/// Submissions and collections in one turn, and with them receives per connection and turn.
const ROUNDS_PER_TURN_MAX: usize = 16;

/// See the module.
pub struct Uring {
    rings: Rings,
    descriptors: Descriptors,
    places: Places,
    listener: Option<Listener>,
    accept: Accept,
    waker: Waker,
    accepted: Accepted,
    slots: Slots,
    sent: SentThisTurn,
    closing: Vec<u32>,
    /// Result of the last INSTALL.
    installed: Option<i32>,
    memory: ManuallyDrop<Memory>,
    counters: Counters,
}

/// All that the kernel may be told the address of.
#[derive(Debug)]
struct Memory {
    scratch: Scratch,
    flushes: Flushes,
    frames: Frames,
    addresses: Addresses,
    /// A descriptor to install; then its place in the ring's table.
    place: Box<Cell<RawFd>>,
}

#[derive(Debug, Default)]
struct Accept {
    wanted: bool,
    /// Under way.
    armed: u32,
}

#[derive(Debug, Default)]
struct Counters {
    accepts_failed: u64,
    accepts_aborted: u64,
    sends_short: u64,
    scratch_exhausted: u64,
    submissions_full: u64,
}

impl Uring {
    /// Makes a driver that accepts on `listener`, if there is one, and can be woken by `waker`.
    /// Only the calling thread can use it.
    ///
    /// # Errors
    /// With the remedy. Whether the kernel behaves as the driver relies on is for
    /// [`crate::selftest`] to say.
    pub fn new(
        options: &UringOptions,
        listener: Option<Listener>,
        waker: Waker,
    ) -> Result<Self, UringError> {
        let rings = Rings::new(options)?;
        let memory = Memory {
            scratch: Scratch::new(options.scratch_buffers.max(1)),
            flushes: Flushes::default(),
            frames: Frames::default(),
            addresses: Addresses::default(),
            place: Box::new(Cell::new(-1)),
        };
        let mut driver = Self {
            rings,
            descriptors: options.descriptors,
            places: Places::new(options.descriptors, options.rings),
            listener,
            accept: Accept::default(),
            waker,
            accepted: Accepted::default(),
            slots: Slots::default(),
            sent: SentThisTurn::default(),
            closing: Vec::new(),
            installed: None,
            memory: ManuallyDrop::new(memory),
            counters: Counters::default(),
        };
        driver.watch_waker();
        driver.watch_bell();
        Ok(driver)
    }

    /// How much of the wanted set-up the kernel took.
    #[must_use]
    pub fn ring_flags(&self) -> RingFlags {
        self.rings.flags()
    }

    /// Submits and collects, and settles at once what must not wait for the turn.
    fn enter(&mut self, timeout: Duration) {
        let known = self.rings.collected();
        self.rings.enter(timeout);
        self.memory.addresses.copied();
        for completion in self.rings.collected_after(known) {
            match completion.tag.operation {
                Operation::Flush => self.memory.flushes.give_back(completion.tag.detail),
                Operation::Install => self.installed = Some(completion.result),
                _ => {}
            }
        }
    }

    /// Shuts down what is to be closed, after all that was asked for before has gone out. Whether
    /// an event came of it.
    fn begin_closes(&mut self, sink: &mut dyn FnMut(Event<'_>)) -> bool {
        if self.closing.is_empty() {
            return false;
        }
        self.enter(Duration::ZERO);
        let mut told = false;
        for slot in std::mem::take(&mut self.closing) {
            if self.slots.open_slot(slot).facts.any(Facts::IN_FLIGHT) {
                self.shut_down(slot);
            }
            told |= self.finish_close(slot, sink);
        }
        told
    }

    /// Closes a slot that is to be closed and has nothing in flight.
    fn finish_close(&mut self, slot: u32, sink: &mut dyn FnMut(Event<'_>)) -> bool {
        let facts = self.slots.open_slot(slot).facts;
        if !facts.any(Facts::CLOSING) || facts.any(Facts::IN_FLIGHT) {
            return false;
        }
        let handle = self.slots.release(slot);
        self.close_handle(handle);
        sink(Event::Closed(slot));
        true
    }
}

impl Driver for Uring {
    fn accept(&mut self) {
        self.accept.wanted = self.listener.is_some();
        self.arm_accepts();
    }

    fn stop_accepting(&mut self) {
        self.accept.wanted = false;
        if let Some(listener) = self.listener.take() {
            // Ends the ACCEPT too, if it is armed; it keeps the socket until then.
            listener.shut();
        }
    }

    fn open(&mut self, socket: Socket, slot: u32) {
        let handle = self.accepted.take(socket);
        self.slots.open(slot, handle, Facts::default());
        self.watch(slot);
    }

    fn discard(&mut self, socket: Socket) {
        let handle = self.accepted.take(socket);
        self.close_handle(handle);
    }

    fn connect(
        &mut self,
        slot: u32,
        source: Option<SocketAddrV4>,
        to: SocketAddrV4,
    ) -> io::Result<()> {
        // Not SOCK_NONBLOCK: the ring would then report EINPROGRESS instead of waiting.
        let socket = client_socket(source, 0)?;
        let handle = self.adopt(socket)?;
        self.slots.open(slot, handle, Facts::CONNECTING);
        self.start_connect(slot, &to);
        Ok(())
    }

    fn lend(&mut self, bytes: Bytes) -> FrameKey {
        self.memory.frames.lend(bytes)
    }

    fn send(&mut self, slot: u32, frame: FrameKey) {
        self.sent.note(&mut self.slots, slot);
        self.start_send(slot, frame);
    }

    fn flush(&mut self, slot: u32, pieces: &mut dyn Iterator<Item = Bytes>) {
        let facts = &mut self.slots.asked(slot).facts;
        assert!(!facts.any(Facts::FLUSHING), "slot {slot} is being flushed");
        *facts |= Facts::FLUSHING;
        self.start_flush(slot, pieces);
    }

    fn await_writable(&mut self, slot: u32) {
        let facts = &mut self.slots.asked(slot).facts;
        if !facts.any(Facts::AWAITING_ROOM | Facts::HUNG_UP) {
            *facts |= Facts::AWAITING_ROOM;
            self.await_room(slot);
        }
    }

    fn set_reading(&mut self, slot: u32, on: bool) {
        let facts = &mut self.slots.asked(slot).facts;
        if !on {
            return facts.remove(Facts::READING);
        }
        *facts |= Facts::READING;
        if facts.any(Facts::PARKED) {
            facts.remove(Facts::PARKED);
            self.watch(slot);
        }
    }

    fn close(&mut self, slot: u32) {
        let facts = &mut self.slots.open_slot(slot).facts;
        if !facts.any(Facts::CLOSING) {
            *facts |= Facts::CLOSING;
            self.closing.push(slot);
        }
    }

    fn turn(&mut self, timeout: Duration, sink: &mut dyn FnMut(Event<'_>)) {
        if timeout.is_zero() && self.closing.is_empty() && self.rings.is_idle() {
            return;
        }
        self.sent.end_turn(&mut self.slots);
        let told = self.begin_closes(sink);
        self.enter(if told { Duration::ZERO } else { timeout });
        // All sends were submitted by now: what they have to say is among what was collected.
        self.complete_collected(sink);
        self.memory.frames.end_turn();
        for _ in 1..ROUNDS_PER_TURN_MAX {
            if self.rings.is_idle() {
                return;
            }
            self.enter(Duration::ZERO);
            self.complete_collected(sink);
        }
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        let (own, ring) = (&self.counters, &self.rings.counters());
        vec![
            ("accepts_failed", own.accepts_failed),
            ("accepts_aborted", own.accepts_aborted),
            ("sends_short", own.sends_short),
            ("scratch_exhausted", own.scratch_exhausted),
            ("submissions_full", own.submissions_full),
            ("enters", ring.enters),
            ("submissions", ring.submissions),
            ("completions", ring.completions),
            ("completion_overflows", ring.completion_overflows),
            ("busy_retries", ring.busy_retries),
        ]
    }
}

impl std::fmt::Debug for Uring {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = formatter.debug_struct("Uring");
        fields.field("flags", &self.rings.flags()).field("descriptors", &self.descriptors);
        fields.field("counters", &self.counters).finish_non_exhaustive()
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.enter(Duration::ZERO);
        let mut receives_ended = 0;
        while let Some(completion) = self.rings.take() {
            match completion.tag.operation {
                Operation::Receive => receives_ended += 1,
                Operation::Accept if completion.result >= 0 => {
                    self.accepted.put(handle(completion.ring, completion.result as u32));
                }
                _ => {}
            }
        }
        self.close_everything();
        let memory = &self.memory;
        if memory.scratch.taken() == receives_ended && memory.flushes.in_flight() == 0 {
            // SAFETY: dropped here only, and no field is used after this; nothing that names this
            // memory is in flight.
            unsafe { ManuallyDrop::drop(&mut self.memory) };
        }
    }
}

impl Uring {
    /// Direct descriptors go with the ring; plain ones are ours to close.
    fn close_everything(&mut self) {
        if self.descriptors != Descriptors::Plain {
            return;
        }
        for handle in self.slots.drain().chain(self.accepted.drain()) {
            let fd = handle as RawFd;
            // The end of the ring would tell the peer only when the kernel gets round to it.
            // SAFETY: takes no pointers.
            unsafe { libc::shutdown(fd, libc::SHUT_RDWR) };
            // SAFETY: the driver made or accepted this descriptor, and it was just taken out of the
            // only place that named it.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }
}
