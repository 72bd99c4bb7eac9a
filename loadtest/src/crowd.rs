//! What the connections of one thread know: a byte of state each, half frames while there are any, and what was seen of each series.

use crate::measure::Series;
use crate::message::{Clock, Stamp};
use crate::plan::{Plan, Version};
use bytes::Bytes;
use gpusher_proto::wire::{ChannelKind, Position, RawFrame, Split, split, v0, v1};
use gpusher_sys::driver::Event;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Development mode takes any.
const ANY_TOKEN: &str = "any";
/// Larger than any body the server sends.
const BODY_BYTES_MAX: u32 = 4 << 20;

/// Counters that the display reads while threads run.
#[derive(Debug, Default)]
pub struct Progress {
    /// Logins accepted.
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
    /// The rest of something that did not fit.
    Rest(u32, Bytes),
    /// Its descriptor is to be closed.
    Close(u32),
}

/// All connections of one thread.
#[derive(Debug)]
pub(crate) struct Crowd {
    plan: Plan,
    clock: Clock,
    progress: Arc<Progress>,
    states: Vec<State>,
    halves: FxHashMap<u32, Vec<u8>>,
    /// Highest kept sequence per kind that was received and not acknowledged.
    unacknowledged: FxHashMap<u32, [u64; 3]>,
    pub(crate) series: FxHashMap<u32, Series>,
    pub(crate) due: Vec<Due>,
}

impl Crowd {
    pub(crate) fn new(plan: Plan, clock: Clock, progress: Arc<Progress>) -> Self {
        let states = vec![State::Idle; plan.count as usize];
        Self {
            plan,
            clock,
            progress,
            states,
            halves: FxHashMap::default(),
            unacknowledged: FxHashMap::default(),
            series: FxHashMap::default(),
            due: Vec::new(),
        }
    }

    pub(crate) fn on_connect_started(&mut self, slot: u32) {
        self.states[slot as usize] = State::Connecting;
    }

    pub(crate) fn is_open(&self, slot: u32) -> bool {
        self.states[slot as usize] != State::Gone
    }

    pub(crate) fn is_ready(&self, slot: u32) -> bool {
        self.states[slot as usize] == State::Ready
    }

    pub(crate) fn on_event(&mut self, event: Event<'_>) {
        match event {
            Event::Connected(slot) => {
                self.states[slot as usize] = State::LoggingIn;
                self.due.push(Due::Login(slot));
            }
            Event::Received(slot, bytes) => self.on_bytes(slot, bytes),
            Event::Hangup { slot, .. } => self.on_end(slot),
            Event::Short { slot, frame, taken } => {
                self.due.push(Due::Rest(slot, frame.slice(taken as usize..)));
            }
            Event::Flushed { .. } | Event::Writable(_) | Event::Woken | Event::Closed(_) => {}
            Event::Accepted(_) | Event::AcceptFailed { .. } => {
                unreachable!("a generator accepts nothing")
            }
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
        self.halves.remove(&slot);
        self.due.push(Due::Close(slot));
    }

    fn on_bytes(&mut self, slot: u32, bytes: &[u8]) {
        let Some(mut half) = self.halves.remove(&slot) else {
            let used = self.on_frames(slot, bytes);
            if used < bytes.len() && self.states[slot as usize] != State::Gone {
                self.halves.insert(slot, bytes[used..].to_vec());
            }
            return;
        };
        half.extend_from_slice(bytes);
        let used = self.on_frames(slot, &half);
        if used < half.len() && self.states[slot as usize] != State::Gone {
            half.drain(..used);
            self.halves.insert(slot, half);
        }
    }

    /// Handles whole frames; returns how many bytes they took.
    fn on_frames(&mut self, slot: u32, bytes: &[u8]) -> usize {
        let now_ns = self.clock.now_ns();
        let mut used = 0;
        loop {
            match split(&bytes[used..], BODY_BYTES_MAX) {
                Ok(Split::Whole { frame, len }) => {
                    used += len;
                    self.on_frame(slot, frame, now_ns);
                }
                Ok(Split::Incomplete { .. }) => return used,
                Err(_) => {
                    self.on_end(slot);
                    return used;
                }
            }
        }
    }

    fn on_frame(&mut self, slot: u32, frame: RawFrame<'_>, now_ns: u64) {
        match frame {
            RawFrame::V0(frame) => self.on_frame_v0(slot, &frame, now_ns),
            RawFrame::V1(frame) => match v1::ServerFrame::decode(frame) {
                Ok(frame) => self.on_frame_v1(slot, &frame, now_ns),
                Err(_) => self.on_end(slot),
            },
        }
    }

    /// The content is found by its stamp, not by parsing JSON: the generator shares its cores with the server.
    fn on_frame_v0(&mut self, slot: u32, frame: &v0::Frame<'_>, now_ns: u64) {
        match frame.frame_type {
            v0::FrameType::Heartbeat => self.on_welcome(slot),
            v0::FrameType::General => {
                let stamp = frame.body.windows(3).position(|window| window == b"gp ");
                match stamp.and_then(|at| Stamp::parse(&frame.body[at..])) {
                    Some(stamp) => self.on_message(slot, stamp, frame.stream_id, now_ns),
                    None if self.states[slot as usize] == State::LoggingIn => self.on_end(slot),
                    None => {}
                }
            }
            v0::FrameType::Ack | v0::FrameType::Sync => {}
        }
    }

    fn on_frame_v1(&mut self, slot: u32, frame: &v1::ServerFrame<'_>, now_ns: u64) {
        match frame {
            v1::ServerFrame::Welcome(_) => self.on_welcome(slot),
            v1::ServerFrame::Push(push) => {
                if push.kept {
                    self.note_kept(slot, push.position);
                }
                if let Some(stamp) = Stamp::parse(push.content) {
                    self.on_message(slot, stamp, push.position.seq, now_ns);
                }
            }
            v1::ServerFrame::Close(_) => self.on_end(slot),
            _ => {}
        }
    }

    fn on_welcome(&mut self, slot: u32) {
        let state = &mut self.states[slot as usize];
        if *state == State::LoggingIn {
            *state = State::Ready;
            self.progress.logged_in.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn on_message(&mut self, slot: u32, stamp: Stamp, seq: u64, now_ns: u64) {
        self.progress.messages.fetch_add(1, Ordering::Relaxed);
        let connections = self.states.len();
        let series = self.series.entry(stamp.series).or_insert_with(|| Series::new(connections));
        series.on_receipt(slot, stamp, seq, now_ns);
    }

    fn note_kept(&mut self, slot: u32, position: Position) {
        if position.kind != ChannelKind::Topic {
            let highest = &mut self.unacknowledged.entry(slot).or_default();
            let highest = &mut highest[position.kind as usize];
            *highest = (*highest).max(position.seq);
        }
    }

    /// What is to be acknowledged, taken.
    pub(crate) fn take_acknowledgements(&mut self) -> Vec<(u32, Bytes)> {
        let kinds = [ChannelKind::Own, ChannelKind::App, ChannelKind::Everyone];
        let frame = |(slot, highest): (u32, [u64; 3])| {
            let positions: Vec<Position> = kinds
                .into_iter()
                .zip(highest)
                .filter(|(_, seq)| *seq != 0)
                .map(|(kind, seq)| Position { kind, seq })
                .collect();
            let frame = v1::ClientFrame::Ack { positions: (&positions[..]).into() };
            (slot, Bytes::from(frame.to_vec().expect("positions fit")))
        };
        self.unacknowledged.drain().map(frame).collect()
    }

    /// The login of a connection.
    pub(crate) fn login(&self, slot: u32) -> Bytes {
        let plan = &self.plan;
        let user = plan.user(slot);
        let bytes = match plan.version {
            Version::V0 => {
                let login = v0::Login {
                    app_id: plan.app_id,
                    uuid: user.as_str().into(),
                    key: plan.tag.as_str().into(),
                    token: ANY_TOKEN.into(),
                };
                v0::Frame::from_client(v0::FrameType::Heartbeat, 1, &login.to_json()).to_vec()
            }
            Version::V1 => v1::ClientFrame::Login(v1::Login {
                app_id: plan.app_id,
                user: &user,
                device: "",
                token: ANY_TOKEN,
                capabilities: 0,
                epoch: 0,
                resume: gpusher_proto::wire::Positions::EMPTY,
            })
            .to_vec()
            .expect("names fit"),
        };
        Bytes::from(bytes)
    }

    /// The heartbeat of every connection.
    pub(crate) fn heartbeat(&self) -> Bytes {
        Bytes::from(match self.plan.version {
            Version::V0 => v0::Frame::from_client(v0::FrameType::Heartbeat, 2, &[]).to_vec(),
            Version::V1 => {
                let acks = gpusher_proto::wire::Positions::EMPTY;
                v1::ClientFrame::Heartbeat { acks }.to_vec().expect("it is empty")
            }
        })
    }
}
