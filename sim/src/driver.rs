//! The driver that a shard gets instead of a kernel: it does at once, partly, late or not at all what it is asked for, as chance has it, and keeps to
//! what `gpusher_sys::driver` promises.

use crate::canary::Canary;
use crate::net::{Pipe, SharedNet};
use crate::random::Random;
use bytes::Bytes;
use gpusher_sys::driver::{Driver, Event, FrameKey, Socket};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;
use std::time::Duration;

/// Most bytes handed over by one event.
const READ_BYTES_MAX: u64 = 2_000;
/// Turns until a close is done, at most.
const CLOSE_TURNS_MAX: u64 = 3;

/// A socket that has a slot.
#[derive(Debug)]
struct Slot {
    pipe: usize,
    reads: bool,
    wants_room: bool,
    hung_up: bool,
    /// Turns left until it is closed.
    closing: Option<u64>,
}

/// Something to report, in the order of its slot.
#[derive(Debug)]
enum Note {
    Accepted(Socket),
    AcceptFailed,
    Received(u32, Vec<u8>),
    Hangup { slot: u32, errno: i32 },
    Short { slot: u32, frame: Bytes, taken: u32 },
    Flushed { slot: u32, taken: u32 },
    Writable(u32),
    Closed(u32),
}

impl Note {
    fn slot(&self) -> Option<u32> {
        match *self {
            Self::Accepted(_) | Self::AcceptFailed => None,
            Self::Received(slot, _) | Self::Writable(slot) | Self::Closed(slot) => Some(slot),
            Self::Hangup { slot, .. } | Self::Short { slot, .. } | Self::Flushed { slot, .. } => {
                Some(slot)
            }
        }
    }
}

/// A shard's view of the simulated kernel.
pub struct SimDriver {
    net: SharedNet,
    gateway: usize,
    accepting: bool,
    stopped: bool,
    fresh: BTreeMap<u32, usize>,
    next_socket: u32,
    slots: BTreeMap<u32, Slot>,
    lent: Vec<Bytes>,
    sends: Vec<(u32, u32)>,
    flushes: Vec<(u32, Vec<u8>)>,
}

impl SimDriver {
    /// A driver for a shard of a gateway.
    pub fn new(net: SharedNet, gateway: usize) -> Self {
        Self {
            net,
            gateway,
            accepting: false,
            stopped: false,
            fresh: BTreeMap::new(),
            next_socket: 0,
            slots: BTreeMap::new(),
            lent: Vec::new(),
            sends: Vec::new(),
            flushes: Vec::new(),
        }
    }

    fn slot(&mut self, slot: u32) -> &mut Slot {
        let state = self.slots.get_mut(&slot).expect("the slot has a socket");
        assert!(state.closing.is_none(), "no call names a slot after its close");
        state
    }

    fn perform_sends(&mut self, notes: &mut Vec<Note>) {
        let mut seen = BTreeSet::new();
        for (slot, key) in std::mem::take(&mut self.sends) {
            assert!(seen.insert(slot), "one send or flush per slot and turn");
            let frame = self.lent[key as usize].clone();
            match self.write(slot, &frame, notes) {
                Some(taken) if taken < frame.len() => {
                    notes.push(Note::Short { slot, frame, taken: taken as u32 });
                }
                _ => {}
            }
        }
        for (slot, bytes) in std::mem::take(&mut self.flushes) {
            assert!(seen.insert(slot), "one send or flush per slot and turn");
            if let Some(taken) = self.write(slot, &bytes, notes) {
                notes.push(Note::Flushed { slot, taken: taken as u32 });
            }
        }
    }

    /// Bytes taken; none if the socket has failed.
    fn write(&mut self, slot: u32, bytes: &[u8], notes: &mut Vec<Note>) -> Option<usize> {
        let state = self.slots.get_mut(&slot).expect("the slot has a socket");
        let mut net = self.net.borrow_mut();
        let (clock, cut, canary) = (net.clock.clone(), net.short_permille, net.canary);
        let cut = net.random.permille(cut).then(|| net.random.below(bytes.len() as u64) as usize);
        let pipe = &mut net.pipes[state.pipe];
        if pipe.reset {
            assert!(canary != Some(Canary::PanicOnReset), "a reset");
            if !std::mem::replace(&mut state.hung_up, true) {
                notes.push(Note::Hangup { slot, errno: libc::ECONNRESET });
            }
            return None;
        }
        let taken = bytes.len().min(pipe.room()).min(cut.unwrap_or(usize::MAX));
        let lost = usize::from(canary == Some(Canary::LoseBytes) && taken > 40);
        pipe.take(&bytes[lost..taken], &clock);
        Some(taken)
    }

    fn accept_some(&mut self, notes: &mut Vec<Note>) {
        let mut net = self.net.borrow_mut();
        while self.accepting && !self.stopped {
            if net.backlog[self.gateway].is_empty() || net.random.permille(200) {
                return;
            }
            if net.random.permille(10) {
                self.accepting = false;
                notes.push(Note::AcceptFailed);
                return;
            }
            let pipe = net.backlog[self.gateway].pop_front().expect("looked at");
            self.fresh.insert(self.next_socket, pipe);
            notes.push(Note::Accepted(Socket(self.next_socket)));
            self.next_socket += 1;
        }
    }

    fn look_at_sockets(&mut self, notes: &mut Vec<Note>) {
        let mut net = self.net.borrow_mut();
        let mut closed = Vec::new();
        for (&number, slot) in &mut self.slots {
            if let Some(turns) = &mut slot.closing {
                *turns -= 1;
                if *turns == 0 {
                    net.pipes[slot.pipe].down_end = true;
                    closed.push(number);
                    notes.push(Note::Closed(number));
                }
                continue;
            }
            let crate::net::Net { pipes, random, .. } = &mut *net;
            look_at(number, slot, &mut pipes[slot.pipe], random, notes);
        }
        for slot in closed {
            self.slots.remove(&slot);
        }
    }
}

/// What a socket has to say, now or in a later turn.
fn look_at(
    number: u32,
    slot: &mut Slot,
    pipe: &mut Pipe,
    random: &mut Random,
    notes: &mut Vec<Note>,
) {
    // Once in a while there is no room after all: the kernel says what was true a moment ago.
    let room = pipe.room() > 0 || pipe.reset || random.permille(10);
    if slot.wants_room && room && !random.permille(200) {
        slot.wants_room = false;
        notes.push(Note::Writable(number));
    }
    if !slot.reads || slot.hung_up || random.permille(200) {
        return;
    }
    if pipe.reset {
        slot.hung_up = true;
        return notes.push(Note::Hangup { slot: number, errno: libc::ECONNRESET });
    }
    if !pipe.up.is_empty() {
        let most = (pipe.up.len() as u64).min(READ_BYTES_MAX);
        let count = if random.permille(300) { random.between(1, most) } else { most };
        let bytes = pipe.up.drain(..count as usize).collect();
        return notes.push(Note::Received(number, bytes));
    }
    if pipe.up_end {
        slot.hung_up = true;
        notes.push(Note::Hangup { slot: number, errno: 0 });
    }
}

/// Events of different slots in any order, those of one slot in theirs.
fn shuffle(notes: &mut Vec<Note>, random: &mut Random) {
    let mut last: BTreeMap<Option<u32>, u64> = BTreeMap::new();
    let mut keyed: Vec<(u64, Note)> = notes
        .drain(..)
        .map(|note| {
            let before = last.entry(note.slot()).or_default();
            *before = random.between(*before, u64::from(u32::MAX));
            (*before, note)
        })
        .collect();
    keyed.sort_by_key(|&(key, _)| key);
    notes.extend(keyed.into_iter().map(|(_, note)| note));
}

impl Driver for SimDriver {
    fn accept(&mut self) {
        self.accepting = true;
    }

    fn stop_accepting(&mut self) {
        self.stopped = true;
    }

    fn open(&mut self, socket: Socket, slot: u32) {
        let pipe = self.fresh.remove(&socket.0).expect("an accepted socket");
        let state = Slot { pipe, reads: true, wants_room: false, hung_up: false, closing: None };
        assert!(self.slots.insert(slot, state).is_none(), "the slot is free");
    }

    fn discard(&mut self, socket: Socket) {
        let pipe = self.fresh.remove(&socket.0).expect("an accepted socket");
        self.net.borrow_mut().pipes[pipe].down_end = true;
    }

    fn connect(&mut self, _: u32, _: Option<SocketAddrV4>, _: SocketAddrV4) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    fn lend(&mut self, bytes: Bytes) -> FrameKey {
        self.lent.push(bytes);
        FrameKey(self.lent.len() as u32 - 1)
    }

    fn send(&mut self, slot: u32, frame: FrameKey) {
        self.slot(slot);
        self.sends.push((slot, frame.0));
    }

    fn flush(&mut self, slot: u32, pieces: &mut dyn Iterator<Item = Bytes>) {
        self.slot(slot);
        let bytes = pieces.flat_map(|piece| piece.to_vec()).collect();
        self.flushes.push((slot, bytes));
    }

    fn await_writable(&mut self, slot: u32) {
        self.slot(slot).wants_room = true;
    }

    fn set_reading(&mut self, slot: u32, on: bool) {
        self.slot(slot).reads = on;
    }

    fn close(&mut self, slot: u32) {
        let turns = self.net.borrow_mut().random.between(1, CLOSE_TURNS_MAX);
        let state = self.slots.get_mut(&slot).expect("the slot has a socket");
        state.closing.get_or_insert(turns);
    }

    fn turn(&mut self, _: Duration, sink: &mut dyn FnMut(Event<'_>)) {
        let mut notes = Vec::new();
        self.perform_sends(&mut notes);
        self.lent.clear();
        self.accept_some(&mut notes);
        self.look_at_sockets(&mut notes);
        shuffle(&mut notes, &mut self.net.borrow_mut().random);
        for note in notes {
            sink(match note {
                Note::Accepted(socket) => Event::Accepted(socket),
                Note::AcceptFailed => Event::AcceptFailed { errno: libc::EMFILE },
                Note::Received(slot, ref bytes) => Event::Received(slot, bytes),
                Note::Hangup { slot, errno } => Event::Hangup { slot, errno },
                Note::Short { slot, frame, taken } => Event::Short { slot, frame, taken },
                Note::Flushed { slot, taken } => Event::Flushed { slot, taken },
                Note::Writable(slot) => Event::Writable(slot),
                Note::Closed(slot) => Event::Closed(slot),
            });
        }
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}
