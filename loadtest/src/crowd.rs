//! What the connections of one thread know: a byte of state each, half frames while there are any, and what was seen of each series.

use crate::measure::Series;
use crate::message::{Clock, Stamp};
use crate::protocol::{Broken, CHANNELS, Heard, Protocol};
use bytes::Bytes;
use gpusher_sys::driver::Event;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that the display reads while threads run.
#[derive(Debug, Default)]
pub struct Progress {
    /// Logins accepted, of connections that are still there.
    pub logged_in: AtomicU64,
    /// Connections that ended though nobody asked them to.
    pub lost: AtomicU64,
    /// Logins refused.
    pub refused: AtomicU64,
    /// Messages received, duplicates included.
    pub messages: AtomicU64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Idle,
    Connecting,
    LoggingIn,
    Ready,
    Gone,
}

/// What a connection has to send.
#[derive(Debug)]
pub(crate) enum Due {
    /// Its login.
    Login(u32),
    /// An answer to what it got.
    Reply(u32, Bytes),
    /// The rest of something that did not fit.
    Rest(u32, Bytes),
    /// Its descriptor is to be closed.
    Close(u32),
}

/// All connections of one thread.
#[derive(Debug)]
pub(crate) struct Crowd<P> {
    protocol: P,
    /// What is known of the connections. Apart from the protocol, which reads while this listens.
    ear: Ear,
    halves: FxHashMap<u32, Vec<u8>>,
}

/// What came of what was read.
#[derive(Debug)]
struct Ear {
    /// Index of the thread's first client.
    first: u32,
    clock: Clock,
    progress: Arc<Progress>,
    states: Vec<State>,
    /// Highest kept sequence per channel that was received and not acknowledged.
    unacknowledged: FxHashMap<u32, [u64; CHANNELS]>,
    series: FxHashMap<u32, Series>,
    due: Vec<Due>,
}

impl<P: Protocol> Crowd<P> {
    /// Clients `first` and up, none of them connected.
    pub(crate) fn new(
        protocol: P,
        first: u32,
        count: u32,
        clock: Clock,
        progress: Arc<Progress>,
    ) -> Self {
        let ear = Ear {
            first,
            clock,
            progress,
            states: vec![State::Idle; count as usize],
            unacknowledged: FxHashMap::default(),
            series: FxHashMap::default(),
            due: Vec::new(),
        };
        Self { protocol, ear, halves: FxHashMap::default() }
    }

    pub(crate) fn on_connect_started(&mut self, slot: u32) {
        self.ear.states[slot as usize] = State::Connecting;
    }

    pub(crate) fn is_open(&self, slot: u32) -> bool {
        self.ear.states[slot as usize] != State::Gone
    }

    pub(crate) fn is_ready(&self, slot: u32) -> bool {
        self.ear.states[slot as usize] == State::Ready
    }

    pub(crate) fn take_due(&mut self) -> Vec<Due> {
        std::mem::take(&mut self.ear.due)
    }

    pub(crate) fn into_series(self) -> FxHashMap<u32, Series> {
        self.ear.series
    }

    pub(crate) fn on_event(&mut self, event: Event<'_>) {
        match event {
            Event::Connected(slot) => {
                self.ear.states[slot as usize] = State::LoggingIn;
                self.ear.due.push(Due::Login(slot));
            }
            Event::Received(slot, bytes) => self.on_bytes(slot, bytes),
            Event::Hangup { slot, .. } => self.on_end(slot),
            Event::Short { slot, frame, taken } => {
                self.ear.due.push(Due::Rest(slot, frame.slice(taken as usize..)));
            }
            Event::Flushed { .. } | Event::Writable(_) | Event::Woken | Event::Closed(_) => {}
            Event::Accepted(_) | Event::AcceptFailed { .. } => {
                unreachable!("a generator accepts nothing")
            }
        }
    }

    fn on_end(&mut self, slot: u32) {
        self.halves.remove(&slot);
        self.ear.on_end(slot);
    }

    fn on_bytes(&mut self, slot: u32, bytes: &[u8]) {
        let Some(mut half) = self.halves.remove(&slot) else {
            let used = self.read(slot, bytes);
            if used < bytes.len() && self.is_open(slot) {
                self.halves.insert(slot, bytes[used..].to_vec());
            }
            return;
        };
        half.extend_from_slice(bytes);
        let used = self.read(slot, &half);
        if used < half.len() && self.is_open(slot) {
            half.drain(..used);
            self.halves.insert(slot, half);
        }
    }

    /// Handles whole frames; returns how many bytes they took.
    fn read(&mut self, slot: u32, bytes: &[u8]) -> usize {
        let Self { protocol, ear, .. } = self;
        let (index, now_ns) = (ear.first + slot, ear.clock.now_ns());
        let mut messages = 0;
        let read = protocol.read(index, bytes, &mut |heard| match heard {
            Heard::Message { stamp, sequence } => {
                messages += 1;
                ear.on_message(slot, stamp, sequence, now_ns);
            }
            other => ear.on_other(slot, other),
        });
        ear.progress.messages.fetch_add(messages, Ordering::Relaxed);
        read.unwrap_or_else(|Broken| {
            ear.on_end(slot);
            bytes.len()
        })
    }

    /// What is to be acknowledged, taken.
    pub(crate) fn take_acknowledgements(&mut self) -> Vec<(u32, Bytes)> {
        let Self { protocol, ear, .. } = self;
        let acknowledge = |(slot, highest)| {
            let mut out = Vec::new();
            protocol.acknowledge(&highest, &mut out);
            (!out.is_empty()).then(|| (slot, out.into()))
        };
        ear.unacknowledged.drain().filter_map(acknowledge).collect()
    }

    /// The login of a connection.
    pub(crate) fn login(&mut self, slot: u32) -> Bytes {
        let mut out = Vec::new();
        self.protocol.log_in(self.ear.first + slot, &mut out);
        out.into()
    }

    /// The heartbeat of every connection, if there is one.
    pub(crate) fn heartbeat(&self) -> Option<Bytes> {
        self.protocol.heartbeat()
    }
}

impl Ear {
    fn on_message(&mut self, slot: u32, stamp: Stamp, sequence: u64, now_ns: u64) {
        let connections = self.states.len();
        let series = self.series.entry(stamp.series).or_insert_with(|| Series::new(connections));
        let order = if sequence == 0 { stamp.number.into() } else { sequence };
        series.on_receipt(slot, stamp, order, now_ns);
    }

    fn on_other(&mut self, slot: u32, heard: Heard) {
        match heard {
            Heard::Welcome => self.on_welcome(slot),
            Heard::Kept { channel, sequence } => {
                let highest = &mut self.unacknowledged.entry(slot).or_default();
                let highest = &mut highest[usize::from(channel)];
                *highest = (*highest).max(sequence);
            }
            Heard::Reply(bytes) => self.due.push(Due::Reply(slot, bytes)),
            Heard::End => self.on_end(slot),
            Heard::Published { .. } | Heard::Message { .. } => {}
        }
    }

    fn on_welcome(&mut self, slot: u32) {
        let state = &mut self.states[slot as usize];
        if *state == State::LoggingIn {
            *state = State::Ready;
            self.progress.logged_in.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn on_end(&mut self, slot: u32) {
        let state = std::mem::replace(&mut self.states[slot as usize], State::Gone);
        match state {
            State::Gone => return,
            State::Ready => {
                self.progress.logged_in.fetch_sub(1, Ordering::Relaxed);
                self.progress.lost.fetch_add(1, Ordering::Relaxed);
            }
            _ => {
                self.progress.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.due.push(Due::Close(slot));
    }
}
