//! Answers: one small function per operation.

use super::Uring;
use super::place::handle;
use super::ring::Completion;
use super::tag::Operation;
use crate::driver::Event;
use crate::slots::Facts;

impl Uring {
    /// Handles what has been collected so far; what comes of it is for the next round.
    pub(super) fn complete_collected(&mut self, sink: &mut dyn FnMut(Event<'_>)) {
        for _ in 0..self.rings.collected() {
            let completion = self.rings.take().expect("as many as were counted");
            self.complete(completion, sink);
        }
    }

    fn complete(&mut self, completion: Completion, sink: &mut dyn FnMut(Event<'_>)) {
        let Completion { ring, tag, result, more } = completion;
        match tag.operation {
            Operation::Accept => self.on_accept(ring, result, more, sink),
            Operation::Wake => {
                if !more {
                    self.watch_waker();
                }
                sink(Event::Woken);
            }
            // What the other rings have to say is collected in every round.
            Operation::Bell => {
                if !more {
                    self.watch_bell();
                }
            }
            Operation::Watch => self.on_watch(completion, sink),
            Operation::Receive => self.on_receive(completion, sink),
            Operation::Send => self.on_send(completion, sink),
            Operation::Flush => self.on_flush(tag.slot, result, sink),
            Operation::AwaitRoom => {
                if self.ended(tag.slot, Facts::AWAITING_ROOM, sink) {
                    sink(Event::Writable(tag.slot));
                }
            }
            Operation::Connect => self.on_connect(tag.slot, result, sink),
            Operation::Shutdown => {
                self.ended(tag.slot, Facts::SHUTTING, sink);
            }
            // Settled when they were collected.
            Operation::Install | Operation::Bare => {}
            // Only a failure posts; the kernel reports late errors here, but the descriptor is gone
            // in every case.
            Operation::Close => assert_ne!(result, -libc::EBADF, "a descriptor was closed twice"),
        }
    }

    /// Notes that an operation has ended. False: its slot is being closed, or has hung up, and
    /// nobody wants to hear of it.
    fn ended(&mut self, slot: u32, operation: Facts, sink: &mut dyn FnMut(Event<'_>)) -> bool {
        let facts = &mut self.slots.open_slot(slot).facts;
        facts.remove(operation);
        if facts.any(Facts::CLOSING) {
            self.finish_close(slot, sink);
            return false;
        }
        !facts.any(Facts::HUNG_UP)
    }

    fn hang_up(&mut self, slot: u32, errno: i32, sink: &mut dyn FnMut(Event<'_>)) {
        let facts = &mut self.slots.open_slot(slot).facts;
        if !facts.any(Facts::HUNG_UP | Facts::CLOSING) {
            *facts |= Facts::HUNG_UP;
            sink(Event::Hangup { slot, errno });
        }
    }

    fn on_accept(&mut self, ring: u32, result: i32, more: bool, sink: &mut dyn FnMut(Event<'_>)) {
        self.accept.armed -= u32::from(!more);
        match -result {
            ..=0 => {
                let socket = self.accepted.put(handle(ring, result as u32));
                sink(Event::Accepted(socket));
            }
            errno => {
                self.places.give_back(ring);
                self.on_accept_failed(errno, sink);
            }
        }
        self.arm_accepts();
        if self.accept.wanted && self.accept.armed == 0 && self.listener.is_some() {
            // No place left: who connects waits until the shard has closed others.
            self.on_accept_failed(libc::ENFILE, sink);
        }
    }

    fn on_accept_failed(&mut self, errno: i32, sink: &mut dyn FnMut(Event<'_>)) {
        match errno {
            libc::EINTR | libc::EAGAIN | libc::ECONNABORTED | libc::EPROTO => {
                self.counters.accepts_aborted += 1;
            }
            // The listener was shut down by us, or this has been said.
            _ if !self.accept.wanted => {}
            errno => {
                // Armed again when the shard says so, which it does after a pause.
                self.accept.wanted = false;
                self.counters.accepts_failed += 1;
                sink(Event::AcceptFailed { errno });
            }
        }
    }

    fn on_watch(&mut self, completion: Completion, sink: &mut dyn FnMut(Event<'_>)) {
        let slot = completion.tag.slot;
        let facts = &mut self.slots.open_slot(slot).facts;
        if facts.any(Facts::CLOSING | Facts::HUNG_UP) {
            self.ended(slot, Facts::WATCHED, sink);
        } else if completion.result < 0 {
            facts.remove(Facts::WATCHED);
            self.hang_up(slot, -completion.result, sink);
        } else if !facts.any(Facts::READING) {
            facts.remove(Facts::WATCHED);
            *facts |= Facts::PARKED;
        } else if self.start_receive(slot) {
            // Submitted right behind the receive, so it looks at what that left.
            self.slots.open_slot(slot).facts.remove(Facts::WATCHED);
            self.watch(slot);
        } else {
            self.counters.scratch_exhausted += 1;
            self.rings.put_back(completion);
        }
    }

    fn on_receive(&mut self, completion: Completion, sink: &mut dyn FnMut(Event<'_>)) {
        let slot = completion.tag.slot;
        let scratch = completion.tag.detail;
        if self.ended(slot, Facts::RECEIVING, sink) {
            match completion.result {
                0 => self.hang_up(slot, 0, sink),
                1.. => {
                    let bytes = self.memory.scratch.bytes(scratch, completion.result as usize);
                    sink(Event::Received(slot, bytes));
                }
                // Woken for nothing. The socket is watched again already.
                error if is_transient(-error) => {}
                error => self.hang_up(slot, -error, sink),
            }
        }
        self.memory.scratch.give_back(scratch);
    }

    /// Only a send that the socket did not take whole gets here.
    fn on_send(&mut self, completion: Completion, sink: &mut dyn FnMut(Event<'_>)) {
        let slot = completion.tag.slot;
        if self.slots.open_slot(slot).facts.any(Facts::CLOSING) {
            return;
        }
        let taken = match completion.result {
            taken @ 0.. => taken as u32,
            error if is_transient(-error) => 0,
            error => return self.hang_up(slot, -error, sink),
        };
        self.counters.sends_short += 1;
        let frame = self.memory.frames.get(completion.tag.detail).clone();
        sink(Event::Short { slot, frame, taken });
    }

    fn on_flush(&mut self, slot: u32, result: i32, sink: &mut dyn FnMut(Event<'_>)) {
        let facts = &mut self.slots.open_slot(slot).facts;
        facts.remove(Facts::FLUSHING);
        if facts.any(Facts::CLOSING) {
            self.finish_close(slot, sink);
            return;
        }
        match result {
            taken @ 0.. => sink(Event::Flushed { slot, taken: taken as u32 }),
            error if is_transient(-error) => sink(Event::Flushed { slot, taken: 0 }),
            error => self.hang_up(slot, -error, sink),
        }
    }

    fn on_connect(&mut self, slot: u32, result: i32, sink: &mut dyn FnMut(Event<'_>)) {
        if !self.ended(slot, Facts::CONNECTING, sink) {
            return;
        }
        if result < 0 {
            return self.hang_up(slot, -result, sink);
        }
        self.watch(slot);
        sink(Event::Connected(slot));
    }
}

/// Full, interrupted, or no memory for one more segment just now.
fn is_transient(errno: i32) -> bool {
    matches!(errno, libc::EAGAIN | libc::EINTR | libc::ENOBUFS | libc::ENOMEM)
}
