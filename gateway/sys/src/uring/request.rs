//! Asking: one small function per operation.

use super::place::handle;
use super::scratch::SCRATCH_BYTES;
use super::tag::{Operation, Tag};
use super::{Descriptors, Uring};
use crate::address::sockaddr_v4;
use crate::driver::FrameKey;
use crate::slots::Facts;
use bytes::Bytes;
use io_uring::squeue::{Entry, Flags};
use io_uring::{opcode, types};
use std::io;
use std::mem::size_of;
use std::net::SocketAddrV4;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Accepts under way in a ring's own table: a burst of connections takes that many places in one
/// round.
const ACCEPTS_AT_ONCE: u32 = 64;

/// Lets the kernel choose the place in the table.
const FILE_INDEX_ALLOC: i32 = -1;

/// A partial send must end as a failure, which posts its count, and not as a success, which posts
/// nothing.
pub(super) const SEND_FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
const FLUSH_FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

impl Uring {
    /// Queues an operation, after submitting what is queued if there is no room.
    ///
    /// # Safety
    /// As [`super::ring::Ring::push`].
    unsafe fn push(&mut self, ring: u32, entry: Entry, tag: Tag) {
        if self.rings.is_full(ring) {
            self.counters.submissions_full += 1;
            self.enter(Duration::ZERO);
        }
        // SAFETY: the caller promises it.
        unsafe { self.rings.push(ring, &entry.user_data(tag.pack())) };
    }

    /// Queues an operation that names no memory.
    fn push_plain(&mut self, ring: u32, entry: Entry, tag: Tag) {
        // SAFETY: by the contract of this function, which is private to this module, the entry
        // points to nothing.
        unsafe { self.push(ring, entry, tag) };
    }

    /// The ring of a handle, and the handle as that takes it.
    fn target(&self, handle: u32) -> (u32, types::Fd, Flags) {
        let (socket, flags) = self.descriptors.target(handle);
        (self.descriptors.ring(handle), socket, flags)
    }

    /// Edge-triggered: each write to the eventfd is told, although nobody reads it.
    pub(super) fn watch_waker(&mut self) {
        let eventfd = types::Fd(self.waker.raw());
        let entry = opcode::PollAdd::new(eventfd, libc::POLLIN as u32).multi(true).build();
        self.push_plain(0, entry, Tag::of(Operation::Wake, 0));
    }

    /// A bell that a ring has rung ends its watch, so that rings never wake each other in circles.
    /// Read first, or the next watch would at once tell of what was rung before.
    pub(super) fn watch_bell(&mut self) {
        let Some(bell) = self.rings.bell() else { return };
        bell.drain();
        let eventfd = types::Fd(bell.raw());
        let entry = opcode::PollAdd::new(eventfd, libc::POLLIN as u32).multi(true).build();
        self.push_plain(0, entry, Tag::of(Operation::Bell, 0));
    }

    /// Accepts, as far as there are places. In a ring's own table each accept has its place before
    /// it is asked for: a connection that found none would be lost.
    pub(super) fn arm_accepts(&mut self) {
        let Some(listener) = self.listener.as_ref() else { return };
        let listener = types::Fd(listener.as_fd().as_raw_fd());
        let at_once = match self.descriptors {
            Descriptors::Plain => 1,
            Descriptors::Direct { .. } => ACCEPTS_AT_ONCE,
        };
        while self.accept.wanted && self.accept.armed < at_once {
            let Some(ring) = self.places.take() else { return };
            let accept = match self.descriptors {
                Descriptors::Plain => {
                    opcode::AcceptMulti::new(listener).flags(libc::SOCK_CLOEXEC).build()
                }
                Descriptors::Direct { .. } => {
                    let anywhere = Some(types::DestinationSlot::auto_target());
                    let (address, length) = (std::ptr::null_mut(), std::ptr::null_mut());
                    opcode::Accept::new(listener, address, length).file_index(anywhere).build()
                }
            };
            self.push_plain(ring, accept, Tag::of(Operation::Accept, 0));
            self.accept.armed += 1;
        }
    }

    /// Asks to be told when the peer has sent something or is gone.
    pub(super) fn watch(&mut self, slot: u32) {
        let of_slot = self.slots.open_slot(slot);
        debug_assert!(!of_slot.facts.any(Facts::WATCHED));
        of_slot.facts |= Facts::WATCHED;
        let handle = of_slot.handle;
        let (ring, socket, flags) = self.target(handle);
        let events = (libc::POLLIN | libc::POLLRDHUP) as u32;
        let entry = opcode::PollAdd::new(socket, events).build().flags(flags);
        self.push_plain(ring, entry, Tag::of(Operation::Watch, slot));
    }

    /// Asks to be told when the socket has room again.
    pub(super) fn await_room(&mut self, slot: u32) {
        let handle = self.slots.open_slot(slot).handle;
        let (ring, socket, flags) = self.target(handle);
        let entry = opcode::PollAdd::new(socket, libc::POLLOUT as u32).build().flags(flags);
        self.push_plain(ring, entry, Tag::of(Operation::AwaitRoom, slot));
    }

    /// Fetches what the peer has sent. False: all scratch buffers are in use.
    pub(super) fn start_receive(&mut self, slot: u32) -> bool {
        let Some((number, room)) = self.memory.scratch.take() else { return false };
        let of_slot = self.slots.open_slot(slot);
        of_slot.facts |= Facts::RECEIVING;
        let handle = of_slot.handle;
        let (ring, socket, flags) = self.target(handle);
        let receive = opcode::Recv::new(socket, room, SCRATCH_BYTES as u32);
        let entry = receive.flags(libc::MSG_DONTWAIT).build().flags(flags);
        let tag = Tag { operation: Operation::Receive, detail: number, slot };
        // SAFETY: the scratch buffer is that long and is given back only when this receive has
        // completed.
        unsafe { self.push(ring, entry, tag) };
        true
    }

    pub(super) fn start_send(&mut self, slot: u32, frame: FrameKey) {
        let handle = self.slots.asked(slot).handle;
        let (ring, socket, flags) = self.target(handle);
        let number = self.memory.frames.index(frame);
        let bytes = self.memory.frames.get(number);
        let send = opcode::Send::new(socket, bytes.as_ptr(), bytes.len() as u32);
        let entry = send.flags(SEND_FLAGS).build().flags(flags | Flags::SKIP_SUCCESS);
        let tag = Tag { operation: Operation::Send, detail: number, slot };
        // SAFETY: the frame's bytes neither move nor go until the turn has submitted everything,
        // and a send that does not wait ends inside its submission.
        unsafe { self.push(ring, entry, tag) };
    }

    pub(super) fn start_flush(&mut self, slot: u32, pieces: &mut dyn Iterator<Item = Bytes>) {
        if !self.memory.flushes.has_room() {
            // Flushes do not wait: all that are queued complete in here, and their records come
            // back.
            self.enter(Duration::ZERO);
        }
        let handle = self.slots.open_slot(slot).handle;
        let (ring, socket, flags) = self.target(handle);
        let (number, message) = self.memory.flushes.fill(pieces);
        let entry = opcode::SendMsg::new(socket, message).flags(FLUSH_FLAGS as u32);
        let tag = Tag { operation: Operation::Flush, detail: number, slot };
        // SAFETY: the record with the header, the list and the pieces is given back only when this
        // flush has completed.
        unsafe { self.push(ring, entry.build().flags(flags), tag) };
    }

    /// Makes a socket of ours a handle of this driver.
    pub(super) fn adopt(&mut self, socket: OwnedFd) -> io::Result<u32> {
        if self.descriptors == Descriptors::Plain {
            return Ok(socket.into_raw_fd() as u32);
        }
        let full = || io::Error::from_raw_os_error(libc::ENFILE);
        let ring = self.places.take().ok_or_else(full)?;
        let place = self.memory.place.as_ptr();
        self.memory.place.set(socket.as_raw_fd());
        let install = opcode::FilesUpdate::new(place, 1).offset(FILE_INDEX_ALLOC);
        // SAFETY: `place` neither moves nor goes as long as the driver lives, and is used for one
        // installation at a time.
        unsafe { self.push(ring, install.build(), Tag::of(Operation::Install, 0)) };
        self.enter(Duration::ZERO);
        let error = match self.installed.take() {
            // The kernel has written where in its table it is.
            Some(1) => return Ok(handle(ring, self.memory.place.get() as u32)),
            // None installed: the table is full.
            Some(0) => full(),
            Some(result) => io::Error::from_raw_os_error(-result),
            None => unreachable!("installing completes inside its submission"),
        };
        self.places.give_back(ring);
        Err(error)
    }

    pub(super) fn start_connect(&mut self, slot: u32, to: &SocketAddrV4) {
        if !self.memory.addresses.has_room() {
            self.enter(Duration::ZERO);
        }
        let address = self.memory.addresses.put(to);
        let handle = self.slots.open_slot(slot).handle;
        let (ring, socket, flags) = self.target(handle);
        let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        let entry = opcode::Connect::new(socket, address.cast(), length).build().flags(flags);
        // SAFETY: the address stays until `enter` has returned; the kernel copies it at submission.
        unsafe { self.push(ring, entry, Tag::of(Operation::Connect, slot)) };
    }

    /// Ends everything that waits on the slot's socket, and tells the peer.
    pub(super) fn shut_down(&mut self, slot: u32) {
        let of_slot = self.slots.open_slot(slot);
        let handle = of_slot.handle;
        match self.descriptors {
            Descriptors::Plain => {
                // Fails when the peer is gone already, and wakes what waits all the same.
                // SAFETY: takes no pointers.
                unsafe { libc::shutdown(handle as RawFd, libc::SHUT_RDWR) };
            }
            Descriptors::Direct { .. } => {
                of_slot.facts |= Facts::SHUTTING;
                let socket = types::Fixed(self.descriptors.place(handle));
                let ring = self.descriptors.ring(handle);
                let entry = opcode::Shutdown::new(socket, libc::SHUT_RDWR).build();
                self.push_plain(ring, entry, Tag::of(Operation::Shutdown, slot));
            }
        }
    }

    pub(super) fn close_handle(&mut self, handle: u32) {
        let ring = self.descriptors.ring(handle);
        let place = self.descriptors.place(handle);
        let entry = match self.descriptors {
            Descriptors::Plain => opcode::Close::new(types::Fd(handle as RawFd)).build(),
            Descriptors::Direct { .. } => opcode::Close::new(types::Fixed(place)).build(),
        };
        let tag = Tag::of(Operation::Close, 0);
        self.push_plain(ring, entry.flags(Flags::SKIP_SUCCESS), tag);
        self.places.give_back(ring);
        // If all places were taken, accepting has waited for this one.
        self.arm_accepts();
    }
}

/// Addresses of connections whose CONNECT is queued.
const ADDRESSES_MAX: usize = 64;

/// See [`ADDRESSES_MAX`].
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// Never grows beyond what it was made with, so what is in it does not move.
    queued: Vec<libc::sockaddr_in>,
}

impl Addresses {
    fn has_room(&self) -> bool {
        self.queued.len() < ADDRESSES_MAX
    }

    fn put(&mut self, address: &SocketAddrV4) -> *const libc::sockaddr_in {
        self.queued.reserve_exact(ADDRESSES_MAX - self.queued.len());
        assert!(self.has_room());
        self.queued.push(sockaddr_v4(address));
        &raw const self.queued[self.queued.len() - 1]
    }

    /// The kernel has copied them all.
    pub(super) fn copied(&mut self) {
        self.queued.clear();
    }
}
