//! A driver under test with a listener, and what happened to it so far.
#![allow(dead_code, unreachable_pub, reason = "shared by test files that each use a part")]

use bytes::Bytes;
use gpusher_sys::Waker;
use gpusher_sys::driver::{Driver, Event};
use gpusher_sys::epoll::Epoll;
use gpusher_sys::socket::{ListenOptions, Listener};
use gpusher_sys::uring::{Descriptors, Uring, UringOptions};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

/// What `Fixture::fill` sends.
pub fn pattern(offset: usize) -> u8 {
    (offset % 251) as u8
}

/// Longer than anything here takes on a busy machine; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// An owned copy of an event; accepted sockets have got their slot already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Opened(u32),
    AcceptFailed(i32),
    Connected(u32),
    Received(u32, Vec<u8>),
    Hangup(u32, i32),
    Short(u32, Bytes, u32),
    Flushed(u32, u32),
    Writable(u32),
    Closed(u32),
    Woken,
}

pub struct Fixture {
    pub name: &'static str,
    pub driver: Box<dyn Driver>,
    pub address: SocketAddr,
    pub waker: Waker,
    /// Everything seen and not yet looked at.
    pub seen: Vec<Seen>,
    free: Vec<u32>,
    next: u32,
}

pub const DRIVERS: [&str; 4] = ["uring", "uring direct", "uring of rings", "epoll"];

/// Runs a test on every driver.
pub fn on_every_driver(test: impl Fn(&mut Fixture) + Sync) {
    on_every_driver_with(&ListenOptions::default(), &UringOptions::default(), test);
}

/// Runs a test on every driver with these sizes and listeners of these options.
pub fn on_every_driver_with(
    listen: &ListenOptions,
    options: &UringOptions,
    test: impl Fn(&mut Fixture) + Sync,
) {
    for name in DRIVERS {
        // Each in a thread of its own: what is left of a ring goes on interrupting the thread that had it.
        let run = || test(&mut Fixture::new(name, listen, options));
        let ended = thread::scope(|threads| threads.spawn(run).join());
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
}

/// Small buffers, so that a socket is soon full.
pub fn small_buffers() -> ListenOptions {
    ListenOptions {
        send_buffer_bytes: 16 * 1_024,
        receive_buffer_bytes: 16 * 1_024,
        ..ListenOptions::default()
    }
}

/// Makes the end of this client a reset.
pub fn reset_on_drop(client: &TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let (level, name) = (libc::SOL_SOCKET, libc::SO_LINGER);
    // SAFETY: `linger` is live and of the length given; the kernel only reads it.
    let result = unsafe {
        let bytes = size_of::<libc::linger>() as libc::socklen_t;
        libc::setsockopt(client.as_raw_fd(), level, name, (&raw const linger).cast(), bytes)
    };
    assert_eq!(result, 0);
}

/// A small generator of pseudo-random numbers (xorshift), whose seed is printed so that a failure
/// can be run again with GPUSHER_SEED.
pub struct Random(u64);

impl Random {
    pub fn new() -> Self {
        let now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 | 1;
        let given = std::env::var("GPUSHER_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(now);
        println!("GPUSHER_SEED={seed}");
        Self(seed)
    }

    /// Below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

impl Fixture {
    pub fn new(name: &'static str, listen: &ListenOptions, options: &UringOptions) -> Self {
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), listen).unwrap();
        let address = listener.address();
        let waker = Waker::new().unwrap();
        let driver: Box<dyn Driver> = match name {
            "epoll" => Box::new(Epoll::new(Some(listener), waker.clone()).unwrap()),
            _ => {
                let (descriptors, rings) = match (name, options.descriptors) {
                    ("uring", _) => (Descriptors::Plain, 1),
                    ("uring of rings", Descriptors::Plain) => {
                        (Descriptors::Direct { table: 96 }, 64)
                    }
                    (_, Descriptors::Plain) => (Descriptors::Direct { table: 4_096 }, 1),
                    (_, direct) => (direct, 1),
                };
                let options = UringOptions { descriptors, rings, ..*options };
                Box::new(Uring::new(&options, Some(listener), waker.clone()).unwrap())
            }
        };
        let (seen, free) = (Vec::new(), Vec::new());
        let mut fixture = Self { name, driver, address, waker, seen, free, next: 0 };
        fixture.driver.accept();
        fixture
    }

    /// Sends one frame to one slot.
    pub fn send(&mut self, slot: u32, bytes: impl Into<Bytes>) {
        let frame = self.driver.lend(bytes.into());
        self.driver.send(slot, frame);
    }

    /// Turns until what was sent did not fit; returns the bytes that the socket took in all. The
    /// byte at offset `i` is `pattern(i)`.
    pub fn fill(&mut self, slot: u32) -> usize {
        let mut written = 0;
        loop {
            let frame: Bytes = (written..written + 10_000).map(pattern).collect();
            self.send(slot, frame.clone());
            self.settle();
            let short = self.seen.iter().position(|seen| matches!(seen, Seen::Short(..)));
            let Some(index) = short else {
                written += frame.len();
                continue;
            };
            let Seen::Short(from, back, taken) = self.seen.remove(index) else { unreachable!() };
            assert_eq!((from, &back), (slot, &frame), "{}", self.name);
            assert!((taken as usize) < frame.len(), "{}", self.name);
            written += taken as usize;
            if taken == 0 {
                return written;
            }
        }
    }

    /// Connects and opens `count` clients.
    pub fn clients(&mut self, count: usize) -> Vec<(TcpStream, u32)> {
        (0..count).map(|_| self.client()).collect()
    }

    pub fn address_v4(&self) -> SocketAddrV4 {
        let SocketAddr::V4(address) = self.address else { panic!("an IPv4 listener") };
        address
    }

    pub fn free_slot(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        })
    }

    /// One turn. Accepted sockets are opened after it.
    pub fn turn(&mut self, timeout: Duration) {
        let (seen, free) = (&mut self.seen, &mut self.free);
        let mut accepted = Vec::new();
        self.driver.turn(timeout, &mut |event| {
            seen.push(match event {
                Event::Accepted(socket) => return accepted.push(socket),
                Event::AcceptFailed { errno } => Seen::AcceptFailed(errno),
                Event::Connected(slot) => Seen::Connected(slot),
                Event::Received(slot, bytes) => Seen::Received(slot, bytes.to_vec()),
                Event::Hangup { slot, errno } => Seen::Hangup(slot, errno),
                Event::Short { slot, frame, taken } => Seen::Short(slot, frame, taken),
                Event::Flushed { slot, taken } => Seen::Flushed(slot, taken),
                Event::Writable(slot) => Seen::Writable(slot),
                Event::Closed(slot) => {
                    free.push(slot);
                    Seen::Closed(slot)
                }
                Event::Woken => Seen::Woken,
            });
        });
        for socket in accepted {
            let slot = self.free_slot();
            self.driver.open(socket, slot);
            self.seen.push(Seen::Opened(slot));
        }
    }

    /// Turns until `find` gives something for one of the events; that event is taken out.
    pub fn until<T>(&mut self, find: impl Fn(&Seen) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(index) = self.seen.iter().position(|seen| find(seen).is_some()) {
                return find(&self.seen.remove(index)).unwrap();
            }
            assert!(Instant::now() < deadline, "{}: gave up; seen {:?}", self.name, self.seen);
            self.turn(Duration::from_millis(100));
        }
    }

    /// Turns until all work asked for so far is done and nothing more happens at once.
    pub fn settle(&mut self) {
        loop {
            let before = self.seen.len();
            self.turn(Duration::ZERO);
            if self.seen.len() == before {
                return;
            }
        }
    }

    /// Asserts that nothing has happened that was not looked at.
    pub fn expect_nothing_else(&mut self) {
        self.settle();
        assert_eq!(self.seen, [], "{}", self.name);
    }

    /// A client, and the slot its connection has here.
    pub fn client(&mut self) -> (TcpStream, u32) {
        let client = TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.set_write_timeout(Some(PATIENCE)).unwrap();
        let slot = self.until(|seen| match seen {
            Seen::Opened(slot) => Some(*slot),
            _ => None,
        });
        (client, slot)
    }

    /// Turns until `count` bytes have come from the slot.
    pub fn receive(&mut self, slot: u32, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < count {
            bytes.extend(self.until(|seen| match seen {
                Seen::Received(from, bytes) if *from == slot => Some(bytes.clone()),
                _ => None,
            }));
        }
        bytes
    }

    pub fn until_closed(&mut self, slot: u32) {
        self.until(|seen| (*seen == Seen::Closed(slot)).then_some(()));
    }

    pub fn hangup(&mut self, slot: u32) -> i32 {
        self.until(|seen| match seen {
            Seen::Hangup(from, errno) if *from == slot => Some(*errno),
            _ => None,
        })
    }

    pub fn counter(&self, name: &str) -> u64 {
        let counters = self.driver.counters();
        counters.iter().find(|(own, _)| *own == name).map_or(0, |(_, value)| *value)
    }
}
