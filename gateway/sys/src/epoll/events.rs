//! What happened, told to the shard.

use super::{Answer, Epoll, borrowed, errno, owned};
use crate::driver::Event;
use crate::slots::Facts;
use crate::socket::pending_error;
use crate::syscall::check;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

const ACCEPTS_PER_TURN_MAX: usize = 256;

impl Epoll {
    pub(super) fn tell_answers(&mut self, sink: &mut dyn FnMut(Event<'_>)) {
        for index in 0..self.answers.len() {
            let answer = self.answers[index];
            let (Answer::Short { slot, .. }
            | Answer::Flushed { slot, .. }
            | Answer::Failed { slot, .. }) = answer;
            if self.slots.open_slot(slot).facts.any(Facts::CLOSING) {
                continue;
            }
            match answer {
                Answer::Short { slot, frame, taken } => {
                    let frame = self.frames.get(frame).clone();
                    sink(Event::Short { slot, frame, taken });
                }
                Answer::Flushed { slot, taken } => sink(Event::Flushed { slot, taken }),
                Answer::Failed { slot, errno } => self.hang_up(slot, errno, sink),
            }
        }
        self.answers.clear();
    }

    pub(super) fn finish_closes(&mut self, sink: &mut dyn FnMut(Event<'_>)) {
        for number in std::mem::take(&mut self.closing) {
            drop(owned(self.slots.release(number)));
            sink(Event::Closed(number));
        }
    }

    pub(super) fn wait(&mut self, timeout: Duration) -> usize {
        // Rounded up, so that a deadline less than a millisecond away is not waited for in a busy
        // loop.
        let timeout_ms = timeout.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32;
        // SAFETY: `ready` is live and holds as many events as it is said to.
        let result = unsafe {
            libc::epoll_wait(
                self.epoll.as_raw_fd(),
                self.ready.as_mut_ptr(),
                self.ready.len() as i32,
                timeout_ms,
            )
        };
        match check(result) {
            Ok(count) => count as usize,
            Err(error) => {
                assert_eq!(errno(&error), libc::EINTR, "epoll_wait refused: {error}");
                0
            }
        }
    }

    pub(super) fn accept_some(&mut self, sink: &mut dyn FnMut(Event<'_>)) {
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            let Some(listener) = self.listener.as_ref().filter(|_| self.accepting) else { return };
            let fd = listener.as_fd().as_raw_fd();
            let nowhere = std::ptr::null_mut();
            // SAFETY: without a place for the peer's address the kernel writes nothing.
            let result =
                unsafe { libc::accept4(fd, nowhere, std::ptr::null_mut(), libc::SOCK_CLOEXEC) };
            match check(result) {
                Ok(fd) => {
                    let socket = self.accepted.put(fd as u32);
                    sink(Event::Accepted(socket));
                }
                Err(error) => match errno(&error) {
                    libc::EAGAIN => return,
                    libc::EINTR | libc::ECONNABORTED | libc::EPROTO => {
                        self.counters.accepts_aborted += 1;
                    }
                    errno => {
                        self.counters.accepts_failed += 1;
                        self.listen(0);
                        return sink(Event::AcceptFailed { errno });
                    }
                },
            }
        }
    }

    pub(super) fn on_ready(&mut self, number: u32, events: u32, sink: &mut dyn FnMut(Event<'_>)) {
        let is = |wanted: i32| events & wanted as u32 != 0;
        let slot = *self.slots.open_slot(number);
        if slot.facts.any(Facts::CONNECTING) {
            return self.on_connected(number, sink);
        }
        if is(libc::EPOLLOUT) && slot.facts.any(Facts::AWAITING_ROOM) {
            self.slots.open_slot(number).facts.remove(Facts::AWAITING_ROOM);
            self.watch(number);
            sink(Event::Writable(number));
        }
        if slot.facts.any(Facts::READING) {
            self.receive(number, sink);
        } else if is(libc::EPOLLERR | libc::EPOLLHUP) {
            let errno = pending_error(borrowed(&slot.handle));
            self.hang_up(number, errno, sink);
        }
    }

    fn on_connected(&mut self, number: u32, sink: &mut dyn FnMut(Event<'_>)) {
        let slot = self.slots.open_slot(number);
        match pending_error(borrowed(&slot.handle)) {
            0 => {
                slot.facts.remove(Facts::CONNECTING);
                self.watch(number);
                sink(Event::Connected(number));
            }
            errno => self.hang_up(number, errno, sink),
        }
    }

    fn receive(&mut self, number: u32, sink: &mut dyn FnMut(Event<'_>)) {
        let fd = self.slots.open_slot(number).handle as RawFd;
        let (room, bytes) = (self.scratch.as_mut_ptr().cast(), self.scratch.len());
        // SAFETY: `scratch` is live and has room for as many bytes as asked for.
        let received = unsafe { libc::recv(fd, room, bytes, libc::MSG_DONTWAIT) };
        match usize::try_from(received) {
            Ok(0) => self.hang_up(number, 0, sink),
            Ok(received) => sink(Event::Received(number, &self.scratch[..received])),
            Err(_) => match errno(&io::Error::last_os_error()) {
                libc::EAGAIN | libc::EINTR => {}
                errno => self.hang_up(number, errno, sink),
            },
        }
    }

    fn hang_up(&mut self, number: u32, errno: i32, sink: &mut dyn FnMut(Event<'_>)) {
        let slot = self.slots.open_slot(number);
        if slot.facts.any(Facts::HUNG_UP | Facts::CLOSING) {
            return;
        }
        slot.facts |= Facts::HUNG_UP;
        slot.facts.remove(Facts::CONNECTING | Facts::AWAITING_ROOM);
        let fd = slot.handle as RawFd;
        // Level-triggered, it would be told again in every turn.
        if slot.facts.any(Facts::WATCHED) {
            slot.facts.remove(Facts::WATCHED);
            self.control(libc::EPOLL_CTL_DEL, fd, 0, 0).expect("the slot's socket is watched");
        }
        sink(Event::Hangup { slot: number, errno });
    }
}
