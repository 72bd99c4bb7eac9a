//! Whether the running kernel does what the ring's driver relies on, tried at start over a loopback
//! connection: a few milliseconds.
//!
//! The documentation of io_uring promises most of it, but kernels differ, containers pretend to be
//! kernels (gVisor), and the one that loses bytes silently is the one that nobody would notice. The
//! driver itself is what is tested, as a shard uses it.

use crate::Waker;
use crate::driver::{Driver, Event};
use crate::socket::{ListenOptions, Listener};
use crate::syscall::set_linger;
use crate::uring::{Descriptors, RingFlags, Uring, UringError, UringOptions};
use bytes::Bytes;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long any single step may take on an overloaded machine.
const STEP_MAX: Duration = Duration::from_secs(5);

const SMALL: &[u8] = b"self-test";
/// More than the socket buffers below hold.
const LARGE_BYTES: usize = 512 << 10;
const SENDS_UNTIL_FULL_MAX: usize = 64;
const SOCKET_BUFFER_BYTES: u32 = 16 * 1_024;

/// Tries everything, and says how much of the wanted set-up the kernel took.
///
/// # Errors
/// With what does not hold, or why it could not be tried, and the remedy.
pub fn run(descriptors: Descriptors) -> Result<RingFlags, UringError> {
    run_with(descriptors, RingFlags::All)
}

fn run_with(descriptors: Descriptors, flags: RingFlags) -> Result<RingFlags, UringError> {
    let mut test = SelfTest::new(descriptors, flags)?;
    let mut client = test.accepts()?;
    test.receives(&mut client)?;
    test.skips_completions(&mut client)?;
    test.reports_short_sends(&mut client)?;
    test.reports_failed_sends()?;
    test.closes(client)?;
    test.wakes()?;
    Ok(test.driver.ring_flags())
}

/// The slot of the connection under test.
const SLOT: u32 = 0;

struct SelfTest {
    driver: Uring,
    address: SocketAddr,
    waker: Waker,
    seen: Vec<Seen>,
    sockets: Vec<crate::driver::Socket>,
}

/// The events that matter here, owned.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Accepted,
    AcceptFailed(i32),
    Received(Vec<u8>),
    Hangup(u32, i32),
    Short { taken: usize },
    Flushed { taken: usize },
    Writable,
    Closed,
    Woken,
    Other,
}

impl SelfTest {
    fn new(descriptors: Descriptors, flags: RingFlags) -> Result<Self, UringError> {
        let (sq_entries, cq_entries, scratch_buffers) = (32, 64, 4);
        let rings = 1;
        let options =
            UringOptions { descriptors, rings, flags, sq_entries, cq_entries, scratch_buffers };
        let listen = ListenOptions {
            send_buffer_bytes: SOCKET_BUFFER_BYTES,
            receive_buffer_bytes: SOCKET_BUFFER_BYTES,
            ..ListenOptions::default()
        };
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind(loopback, &listen)
            .map_err(|error| other("listening on loopback", error.source))?;
        let address = listener.address();
        let waker = Waker::new().map_err(|source| other("making an eventfd", source))?;
        let mut driver = Uring::new(&options, Some(listener), waker.clone())?;
        driver.accept();
        Ok(Self { driver, address, waker, seen: Vec::new(), sockets: Vec::new() })
    }

    fn accepts(&mut self) -> Result<TcpStream, UringError> {
        let check = "one accept takes several connections";
        let first = self.connect()?;
        self.expect(check, |seen| (*seen == Seen::Accepted).then_some(()))?;
        let second = self.connect()?;
        self.expect(check, |seen| (*seen == Seen::Accepted).then_some(()))?;
        let (second_socket, first_socket) = (self.sockets.pop(), self.sockets.pop());
        let (Some(second_socket), Some(first_socket)) = (second_socket, first_socket) else {
            return fail(check, "an accept without a socket".into());
        };
        self.driver.open(first_socket, SLOT);
        self.driver.open(second_socket, SLOT + 1);
        // Its end resets the second connection, for `reports_failed_sends`.
        reset(second)?;
        Ok(first)
    }

    fn receives(&mut self, client: &mut TcpStream) -> Result<(), UringError> {
        let check = "a poll completes when bytes come, and a receive does not wait";
        for _ in 0..2 {
            client.write_all(SMALL).map_err(|source| other("writing to loopback", source))?;
            self.expect(check, |seen| (*seen == Seen::Received(SMALL.to_vec())).then_some(()))?;
        }
        Ok(())
    }

    fn skips_completions(&mut self, client: &mut TcpStream) -> Result<(), UringError> {
        let check = "a send that is taken whole posts no completion";
        self.turn(Duration::ZERO);
        let before = self.completions();
        self.send(SLOT, Bytes::from_static(SMALL));
        self.turn(Duration::ZERO);
        if self.completions() != before {
            return fail(check, "it posted one".into());
        }
        let mut received = [0; SMALL.len()];
        let read = client.read_exact(&mut received);
        if read.is_err() || received != SMALL {
            return fail(check, format!("its bytes did not arrive inside the turn: {read:?}"));
        }
        Ok(())
    }

    fn reports_short_sends(&mut self, client: &mut TcpStream) -> Result<(), UringError> {
        let check = "a send that is taken in part posts how far it came";
        let large: Bytes = (0..LARGE_BYTES).map(|index| (index / 251) as u8).collect();
        self.send(SLOT, large.clone());
        self.turn(Duration::ZERO);
        let mut written = self.now(check, short)?;
        if written == 0 || written >= LARGE_BYTES {
            return fail(check, format!("{written} of {LARGE_BYTES} bytes"));
        }

        let check = "a send to a full socket is refused at once";
        for _ in 0..SENDS_UNTIL_FULL_MAX {
            self.send(SLOT, large.slice(written..));
            self.turn(Duration::ZERO);
            match self.now(check, short)? {
                0 => break,
                taken => written += taken,
            }
        }

        let check = "bytes reported as taken are those that arrive";
        let reader = client.try_clone().map_err(|source| other("duplicating a socket", source))?;
        let expected = large.clone();
        let reader = std::thread::spawn(move || arrives(reader, &expected));
        while written < LARGE_BYTES {
            self.driver.await_writable(SLOT);
            self.expect(check, |seen| (*seen == Seen::Writable).then_some(()))?;
            self.driver.flush(SLOT, &mut std::iter::once(large.slice(written..)));
            written += self.expect(check, |seen| match seen {
                Seen::Flushed { taken } => Some(*taken),
                _ => None,
            })?;
        }
        match reader.join() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(seen)) => fail(check, seen),
            Err(_) => fail(check, "the reader panicked".into()),
        }
    }

    /// The second connection was reset by its peer right after it was made.
    fn reports_failed_sends(&mut self) -> Result<(), UringError> {
        let check = "a reset connection is reported";
        self.expect(check, |seen| match seen {
            Seen::Hangup(slot, errno) if *slot == SLOT + 1 => Some(*errno),
            _ => None,
        })?;
        let before = self.completions();
        self.send(SLOT + 1, Bytes::from_static(SMALL));
        self.turn(Duration::ZERO);
        if self.completions() == before {
            return fail("a send that fails posts a completion", "it posted none".into());
        }
        Ok(())
    }

    fn closes(&mut self, mut client: TcpStream) -> Result<(), UringError> {
        let check = "a shutdown ends the poll, and the peer sees the end";
        for slot in [SLOT, SLOT + 1] {
            self.driver.close(slot);
            self.expect(check, |seen| (*seen == Seen::Closed).then_some(()))?;
        }
        match client.read(&mut [0]) {
            Ok(0) => Ok(()),
            seen => fail(check, format!("the peer saw {seen:?}")),
        }
    }

    fn wakes(&mut self) -> Result<(), UringError> {
        for _ in 0..2 {
            self.waker.wake();
            let check = "each write to an eventfd that nobody reads wakes";
            self.expect(check, |seen| (*seen == Seen::Woken).then_some(()))?;
        }
        Ok(())
    }

    fn connect(&self) -> Result<TcpStream, UringError> {
        let connect = || {
            let client = TcpStream::connect_timeout(&self.address, STEP_MAX)?;
            client.set_read_timeout(Some(STEP_MAX))?;
            client.set_write_timeout(Some(STEP_MAX))?;
            Ok(client)
        };
        connect().map_err(|source| other("connecting over loopback", source))
    }

    fn send(&mut self, slot: u32, bytes: Bytes) {
        let frame = self.driver.lend(bytes);
        self.driver.send(slot, frame);
    }

    fn completions(&self) -> u64 {
        let counters = self.driver.counters();
        counters.iter().find(|(name, _)| *name == "completions").map_or(0, |(_, count)| *count)
    }

    fn turn(&mut self, timeout: Duration) {
        let (seen, sockets) = (&mut self.seen, &mut self.sockets);
        self.driver.turn(timeout, &mut |event| {
            seen.push(match event {
                Event::Accepted(socket) => {
                    sockets.push(socket);
                    Seen::Accepted
                }
                Event::AcceptFailed { errno } => Seen::AcceptFailed(errno),
                Event::Received(SLOT, bytes) => Seen::Received(bytes.to_vec()),
                Event::Hangup { slot, errno } => Seen::Hangup(slot, errno),
                Event::Short { taken, .. } => Seen::Short { taken: taken as usize },
                Event::Flushed { taken, .. } => Seen::Flushed { taken: taken as usize },
                Event::Writable(SLOT) => Seen::Writable,
                Event::Closed(_) => Seen::Closed,
                Event::Woken => Seen::Woken,
                _ => Seen::Other,
            });
        });
    }

    /// What `find` looks for, among what was seen already.
    fn now<T>(
        &mut self,
        check: &'static str,
        find: impl Fn(&Seen) -> Option<T>,
    ) -> Result<T, UringError> {
        match self.seen.iter().position(|seen| find(seen).is_some()) {
            Some(index) => match find(&self.seen.swap_remove(index)) {
                Some(found) => Ok(found),
                None => fail(check, "something else".into()),
            },
            None => fail(check, format!("seen was {:?}", self.seen)),
        }
    }

    /// What `find` looks for, waited for.
    fn expect<T>(
        &mut self,
        check: &'static str,
        find: impl Fn(&Seen) -> Option<T>,
    ) -> Result<T, UringError> {
        let deadline = Instant::now() + STEP_MAX;
        while !self.seen.iter().any(|seen| find(seen).is_some()) && Instant::now() < deadline {
            self.turn(Duration::from_millis(100));
        }
        self.now(check, find)
    }
}

fn short(seen: &Seen) -> Option<usize> {
    match seen {
        Seen::Short { taken } => Some(*taken),
        _ => None,
    }
}

/// Reads exactly `expected`.
fn arrives(mut reader: TcpStream, expected: &[u8]) -> Result<(), String> {
    let mut received = vec![0; expected.len()];
    reader.read_exact(&mut received).map_err(|error| format!("reading ended with {error}"))?;
    match received.iter().zip(expected).position(|(one, other)| one != other) {
        None => Ok(()),
        Some(index) => Err(format!("byte {index} differs")),
    }
}

/// Ends a connection with a reset.
fn reset(client: TcpStream) -> Result<(), UringError> {
    set_linger(client.as_fd(), 0).map_err(|source| other("setting SO_LINGER", source))?;
    drop(client);
    Ok(())
}

fn other(doing: &'static str, source: std::io::Error) -> UringError {
    UringError::Other { doing, source }
}

fn fail<T>(check: &'static str, seen: String) -> Result<T, UringError> {
    Err(UringError::SelfTest { check, seen })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_passes_in_every_configuration() {
        for descriptors in [Descriptors::Plain, Descriptors::Direct { table: 16 }] {
            for flags in RingFlags::BEST_FIRST {
                assert_eq!(run_with(descriptors, flags).unwrap(), flags);
            }
        }
    }

    #[test]
    fn a_table_above_the_limit_is_refused_with_the_remedy() {
        let error = run(Descriptors::Direct { table: 1 << 21 }).unwrap_err();
        assert!(matches!(error, UringError::TableTooLarge { entries: 2_097_152, .. }), "{error}");
        assert!(error.to_string().contains("LimitNOFILE"));
    }
}
