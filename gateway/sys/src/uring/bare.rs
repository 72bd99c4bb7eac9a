//! One buffer to many of the driver's sockets with nothing around it: what the rings alone cost. See
//! [`crate::floor`].

use super::request::SEND_FLAGS;
use super::tag::{Operation, Tag};
use super::{Descriptors, Uring};
use bytes::Bytes;
use io_uring::opcode;
use io_uring::squeue::Flags;
use std::io;
use std::ops::Range;
use std::os::fd::RawFd;
use std::time::Duration;

impl Uring {
    pub(crate) fn broadcast_bare(
        &mut self,
        slots: Range<u32>,
        bytes: &Bytes,
        batch: u32,
    ) -> io::Result<usize> {
        // What is queued already is not part of it.
        self.enter(Duration::ZERO);
        let known = self.rings.collected();
        let mut rest = slots;
        while !rest.is_empty() {
            let (ring, queued) = self.queue_bare(rest.clone(), bytes, batch);
            self.submit_bare(ring).inspect_err(|_| {
                // Entries that are still queued name the bytes.
                std::mem::forget(bytes.clone());
            })?;
            rest.start += queued;
        }
        // Only those sends post a completion that were not taken whole.
        let collected = self.rings.collected_after(known);
        Ok(collected.filter(|completion| completion.tag.operation == Operation::Bare).count())
    }

    /// Queues one batch: the first slots, as far as they belong to one ring. Returns that, and how
    /// many they are.
    fn queue_bare(&mut self, slots: Range<u32>, bytes: &Bytes, batch: u32) -> (u32, u32) {
        let length = u32::try_from(bytes.len()).expect("a frame of less than 4 GiB");
        let tag = Tag::of(Operation::Bare, 0).pack();
        let ring = self.descriptors.ring(self.slots.handle(slots.start));
        let io_uring = self.rings.one(ring).0.io_uring_mut();
        let batch = batch.clamp(1, io_uring.params().sq_entries());
        let mut queue = io_uring.submission();
        let mut queued = 0;
        for slot in slots.take(batch as usize) {
            let handle = self.slots.handle(slot);
            if self.descriptors.ring(handle) != ring {
                break;
            }
            let (socket, flags) = self.descriptors.target(handle);
            let send = opcode::Send::new(socket, bytes.as_ptr(), length).flags(SEND_FLAGS);
            let entry = send.build().flags(flags | Flags::SKIP_SUCCESS).user_data(tag);
            // SAFETY: the caller keeps the bytes until everything is submitted, and a send that does
            // not wait ends inside its submission.
            let pushed = unsafe { queue.push(&entry) };
            pushed.expect("the queue was empty, and a batch fits");
            queued += 1;
        }
        (ring, queued)
    }

    fn submit_bare(&mut self, ring: u32) -> io::Result<()> {
        let (ring, collected) = self.rings.one(ring);
        while !ring.io_uring_mut().submission().is_empty() {
            match ring.io_uring().submit() {
                Ok(_) => {}
                Err(error) if is_passing(&error) => std::thread::yield_now(),
                Err(error) => return Err(error),
            }
            ring.collect(collected);
        }
        Ok(())
    }

    /// The process's descriptor of a slot; none if it is in a ring's own table.
    pub(crate) fn plain_descriptor(&self, slot: u32) -> Option<RawFd> {
        let plain = self.descriptors == Descriptors::Plain;
        plain.then(|| self.slots.handle(slot) as RawFd)
    }
}

fn is_passing(error: &io::Error) -> bool {
    let errno = error.raw_os_error();
    matches!(errno, Some(libc::EINTR | libc::EAGAIN | libc::EBUSY | libc::ENOMEM))
}
