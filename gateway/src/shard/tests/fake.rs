//! A driver without a kernel: the test decides how much each socket takes, what it says and when it ends. Checks the driver's contract.

use bytes::Bytes;
use gpusher_sys::driver::{Driver, Event, FLUSH_PIECES_MAX, FrameKey, Socket};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::Duration;

/// The driver, and the test's handle on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fake(Rc<RefCell<World>>);

/// A peer: what a client would see.
#[derive(Debug)]
struct Peer {
    slot: Option<u32>,
    to_shard: VecDeque<Vec<u8>>,
    received: Vec<u8>,
    /// Size of each write, in order.
    writes: Vec<usize>,
    /// Bytes that the socket still takes.
    room: usize,
    reading: bool,
    awaiting: bool,
    hangup: Option<i32>,
    told_hangup: bool,
    is_closed: bool,
}

#[derive(Debug, Default)]
struct World {
    peers: Vec<Peer>,
    by_slot: HashMap<u32, usize>,
    arriving: VecDeque<usize>,
    accepting: bool,
    stopped: bool,
    accept_errno: Option<i32>,
    lent: Vec<Bytes>,
    /// Slots that a send or flush was asked for in this turn.
    asked: HashSet<u32>,
    results: Vec<Result>,
    closing: Vec<u32>,
    last_wait: Duration,
    last_events: usize,
    sends: u64,
}

#[derive(Debug)]
enum Result {
    Short { slot: u32, frame: Bytes, taken: u32 },
    Flushed { slot: u32, taken: u32 },
}

impl Fake {
    /// A client connects; it is accepted in a later turn.
    pub(crate) fn connect(&self) -> usize {
        let mut world = self.0.borrow_mut();
        world.peers.push(Peer {
            slot: None,
            to_shard: VecDeque::new(),
            received: Vec::new(),
            writes: Vec::new(),
            room: usize::MAX,
            reading: true,
            awaiting: false,
            hangup: None,
            told_hangup: false,
            is_closed: false,
        });
        let peer = world.peers.len() - 1;
        world.arriving.push_back(peer);
        peer
    }

    /// The client sends; it arrives as one piece.
    pub(crate) fn say(&self, peer: usize, bytes: &[u8]) {
        self.0.borrow_mut().peers[peer].to_shard.push_back(bytes.to_vec());
    }

    /// Takes what the client has received.
    pub(crate) fn take_received(&self, peer: usize) -> Vec<u8> {
        std::mem::take(&mut self.0.borrow_mut().peers[peer].received)
    }

    /// Puts bytes back that were taken too early.
    pub(crate) fn give_back(&self, peer: usize, bytes: &[u8]) {
        self.0.borrow_mut().peers[peer].received.splice(..0, bytes.iter().copied());
    }

    /// Takes the sizes of the writes it came in.
    pub(crate) fn take_writes(&self, peer: usize) -> Vec<usize> {
        std::mem::take(&mut self.0.borrow_mut().peers[peer].writes)
    }

    /// How many bytes the socket takes from now on.
    pub(crate) fn set_room(&self, peer: usize, room: usize) {
        self.0.borrow_mut().peers[peer].room = room;
    }

    /// The client is gone: with 0 it has closed, else its socket failed.
    pub(crate) fn hang_up(&self, peer: usize, errno: i32) {
        self.0.borrow_mut().peers[peer].hangup = Some(errno);
    }

    /// Whether the shard has closed the connection.
    pub(crate) fn is_closed(&self, peer: usize) -> bool {
        self.0.borrow().peers[peer].is_closed
    }

    pub(crate) fn is_reading(&self, peer: usize) -> bool {
        self.0.borrow().peers[peer].reading
    }

    pub(crate) fn has_stopped_accepting(&self) -> bool {
        self.0.borrow().stopped
    }

    /// Accepting fails once.
    pub(crate) fn fail_accept(&self, errno: i32) {
        self.0.borrow_mut().accept_errno = Some(errno);
    }

    pub(crate) fn is_accepting(&self) -> bool {
        self.0.borrow().accepting
    }

    /// The last turn was willing to wait, and nothing happened in it.
    pub(crate) fn is_idle(&self) -> bool {
        let world = self.0.borrow();
        world.last_wait > Duration::ZERO && world.last_events == 0
    }

    /// Sends and flushes asked for so far.
    pub(crate) fn sends(&self) -> u64 {
        self.0.borrow().sends
    }
}

impl World {
    fn peer(&mut self, slot: u32) -> &mut Peer {
        let peer = *self.by_slot.get(&slot).expect("the slot is open");
        &mut self.peers[peer]
    }

    fn ask(&mut self, slot: u32) {
        assert!(self.asked.insert(slot), "one send or flush per slot and turn");
        self.sends += 1;
    }

    fn write(&mut self, slot: u32, bytes: &[u8]) -> Option<usize> {
        let peer = self.peer(slot);
        if peer.hangup.is_some_and(|errno| errno != 0) {
            return None;
        }
        let taken = bytes.len().min(peer.room);
        peer.room -= if peer.room == usize::MAX { 0 } else { taken };
        peer.received.extend_from_slice(&bytes[..taken]);
        if taken > 0 {
            peer.writes.push(taken);
        }
        Some(taken)
    }
}

impl Driver for Fake {
    fn accept(&mut self) {
        let mut world = self.0.borrow_mut();
        world.accepting = !world.stopped;
    }

    fn stop_accepting(&mut self) {
        let mut world = self.0.borrow_mut();
        (world.accepting, world.stopped) = (false, true);
    }

    fn open(&mut self, socket: Socket, slot: u32) {
        let mut world = self.0.borrow_mut();
        world.peers[socket.0 as usize].slot = Some(slot);
        let before = world.by_slot.insert(slot, socket.0 as usize);
        assert_eq!(before, None, "the slot is free");
    }

    fn discard(&mut self, socket: Socket) {
        self.0.borrow_mut().peers[socket.0 as usize].is_closed = true;
    }

    fn connect(
        &mut self,
        _slot: u32,
        _source: Option<SocketAddrV4>,
        _to: SocketAddrV4,
    ) -> std::io::Result<()> {
        unreachable!("a shard connects to nobody")
    }

    fn lend(&mut self, bytes: Bytes) -> FrameKey {
        let mut world = self.0.borrow_mut();
        assert!(!bytes.is_empty());
        world.lent.push(bytes);
        FrameKey(world.lent.len() as u32 - 1)
    }

    fn send(&mut self, slot: u32, frame: FrameKey) {
        let mut world = self.0.borrow_mut();
        world.ask(slot);
        let frame = world.lent[frame.0 as usize].clone();
        if let Some(taken) = world.write(slot, &frame)
            && taken < frame.len()
        {
            world.results.push(Result::Short { slot, frame, taken: taken as u32 });
        }
    }

    fn flush(&mut self, slot: u32, pieces: &mut dyn Iterator<Item = Bytes>) {
        let mut world = self.0.borrow_mut();
        world.ask(slot);
        let pieces: Vec<Bytes> = pieces.collect();
        assert!((1..=FLUSH_PIECES_MAX).contains(&pieces.len()));
        let joined = pieces.concat();
        if let Some(taken) = world.write(slot, &joined) {
            world.results.push(Result::Flushed { slot, taken: taken as u32 });
        }
    }

    fn await_writable(&mut self, slot: u32) {
        self.0.borrow_mut().peer(slot).awaiting = true;
    }

    fn set_reading(&mut self, slot: u32, on: bool) {
        self.0.borrow_mut().peer(slot).reading = on;
    }

    fn close(&mut self, slot: u32) {
        let mut world = self.0.borrow_mut();
        world.peer(slot).is_closed = true;
        world.closing.push(slot);
    }

    fn turn(&mut self, timeout: Duration, sink: &mut dyn FnMut(Event<'_>)) {
        let mut world = self.0.borrow_mut();
        let world = &mut *world;
        world.last_wait = timeout;
        let mut events = 0;
        let mut tell = |event: Event<'_>| {
            events += 1;
            sink(event);
        };
        let closing = std::mem::take(&mut world.closing);
        for result in world.results.drain(..) {
            match result {
                Result::Short { slot, frame, taken } => tell(Event::Short { slot, frame, taken }),
                Result::Flushed { slot, taken } => tell(Event::Flushed { slot, taken }),
            }
        }
        if world.accepting
            && let Some(errno) = world.accept_errno.take()
        {
            world.accepting = false;
            tell(Event::AcceptFailed { errno });
        }
        while world.accepting {
            let Some(peer) = world.arriving.pop_front() else { break };
            tell(Event::Accepted(Socket(peer as u32)));
        }
        let mut slots: Vec<(u32, usize)> =
            world.by_slot.iter().map(|(&slot, &peer)| (slot, peer)).collect();
        slots.sort_unstable();
        for (slot, peer) in slots {
            let peer = &mut world.peers[peer];
            if peer.is_closed {
                continue;
            }
            if peer.reading
                && let Some(bytes) = peer.to_shard.pop_front()
            {
                tell(Event::Received(slot, &bytes));
            }
            let failed = peer.hangup.is_some_and(|errno| errno != 0);
            let ended = peer.hangup == Some(0) && peer.reading && peer.to_shard.is_empty();
            if (failed || ended) && !peer.told_hangup {
                peer.told_hangup = true;
                tell(Event::Hangup { slot, errno: peer.hangup.unwrap() });
            }
            if peer.awaiting && peer.room > 0 {
                peer.awaiting = false;
                tell(Event::Writable(slot));
            }
        }
        for slot in closing {
            world.by_slot.remove(&slot);
            tell(Event::Closed(slot));
        }
        world.lent.clear();
        world.asked.clear();
        world.last_events = events;
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}
