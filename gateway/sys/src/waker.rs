//! Wakes a sleeping driver from any thread.

use crate::syscall::check;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// An eventfd. Drivers watch it edge-triggered and need not read it: each write is an edge of its
/// own, and a 64-bit counter does not fill up.
#[derive(Debug, Clone)]
pub struct Waker {
    eventfd: Arc<OwnedFd>,
}

impl Waker {
    /// Makes one.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes no pointers.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
        let eventfd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { eventfd: Arc::new(eventfd) })
    }

    /// Ends the driver's present or next wait with [`crate::driver::Event::Woken`].
    pub fn wake(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: `one` is eight live bytes, which is what an eventfd takes.
        let written =
            unsafe { libc::write(self.eventfd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        // Fails only when the counter is full, which takes 2^64 wake-ups.
        assert!(written == 8, "an eventfd refused a wake-up");
    }

    /// Takes back what was written, for a driver that begins to watch it again.
    pub(crate) fn drain(&self) {
        let mut count = [0; 8];
        // SAFETY: `count` is eight live bytes, which is what an eventfd gives. It does not block,
        // and fails only when nothing was written.
        unsafe { libc::read(self.eventfd.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }

    /// For drivers, which keep a clone of the waker for as long as they watch this.
    pub(crate) fn raw(&self) -> RawFd {
        self.eventfd.as_raw_fd()
    }
}
