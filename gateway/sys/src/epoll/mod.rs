//! The driver for hosts and containers where io_uring is blocked.
//!
//! Watches level-triggered: one receive per connection and turn is then fair, and what is left
//! shows again in the next turn without being remembered here. Sends go out when they are asked
//! for; what became of them is told in the turn, as with the ring.

mod events;

use crate::Waker;
use crate::accepted::Accepted;
use crate::address::connect;
use crate::driver::{Driver, Event, FLUSH_PIECES_MAX, FrameKey, Socket};
use crate::frames::Frames;
use crate::slots::{Facts, SentThisTurn, Slots};
use crate::socket::{Listener, client_socket};
use crate::syscall::{check, set_nonblocking};
use bytes::Bytes;
use std::io;
use std::marker::PhantomData;
use std::mem::{MaybeUninit, zeroed};
use std::net::SocketAddrV4;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// What the kernel is asked to give back with an event, where it is not a slot.
const LISTENER: u64 = u64::MAX;
const WAKER: u64 = u64::MAX - 1;

const EVENTS_PER_TURN_MAX: usize = 1_024;
const RECEIVE_BYTES_MAX: usize = 16 * 1_024;

/// See the module.
#[derive(Debug)]
pub struct Epoll {
    epoll: OwnedFd,
    listener: Option<Listener>,
    accepting: bool,
    accepted: Accepted,
    slots: Slots,
    frames: Frames,
    sent: SentThisTurn,
    answers: Vec<Answer>,
    closing: Vec<u32>,
    ready: Box<[libc::epoll_event]>,
    scratch: Box<[u8]>,
    counters: Counters,
    /// Kept so that the descriptor lives as long as the kernel watches it.
    _waker: Waker,
    /// As with the ring: one thread.
    _not_send: PhantomData<*const ()>,
}

/// What a call between turns led to; told in the next turn.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Short { slot: u32, frame: u32, taken: u32 },
    Flushed { slot: u32, taken: u32 },
    Failed { slot: u32, errno: i32 },
}

#[derive(Debug, Default)]
struct Counters {
    accepts_failed: u64,
    accepts_aborted: u64,
    sends_short: u64,
}

impl Epoll {
    /// Makes a driver that accepts on `listener`, if there is one, and can be woken by `waker`.
    ///
    /// # Errors
    /// When the process has no descriptor left, or the user no epoll watch
    /// (`fs.epoll.max_user_watches`).
    pub fn new(listener: Option<Listener>, waker: Waker) -> io::Result<Self> {
        // SAFETY: takes no pointers.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        let driver = Self {
            epoll,
            listener,
            accepting: false,
            accepted: Accepted::default(),
            slots: Slots::default(),
            frames: Frames::default(),
            sent: SentThisTurn::default(),
            answers: Vec::new(),
            closing: Vec::new(),
            ready: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_PER_TURN_MAX].into(),
            scratch: vec![0; RECEIVE_BYTES_MAX].into(),
            counters: Counters::default(),
            _waker: waker.clone(),
            _not_send: PhantomData,
        };
        // Each wake-up is an edge: nobody has to read the counter.
        let edges = (libc::EPOLLIN | libc::EPOLLET) as u32;
        driver.control(libc::EPOLL_CTL_ADD, waker.raw(), edges, WAKER)?;
        if let Some(listener) = &driver.listener {
            set_nonblocking(listener.as_fd())?;
            driver.control(libc::EPOLL_CTL_ADD, listener.as_fd().as_raw_fd(), 0, LISTENER)?;
        }
        Ok(driver)
    }

    fn control(&self, operation: i32, fd: RawFd, events: u32, data: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: data };
        // SAFETY: `event` is live; the kernel only reads it.
        let result =
            unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, fd, &raw mut event) };
        check(result).map(drop)
    }

    /// Tells the kernel what the slot's facts ask it to watch for.
    fn watch(&mut self, number: u32) {
        let slot = *self.slots.open_slot(number);
        if slot.facts.any(Facts::HUNG_UP) {
            return;
        }
        let mut events = 0;
        if slot.facts.any(Facts::READING) && !slot.facts.any(Facts::CONNECTING) {
            events |= libc::EPOLLIN | libc::EPOLLRDHUP;
        }
        if slot.facts.any(Facts::AWAITING_ROOM | Facts::CONNECTING) {
            events |= libc::EPOLLOUT;
        }
        let fd = slot.handle as RawFd;
        let first = !slot.facts.any(Facts::WATCHED);
        let operation = if first { libc::EPOLL_CTL_ADD } else { libc::EPOLL_CTL_MOD };
        match self.control(operation, fd, events as u32, u64::from(number)) {
            Ok(()) => self.slots.open_slot(number).facts |= Facts::WATCHED,
            // Out of watches or memory: the connection cannot be served.
            Err(error) => self.answers.push(Answer::Failed { slot: number, errno: errno(&error) }),
        }
    }

    fn listen(&mut self, events: i32) {
        if let Some(listener) = &self.listener {
            let fd = listener.as_fd().as_raw_fd();
            self.control(libc::EPOLL_CTL_MOD, fd, events as u32, LISTENER)
                .expect("the listener is watched since the driver was made");
            self.accepting = events != 0;
        }
    }
}

impl Driver for Epoll {
    fn accept(&mut self) {
        if !self.accepting {
            self.listen(libc::EPOLLIN);
        }
    }

    fn stop_accepting(&mut self) {
        self.accepting = false;
        self.listener = None;
    }

    fn open(&mut self, socket: Socket, slot: u32) {
        let handle = self.accepted.take(socket);
        self.slots.open(slot, handle, Facts::default());
        self.watch(slot);
    }

    fn discard(&mut self, socket: Socket) {
        drop(owned(self.accepted.take(socket)));
    }

    fn connect(
        &mut self,
        slot: u32,
        source: Option<SocketAddrV4>,
        to: SocketAddrV4,
    ) -> io::Result<()> {
        let socket = client_socket(source, libc::SOCK_NONBLOCK)?;
        match connect(socket.as_fd(), &to) {
            Ok(()) => {}
            Err(error) if errno(&error) == libc::EINPROGRESS => {}
            Err(error) => self.answers.push(Answer::Failed { slot, errno: errno(&error) }),
        }
        self.slots.open(slot, socket.into_raw_fd() as u32, Facts::CONNECTING);
        self.watch(slot);
        Ok(())
    }

    fn lend(&mut self, bytes: Bytes) -> FrameKey {
        self.frames.lend(bytes)
    }

    fn send(&mut self, slot: u32, frame: FrameKey) {
        let fd = self.slots.asked(slot).handle as RawFd;
        self.sent.note(&mut self.slots, slot);
        let frame = self.frames.index(frame);
        let bytes = self.frames.get(frame);
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: `bytes` is live and as long as said; the kernel only reads it.
        let sent = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) };
        match taken(sent) {
            Ok(taken) if taken as usize == bytes.len() => {}
            Ok(taken) => {
                self.counters.sends_short += 1;
                self.answers.push(Answer::Short { slot, frame, taken });
            }
            Err(errno) => self.answers.push(Answer::Failed { slot, errno }),
        }
    }

    fn flush(&mut self, slot: u32, pieces: &mut dyn Iterator<Item = Bytes>) {
        let fd = self.slots.asked(slot).handle as RawFd;
        let pieces: Vec<Bytes> = pieces.collect();
        assert!((1..=FLUSH_PIECES_MAX).contains(&pieces.len()), "a flush of {}", pieces.len());
        let mut parts = [MaybeUninit::<libc::iovec>::uninit(); FLUSH_PIECES_MAX];
        for (part, piece) in parts.iter_mut().zip(&pieces) {
            let iov_base = piece.as_ptr().cast_mut().cast();
            part.write(libc::iovec { iov_base, iov_len: piece.len() });
        }
        // SAFETY: a `msghdr` is integers and pointers, for which all zeros is a value.
        let mut message: libc::msghdr = unsafe { zeroed() };
        message.msg_iov = parts.as_mut_ptr().cast();
        message.msg_iovlen = pieces.len();
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the first `msg_iovlen` of `parts` are written and name bytes of `pieces`, which
        // is live; the kernel only reads.
        let sent = unsafe { libc::sendmsg(fd, &raw const message, flags) };
        self.answers.push(match taken(sent) {
            Ok(taken) => Answer::Flushed { slot, taken },
            Err(errno) => Answer::Failed { slot, errno },
        });
    }

    fn await_writable(&mut self, slot: u32) {
        self.slots.asked(slot).facts |= Facts::AWAITING_ROOM;
        self.watch(slot);
    }

    fn set_reading(&mut self, slot: u32, on: bool) {
        let facts = &mut self.slots.asked(slot).facts;
        if facts.any(Facts::READING) == on {
            return;
        }
        if on {
            *facts |= Facts::READING;
        } else {
            facts.remove(Facts::READING);
        }
        self.watch(slot);
    }

    fn close(&mut self, slot: u32) {
        let facts = &mut self.slots.open_slot(slot).facts;
        if !facts.any(Facts::CLOSING) {
            *facts |= Facts::CLOSING;
            self.closing.push(slot);
        }
    }

    fn turn(&mut self, timeout: Duration, sink: &mut dyn FnMut(Event<'_>)) {
        let told_already = !self.answers.is_empty() || !self.closing.is_empty();
        self.sent.end_turn(&mut self.slots);
        self.tell_answers(sink);
        self.frames.end_turn();
        self.finish_closes(sink);
        let count = self.wait(if told_already { Duration::ZERO } else { timeout });
        for index in 0..count {
            let libc::epoll_event { events, u64: data } = self.ready[index];
            match data {
                WAKER => sink(Event::Woken),
                LISTENER => self.accept_some(sink),
                slot => self.on_ready(slot as u32, events, sink),
            }
        }
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("accepts_failed", self.counters.accepts_failed),
            ("accepts_aborted", self.counters.accepts_aborted),
            ("sends_short", self.counters.sends_short),
        ]
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        self.slots.drain().chain(self.accepted.drain()).for_each(|handle| drop(owned(handle)));
    }
}

/// What a send came to: a full socket took nothing, and so did one for which the kernel had no
/// memory.
fn taken(sent: isize) -> Result<u32, i32> {
    if sent >= 0 {
        return Ok(sent as u32);
    }
    match errno(&io::Error::last_os_error()) {
        libc::EAGAIN | libc::EINTR | libc::ENOBUFS | libc::ENOMEM => Ok(0),
        errno => Err(errno),
    }
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// A handle whose slot or socket was just given up.
fn owned(handle: u32) -> OwnedFd {
    // SAFETY: the driver made or accepted this descriptor, and just took it out of the only place
    // that names it.
    unsafe { OwnedFd::from_raw_fd(handle as RawFd) }
}

/// A handle that its slot keeps open as long as it is borrowed.
fn borrowed(handle: &u32) -> BorrowedFd<'_> {
    // SAFETY: the driver closes a descriptor only after it has taken the handle out of its slot.
    unsafe { BorrowedFd::borrow_raw(*handle as RawFd) }
}
