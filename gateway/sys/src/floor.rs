//! The bare cost of sending one buffer to many sockets, without outboxes, events or bookkeeping:
//! what a shard's broadcast is compared with. It goes to a driver's own sockets, so that the two
//! differ in nothing else. For measurements only: a socket that does not take the buffer whole is
//! counted and otherwise forgotten.

use crate::uring::Uring;
use bytes::Bytes;
use std::io;
use std::ops::Range;

/// Sends the buffer to each slot's socket with one `send(2)` each; returns how many did not take it
/// whole.
///
/// # Errors
/// When a socket is in a ring's own table, where system calls cannot name it.
///
/// # Panics
/// When a slot is not open.
pub fn broadcast_by_system_calls(
    driver: &Uring,
    slots: Range<u32>,
    bytes: &[u8],
) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let mut refused = 0;
    for slot in slots {
        let socket = driver.plain_descriptor(slot).ok_or_else(unnamed)?;
        // SAFETY: `bytes` is live and as long as said; the kernel only reads it.
        let sent = unsafe { libc::send(socket, bytes.as_ptr().cast(), bytes.len(), flags) };
        refused += usize::from(usize::try_from(sent) != Ok(bytes.len()));
    }
    Ok(refused)
}

fn unnamed() -> io::Error {
    let message = "system calls cannot name the sockets of a ring's own table";
    io::Error::new(io::ErrorKind::Unsupported, message)
}

/// Sends the buffer to each slot's socket by the driver's rings, `batch` sends per system call (or as
/// many as its queue takes); returns how many did not take it whole.
///
/// # Errors
/// When the kernel refuses to submit.
///
/// # Panics
/// When a slot is not open.
pub fn broadcast_by_ring(
    driver: &mut Uring,
    slots: Range<u32>,
    bytes: &Bytes,
    batch: u32,
) -> io::Result<usize> {
    driver.broadcast_bare(slots, bytes, batch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Waker;
    use crate::driver::{Driver, Event};
    use crate::socket::{ListenOptions, Listener};
    use crate::uring::{Descriptors, UringOptions};
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::time::Duration;

    /// Three rings' worth.
    const DIRECT: Descriptors = Descriptors::Direct { table: 8 };

    /// A driver with that many clients, all accepted. Its ring is shorter than a broadcast.
    fn with_clients(descriptors: Descriptors, count: u32) -> (Uring, Vec<TcpStream>) {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind(anywhere, &ListenOptions::default()).unwrap();
        let address = listener.address();
        let rings = if descriptors == DIRECT { 3 } else { 1 };
        let options = UringOptions { descriptors, rings, sq_entries: 8, ..UringOptions::default() };
        let mut driver = Uring::new(&options, Some(listener), Waker::new().unwrap()).unwrap();
        driver.accept();
        let clients = (0..count).map(|_| TcpStream::connect(address).unwrap()).collect();
        let mut opened = 0;
        while opened < count {
            let mut accepted = Vec::new();
            driver.turn(Duration::from_millis(10), &mut |event| match event {
                Event::Accepted(socket) => accepted.push(socket),
                other => panic!("{other:?}"),
            });
            for socket in accepted {
                driver.open(socket, opened);
                opened += 1;
            }
        }
        (driver, clients)
    }

    fn read(clients: &mut [TcpStream], expected: &[u8]) {
        for client in clients {
            let mut received = vec![0; expected.len()];
            client.read_exact(&mut received).unwrap();
            assert_eq!(received, expected);
        }
    }

    #[test]
    fn both_ways_reach_every_socket_and_leave_the_driver_as_it_was() {
        let (mut driver, mut clients) = with_clients(Descriptors::Plain, 20);
        assert_eq!(broadcast_by_system_calls(&driver, 0..20, b"one").unwrap(), 0);
        clients[3].write_all(b"meanwhile").unwrap();
        let two = Bytes::from_static(b"two");
        assert_eq!(broadcast_by_ring(&mut driver, 0..20, &two, 64).unwrap(), 0);
        read(&mut clients, b"onetwo");

        let mut received = Vec::new();
        while received.len() < b"meanwhile".len() {
            driver.turn(Duration::from_millis(10), &mut |event| match event {
                Event::Received(_, bytes) => received.extend_from_slice(bytes),
                other => panic!("{other:?}"),
            });
        }
        assert_eq!(received, b"meanwhile");
    }

    #[test]
    fn rings_reach_the_sockets_of_their_own_tables() {
        let (mut driver, mut clients) = with_clients(DIRECT, 20);
        let two = Bytes::from_static(b"two");
        assert_eq!(broadcast_by_ring(&mut driver, 0..20, &two, 3).unwrap(), 0);
        read(&mut clients, b"two");
        let refused = broadcast_by_system_calls(&driver, 0..20, &two).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
    }

    #[test]
    fn a_full_socket_is_counted() {
        let (mut driver, _clients) = with_clients(Descriptors::Plain, 1);
        let large = Bytes::from(vec![0; 64 << 20]);
        assert_eq!(broadcast_by_ring(&mut driver, 0..1, &large, 8).unwrap(), 1);
        assert_eq!(broadcast_by_system_calls(&driver, 0..1, &large).unwrap(), 1);
        driver.turn(Duration::ZERO, &mut |event| panic!("{event:?}"));
    }
}
