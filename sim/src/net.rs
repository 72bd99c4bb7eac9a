//! The kernel between clients and gateways: sockets with a bounded buffer toward the client, and whatever can happen to them.

use crate::canary::Canary;
use crate::clock::SimClock;
use crate::random::Random;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// One TCP connection.
#[derive(Debug)]
pub struct Pipe {
    /// Which gateway's listener it came to.
    pub gateway: usize,
    /// The client wrote it, the gateway has not read it.
    pub up: VecDeque<u8>,
    /// The client has shut its side down.
    pub up_end: bool,
    /// The client, or its network, is gone without a word.
    pub reset: bool,
    /// All that the gateway's socket has taken.
    pub down: Vec<u8>,
    /// When: (first byte, monotonic ms, Unix ms).
    pub taken_at: Vec<(usize, u64, i64)>,
    /// The client has read up to here.
    pub read: usize,
    /// Bytes that may lie between the two.
    pub window: usize,
    /// The gateway has closed it.
    pub down_end: bool,
}

impl Pipe {
    fn new(gateway: usize, window: usize) -> Self {
        Self {
            gateway,
            up: VecDeque::new(),
            up_end: false,
            reset: false,
            down: Vec::new(),
            taken_at: Vec::new(),
            read: 0,
            window,
            down_end: false,
        }
    }

    /// Bytes that the socket would take.
    pub fn room(&self) -> usize {
        self.window.saturating_sub(self.down.len() - self.read)
    }

    /// The socket takes bytes.
    pub fn take(&mut self, bytes: &[u8], clock: &SimClock) {
        if !bytes.is_empty() {
            self.taken_at.push((self.down.len(), clock.ms(), clock.unix()));
            self.down.extend_from_slice(bytes);
        }
    }

    /// When a byte was taken: monotonic, and as the wall clock had it.
    pub fn time_of(&self, offset: usize) -> (u64, i64) {
        let after = self.taken_at.partition_point(|&(first, ..)| first <= offset);
        let (_, at_ms, unix_ms) = self.taken_at[after - 1];
        (at_ms, unix_ms)
    }
}

/// All sockets.
#[derive(Debug)]
pub struct Net {
    /// By number; never reused.
    pub pipes: Vec<Pipe>,
    /// Connections that a gateway has not accepted yet.
    pub backlog: Vec<VecDeque<usize>>,
    /// What happens in the kernel.
    pub random: Random,
    /// The time of sends.
    pub clock: SimClock,
    /// So many sends in a thousand are cut short although there is room.
    pub short_permille: u64,
    /// A bug to be found.
    pub canary: Option<Canary>,
}

/// Shared by the drivers and the clients of one thread.
pub type SharedNet = Rc<RefCell<Net>>;

impl Net {
    /// A network of some gateways.
    pub fn shared(gateways: usize, random: Random, clock: SimClock) -> SharedNet {
        let backlog = (0..gateways).map(|_| VecDeque::new()).collect();
        let net =
            Self { pipes: Vec::new(), backlog, random, clock, short_permille: 50, canary: None };
        Rc::new(RefCell::new(net))
    }

    /// A client connects.
    pub fn connect(&mut self, gateway: usize, window: usize) -> usize {
        self.pipes.push(Pipe::new(gateway, window));
        self.backlog[gateway].push_back(self.pipes.len() - 1);
        self.pipes.len() - 1
    }

    /// A gateway's process has died: the kernel resets what it had.
    pub fn kill_gateway(&mut self, gateway: usize) {
        self.backlog[gateway].clear();
        for pipe in self.pipes.iter_mut().filter(|pipe| pipe.gateway == gateway) {
            pipe.down_end = true;
        }
    }
}
