//! What the connections of one thread know: a byte each, half frames while there are any, and what was seen of each series.

use crate::measure::Series;
use crate::message::{Clock, Stamp};
use crate::progress::Progress;
use crate::protocol::{Broken, CHANNELS, Heard, Protocol};
use bytes::Bytes;
use gpusher_sys::driver::Event;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Where a connection is, and what else is to be known of it: one byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct State(u8);

impl State {
    const IDLE: u8 = 0;
    const CONNECTING: u8 = 1;
    const LOGGING_IN: u8 = 2;
    const READY: u8 = 3;
    const CLOSING: u8 = 4;
    const STAGES: u8 = 7;
    /// It does not read.
    const MUTED: u8 = 8;
    /// Something was sent in this turn.
    const SENT: u8 = 16;
    /// It ended to come back: at once, or when the server told it to.
    const RETURNS: u8 = 32;

    fn stage(self) -> u8 {
        self.0 & Self::STAGES
    }

    fn set_stage(&mut self, stage: u8) {
        self.0 = self.0 & !Self::STAGES | stage;
    }

    fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    fn set(&mut self, bit: u8, on: bool) {
        self.0 = if on { self.0 | bit } else { self.0 & !bit };
    }
}

/// What came up in a turn, to be done after it.
#[derive(Debug)]
pub(crate) enum Due {
    /// A connection stands: it has its login to send.
    Login(u32),
    /// An answer to what it got.
    Reply(u32, Bytes),
    /// The rest of something that did not fit; room is to be waited for.
    Rest(u32, Bytes),
    /// There is room again.
    Writable(u32),
    /// The connection has ended: it is to be closed.
    Close(u32),
    /// It is closed.
    Closed {
        /// Which.
        slot: u32,
        /// When it comes back, in nanoseconds of the run's clock, if it left to do so.
        returns_ns: Option<u64>,
    },
}

/// All connections of one thread.
#[derive(Debug)]
pub(crate) struct Crowd<P> {
    protocol: P,
    /// What is known of the connections. Apart from the protocol, which reads while this listens.
    ear: Ear,
    halves: FxHashMap<u32, Vec<u8>>,
    /// A half frame and what came after it.
    joined: Vec<u8>,
}

/// Longer halves are not copied to be read.
const JOIN_BYTES_MAX: usize = 16 << 10;

/// A client that is to come back.
#[derive(Debug)]
struct Away {
    /// How often it was told so.
    times: u32,
    /// The time that was named last, in nanoseconds of the run's clock.
    returns_ns: u64,
}

/// Who is sent away more often gives up.
const AWAY_TIMES_MAX: u32 = 32;

/// What came of what was read.
#[derive(Debug)]
struct Ear {
    /// Index of the thread's first client.
    first: u32,
    clock: Clock,
    progress: Arc<Progress>,
    states: Vec<State>,
    /// When those that are on their way to a welcome should have begun it.
    logins: FxHashMap<u32, u64>,
    /// Those whom the server has sent away since their last welcome.
    away: FxHashMap<u32, Away>,
    /// Highest kept sequence per channel that was received and not acknowledged.
    unacknowledged: FxHashMap<u32, [u64; CHANNELS]>,
    /// By number; there are few at a time, and the last one is the likeliest.
    series: Vec<(u32, Series)>,
    /// Series that were collected.
    collected: FxHashSet<u32>,
    login_ns: Series,
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
            states: vec![State::default(); count as usize],
            logins: FxHashMap::default(),
            away: FxHashMap::default(),
            unacknowledged: FxHashMap::default(),
            series: Vec::new(),
            collected: FxHashSet::default(),
            login_ns: Series::new(0),
            due: Vec::new(),
        };
        Self { protocol, ear, halves: FxHashMap::default(), joined: Vec::new() }
    }

    /// A connection is being made that should have been begun at that time.
    pub(crate) fn on_connect_started(&mut self, slot: u32, intended_ns: u64) {
        self.ear.states[slot as usize] = State(State::CONNECTING);
        self.ear.logins.insert(slot, intended_ns);
    }

    /// How many are on their way to a welcome.
    pub(crate) fn logging_in(&self) -> usize {
        self.ear.logins.len()
    }

    /// Whether something may be sent in this turn; then it counts as sent.
    pub(crate) fn claim(&mut self, slot: u32) -> Claim {
        let state = &mut self.ear.states[slot as usize];
        if matches!(state.stage(), State::IDLE | State::CLOSING) {
            return Claim::Gone;
        }
        if state.has(State::SENT) {
            return Claim::NextTurn;
        }
        state.set(State::SENT, true);
        Claim::Now
    }

    /// The turn in which it was claimed is over.
    pub(crate) fn release(&mut self, slot: u32) {
        self.ear.states[slot as usize].set(State::SENT, false);
    }

    pub(crate) fn is_ready(&self, slot: u32) -> bool {
        self.ear.states[slot as usize].stage() == State::READY
    }

    pub(crate) fn set_muted(&mut self, slot: u32, muted: bool) {
        self.ear.states[slot as usize].set(State::MUTED, muted);
    }

    pub(crate) fn is_muted(&self, slot: u32) -> bool {
        self.ear.states[slot as usize].has(State::MUTED)
    }

    /// Ends a connection for reasons of ours, to come back.
    pub(crate) fn leave(&mut self, slot: u32) {
        self.halves.remove(&slot);
        self.ear.on_end(slot, false);
        self.ear.states[slot as usize].set(State::RETURNS, true);
    }

    pub(crate) fn is_open(&self, slot: u32) -> bool {
        !matches!(self.ear.states[slot as usize].stage(), State::IDLE | State::CLOSING)
    }

    pub(crate) fn take_due(&mut self) -> Vec<Due> {
        std::mem::take(&mut self.ear.due)
    }

    /// What was seen of a series; whatever comes later only counts as late.
    pub(crate) fn collect(&mut self, series: u32) -> Series {
        self.ear.collected.insert(series);
        let at = self.ear.series.iter().position(|(number, _)| *number == series);
        at.map_or_else(|| Series::new(0), |at| self.ear.series.swap_remove(at).1)
    }

    /// From the time a connection should have been begun to its welcome.
    pub(crate) fn login_latency(&self) -> &Series {
        &self.ear.login_ns
    }

    pub(crate) fn on_event(&mut self, event: Event<'_>) {
        let due = &mut self.ear.due;
        match event {
            Event::Received(slot, bytes) => self.on_bytes(slot, bytes),
            Event::Connected(slot) => {
                self.ear.states[slot as usize].set_stage(State::LOGGING_IN);
                due.push(Due::Login(slot));
            }
            Event::Hangup { slot, .. } => {
                self.halves.remove(&slot);
                self.ear.on_end(slot, true);
            }
            Event::Short { slot, frame, taken } => {
                due.push(Due::Rest(slot, frame.slice(taken as usize..)));
            }
            Event::Writable(slot) => due.push(Due::Writable(slot)),
            Event::Closed(slot) => {
                let state = std::mem::take(&mut self.ear.states[slot as usize]);
                let named_ns = || self.ear.away.get(&slot).map_or(0, |away| away.returns_ns);
                let returns_ns = state.has(State::RETURNS).then(named_ns);
                self.ear.due.push(Due::Closed { slot, returns_ns });
            }
            Event::Flushed { .. } | Event::Woken => {}
            Event::Accepted(_) | Event::AcceptFailed { .. } => {
                unreachable!("a generator accepts nothing")
            }
        }
    }

    fn on_bytes(&mut self, slot: u32, bytes: &[u8]) {
        let half = self.halves.get_mut(&slot);
        let Some(half) = half else {
            let used = self.read(slot, bytes);
            if used < bytes.len() {
                self.halves.insert(slot, bytes[used..].to_vec());
            }
            return;
        };
        if half.len() > JOIN_BYTES_MAX {
            // A long message: what is there stays where it is.
            let mut half = std::mem::take(half);
            half.extend_from_slice(bytes);
            let used = self.read(slot, &half);
            half.drain(..used);
            return self.keep_half(slot, half);
        }
        // A stream of short ones: the half stays as small as it is, and nothing is allocated.
        let mut joined = std::mem::take(&mut self.joined);
        joined.clear();
        joined.extend_from_slice(half);
        joined.extend_from_slice(bytes);
        let mut half = std::mem::take(half);
        let used = self.read(slot, &joined);
        half.clear();
        half.extend_from_slice(&joined[used..]);
        self.joined = joined;
        self.keep_half(slot, half);
    }

    fn keep_half(&mut self, slot: u32, half: Vec<u8>) {
        if half.is_empty() || !self.is_open(slot) {
            self.halves.remove(&slot);
        } else if let Some(place) = self.halves.get_mut(&slot) {
            *place = half;
        }
    }

    /// Handles whole frames; returns how many bytes they took.
    fn read(&mut self, slot: u32, bytes: &[u8]) -> usize {
        let Self { protocol, ear, .. } = self;
        let (index, now_ns) = (ear.first + slot, ear.clock.now_ns());
        // Counted in runs: the counters are shared by all threads.
        let mut run = (0, 0);
        let read = protocol.read(index, bytes, &mut |heard| match heard {
            Heard::Message { stamp, sequence } => {
                if stamp.series != run.0 {
                    ear.progress.add_received(run.0, run.1);
                    run = (stamp.series, 0);
                }
                run.1 += 1;
                ear.on_message(slot, stamp, sequence, now_ns);
            }
            other => ear.on_other(slot, other, now_ns),
        });
        if run.1 > 0 {
            ear.progress.add_received(run.0, run.1);
        }
        let used = read.unwrap_or_else(|Broken| {
            ear.on_end(slot, true);
            bytes.len()
        });
        if self.is_open(slot) { used } else { bytes.len() }
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

    /// Whether anything is to be acknowledged.
    pub(crate) fn has_acknowledgements(&self) -> bool {
        !self.ear.unacknowledged.is_empty()
    }

    /// Appends the login of a connection.
    pub(crate) fn log_in(&mut self, slot: u32, out: &mut Vec<u8>) {
        self.protocol.log_in(self.ear.first + slot, out);
    }

    /// Appends a message of a client to the application.
    pub(crate) fn publish(&mut self, slot: u32, content: &str, out: &mut Vec<u8>) {
        self.protocol.publish(self.ear.first + slot, content, out);
    }

    /// The heartbeat of every connection, if there is one.
    pub(crate) fn heartbeat(&self) -> Option<Bytes> {
        self.protocol.heartbeat()
    }
}

/// See [`Crowd::claim`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It may be sent.
    Now,
    /// Something was sent in this turn.
    NextTurn,
    /// There is no connection.
    Gone,
}

impl Ear {
    fn on_message(&mut self, slot: u32, stamp: Stamp, sequence: u64, now_ns: u64) {
        let order = if sequence == 0 { stamp.number.into() } else { sequence };
        let mut newest_first = self.series.iter_mut().rev();
        if let Some((_, series)) = newest_first.find(|(number, _)| *number == stamp.series) {
            return series.on_receipt(slot, stamp, order, now_ns);
        }
        if self.collected.contains(&stamp.series) {
            self.progress.late.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut series = Series::new(self.states.len());
        series.on_receipt(slot, stamp, order, now_ns);
        self.series.push((stamp.series, series));
    }

    fn on_other(&mut self, slot: u32, heard: Heard, now_ns: u64) {
        match heard {
            Heard::Welcome => self.on_welcome(slot, now_ns),
            Heard::Kept { channel, sequence } => {
                let highest = &mut self.unacknowledged.entry(slot).or_default();
                let highest = &mut highest[usize::from(channel)];
                *highest = (*highest).max(sequence);
            }
            Heard::Reply(bytes) => self.due.push(Due::Reply(slot, bytes)),
            Heard::ComeBack { after_ms } => self.on_sent_away(slot, after_ms, now_ns),
            Heard::End => self.on_end(slot, true),
            Heard::Published { accepted } => {
                let Progress { published, unpublished, .. } = &*self.progress;
                (if accepted { published } else { unpublished }).fetch_add(1, Ordering::Relaxed);
            }
            Heard::Message { .. } => unreachable!("told apart by the caller"),
        }
    }

    fn on_welcome(&mut self, slot: u32, now_ns: u64) {
        let state = &mut self.states[slot as usize];
        if state.stage() != State::LOGGING_IN {
            return;
        }
        state.set_stage(State::READY);
        self.progress.logged_in.fetch_add(1, Ordering::Relaxed);
        self.progress.welcomes.fetch_add(1, Ordering::Relaxed);
        self.away.remove(&slot);
        if let Some(intended_ns) = self.logins.remove(&slot) {
            self.login_ns.latency_ns.saturating_record(now_ns.saturating_sub(intended_ns));
        }
    }

    /// As a client library does, which keeps to the time that the server names. Who is in already and is sent away is lost.
    fn on_sent_away(&mut self, slot: u32, after_ms: u32, now_ns: u64) {
        let logging_in = self.states[slot as usize].stage() == State::LOGGING_IN;
        let times = self.away.get(&slot).map_or(0, |away| away.times) + 1;
        if !logging_in || times > AWAY_TIMES_MAX {
            return self.on_end(slot, true);
        }
        self.away
            .insert(slot, Away { times, returns_ns: now_ns + u64::from(after_ms) * 1_000_000 });
        self.on_end(slot, false);
        self.states[slot as usize].set(State::RETURNS, true);
        self.progress.sent_away.fetch_add(1, Ordering::Relaxed);
    }

    /// `by_server`: nobody here asked for it.
    fn on_end(&mut self, slot: u32, by_server: bool) {
        let state = &mut self.states[slot as usize];
        let (stage, muted) = (state.stage(), state.has(State::MUTED));
        if matches!(stage, State::IDLE | State::CLOSING) {
            return;
        }
        state.set_stage(State::CLOSING);
        self.logins.remove(&slot);
        self.unacknowledged.remove(&slot);
        let Progress { logged_in, lost, lost_muted, refused, .. } = &*self.progress;
        if stage == State::READY {
            logged_in.fetch_sub(1, Ordering::Relaxed);
        }
        if by_server {
            let counter = match (stage, muted) {
                (State::READY, false) => lost,
                (State::READY, true) => lost_muted,
                _ => refused,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        self.due.push(Due::Close(slot));
    }
}
