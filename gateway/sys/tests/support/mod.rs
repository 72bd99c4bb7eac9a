//! A driver under test with a listener, and what happened to it so far.
#![allow(dead_code, unreachable_pub, reason = "shared by test files that each use a part")]

use bytes::Bytes;
use gpusher_sys::Waker;
use gpusher_sys::driver::{Driver, Event};
use gpusher_sys::epoll::Epoll;
use gpusher_sys::socket::{ListenOptions, Listener};
use gpusher_sys::uring::{Descriptors, Uring, UringOptions};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

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

/// Runs a test on every driver.
pub fn on_every_driver(test: impl Fn(&mut Fixture)) {
    on_every_driver_with(&ListenOptions::default(), test);
}

/// Runs a test on every driver with listeners of these options.
pub fn on_every_driver_with(options: &ListenOptions, test: impl Fn(&mut Fixture)) {
    for name in ["uring", "uring direct", "epoll"] {
        test(&mut Fixture::new(name, options));
    }
}

impl Fixture {
    fn new(name: &'static str, options: &ListenOptions) -> Self {
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), options).unwrap();
        let address = listener.address();
        let waker = Waker::new().unwrap();
        let driver: Box<dyn Driver> = match name {
            "epoll" => Box::new(Epoll::new(Some(listener), waker.clone()).unwrap()),
            _ => {
                let descriptors = match name {
                    "uring" => Descriptors::Plain,
                    _ => Descriptors::Direct { table: 4_096 },
                };
                let options = UringOptions { descriptors, ..UringOptions::default() };
                Box::new(Uring::new(&options, Some(listener), waker.clone()).unwrap())
            }
        };
        let (seen, free) = (Vec::new(), Vec::new());
        let mut fixture = Self { name, driver, address, waker, seen, free, next: 0 };
        fixture.driver.accept();
        fixture
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
