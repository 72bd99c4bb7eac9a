//! The bare cost of sending one buffer to many sockets, without slots, events or outboxes: what a
//! driver's broadcast is compared with. For measurements only: a socket that does not take the
//! buffer whole is counted and otherwise forgotten.

use bytes::Bytes;
use io_uring::squeue::Flags;
use io_uring::{IoUring, opcode, types};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sends the buffer to each socket with one `send(2)` each; returns how many did not take it whole.
#[must_use]
pub fn broadcast_by_system_calls(sockets: &[BorrowedFd<'_>], bytes: &[u8]) -> usize {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let refused = |socket: &&BorrowedFd<'_>| {
        // SAFETY: `bytes` is live and as long as said; the kernel only reads it.
        let sent =
            unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
        usize::try_from(sent) != Ok(bytes.len())
    };
    sockets.iter().filter(refused).count()
}

/// A ring with nothing around it.
pub struct FloorRing {
    ring: IoUring,
    /// What entries that are not submitted yet may name: nothing, unless the last broadcast failed.
    queued: Vec<Bytes>,
}

impl FloorRing {
    /// Makes a ring that submits `batch` sends (a power of two) per system call.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new(batch: u32) -> io::Result<Self> {
        let mut builder = IoUring::builder();
        builder.setup_single_issuer().setup_defer_taskrun().setup_submit_all();
        builder.setup_no_sqarray().setup_clamp().setup_cqsize(65_536);
        Ok(Self { ring: builder.build(batch)?, queued: Vec::new() })
    }

    /// Sends the buffer to each socket; returns how many did not take it whole.
    ///
    /// # Errors
    /// When the kernel refuses to submit.
    pub fn broadcast(&mut self, sockets: &[BorrowedFd<'_>], bytes: &Bytes) -> io::Result<usize> {
        let batch = self.ring.params().sq_entries() as usize;
        let length = u32::try_from(bytes.len()).map_err(|_| too_long())?;
        self.queued.push(bytes.clone());
        let mut refused = 0;
        for sockets in sockets.chunks(batch) {
            for socket in sockets {
                let socket = types::Fd(socket.as_raw_fd());
                let flags = libc::MSG_DONTWAIT | libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
                let send = opcode::Send::new(socket, bytes.as_ptr(), length).flags(flags);
                let entry = send.build().flags(Flags::SKIP_SUCCESS);
                // SAFETY: `queued` keeps the bytes until the queue is empty, and a send that does
                // not wait ends inside its submission.
                let pushed = unsafe { self.ring.submission().push(&entry) };
                pushed.map_err(|_| io::Error::other("an earlier broadcast is still queued"))?;
            }
            refused += self.submit_all()?;
        }
        self.queued.clear();
        Ok(refused)
    }

    fn submit_all(&mut self) -> io::Result<usize> {
        let mut refused = 0;
        while !self.ring.submission().is_empty() {
            match self.ring.submit() {
                Ok(_) => {}
                Err(error) if is_passing(&error) => std::thread::yield_now(),
                Err(error) => return Err(error),
            }
            refused += self.ring.completion().count();
        }
        Ok(refused)
    }
}

impl std::fmt::Debug for FloorRing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("FloorRing").finish_non_exhaustive()
    }
}

fn is_passing(error: &io::Error) -> bool {
    let errno = error.raw_os_error();
    matches!(errno, Some(libc::EINTR | libc::EAGAIN | libc::EBUSY | libc::ENOMEM))
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a buffer of 4 GiB or more")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    #[test]
    fn both_ways_reach_every_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut clients: Vec<_> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
        let servers: Vec<_> = (0..20).map(|_| listener.accept().unwrap().0).collect();
        let sockets: Vec<_> = servers.iter().map(AsFd::as_fd).collect();

        assert_eq!(broadcast_by_system_calls(&sockets, b"one"), 0);
        // Fewer at once than there are sockets, so that several batches are needed.
        let mut ring = FloorRing::new(8).unwrap();
        assert_eq!(ring.broadcast(&sockets, &Bytes::from_static(b"two")).unwrap(), 0);
        for client in &mut clients {
            let mut received = [0; 6];
            client.read_exact(&mut received).unwrap();
            assert_eq!(&received, b"onetwo");
        }
    }

    #[test]
    fn a_full_socket_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().unwrap().0;
        let large = Bytes::from(vec![0; 64 << 20]);
        let mut ring = FloorRing::new(8).unwrap();
        assert_eq!(ring.broadcast(&[server.as_fd()], &large).unwrap(), 1);
        assert_eq!(broadcast_by_system_calls(&[server.as_fd()], &large), 1);
    }
}
