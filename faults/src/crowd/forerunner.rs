//! A client of version 0 as a state machine, with the same inputs and outputs as the reference client of version 1.
//!
//! It acknowledges nothing: what its socket took counts as received. It drops what it has had, by message id, as the contract asks.

use crate::ledger::Receipt;
use crate::random::Random;
use bytes::Bytes;
use gpusher_client::core::Action;
use gpusher_proto::wire::v0::{Frame, FrameType, Login, Push};
use gpusher_proto::wire::{BODY_BYTES_MAX, RawFrame, Split, split};
use std::collections::{HashSet, VecDeque};

const LOGIN_TIMEOUT_MS: u64 = 10_000;
const HEARTBEAT_MS: u64 = 20_000;
const SILENT_MS: u64 = 60_000;
const RECONNECT_BASE_MS: u64 = 100;
const RECONNECT_MAX_MS: u64 = 2_000;
/// Message ids remembered.
const IDS_MAX: usize = 65_536;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Waiting { until_ms: u64 },
    Connecting { until_ms: u64 },
    LoggingIn { until_ms: u64 },
    Online { sent_ms: u64, heard_ms: u64 },
}

/// One client.
#[derive(Debug)]
pub(super) struct Forerunner {
    gateways: Vec<String>,
    login: Vec<u8>,
    link: Link,
    socket: bool,
    attempt: u32,
    random: Random,
    input: Vec<u8>,
    output: Vec<u8>,
    receipts: VecDeque<Receipt>,
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Forerunner {
    pub(super) fn new(gateways: Vec<String>, login: &Login<'_>, seed: u64) -> Self {
        let mut bytes = Vec::new();
        Frame::from_client(FrameType::Heartbeat, 1, &login.to_json()).encode(&mut bytes);
        Self {
            gateways,
            login: bytes,
            link: Link::Waiting { until_ms: 0 },
            socket: false,
            attempt: 0,
            random: Random::new(seed),
            input: Vec::new(),
            output: Vec::new(),
            receipts: VecDeque::new(),
            known: HashSet::new(),
            order: VecDeque::new(),
        }
    }

    pub(super) fn is_online(&self) -> bool {
        matches!(self.link, Link::Online { .. })
    }

    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    pub(super) fn poll_receipt(&mut self) -> Option<Receipt> {
        self.receipts.pop_front()
    }

    pub(super) fn deadline(&self) -> u64 {
        match self.link {
            Link::Waiting { until_ms }
            | Link::Connecting { until_ms }
            | Link::LoggingIn { until_ms } => until_ms,
            Link::Online { sent_ms, heard_ms } => {
                (sent_ms + HEARTBEAT_MS).min(heard_ms + SILENT_MS)
            }
        }
    }

    pub(super) fn poll_action(&mut self) -> Option<Action> {
        let needs_socket = !matches!(self.link, Link::Waiting { .. });
        if self.socket && !needs_socket {
            self.socket = false;
            return Some(Action::Disconnect);
        }
        if matches!(self.link, Link::Connecting { .. }) && !self.socket {
            self.socket = true;
            let gateway = self.attempt.saturating_sub(1) as usize % self.gateways.len();
            return Some(Action::Connect(self.gateways[gateway].clone()));
        }
        None
    }

    pub(super) fn on_time(&mut self, now_ms: u64) {
        match &mut self.link {
            Link::Waiting { until_ms } if now_ms >= *until_ms => {
                self.link = Link::Connecting { until_ms: now_ms + LOGIN_TIMEOUT_MS };
            }
            Link::Connecting { until_ms } | Link::LoggingIn { until_ms } if now_ms >= *until_ms => {
                self.part(now_ms);
            }
            Link::Online { heard_ms, .. } if now_ms >= *heard_ms + SILENT_MS => self.part(now_ms),
            Link::Online { sent_ms, .. } if now_ms >= *sent_ms + HEARTBEAT_MS => {
                *sent_ms = now_ms;
                Frame::from_client(FrameType::Heartbeat, 2, b"").encode(&mut self.output);
            }
            _ => {}
        }
    }

    pub(super) fn on_connected(&mut self, now_ms: u64) {
        self.link = Link::LoggingIn { until_ms: now_ms + LOGIN_TIMEOUT_MS };
        self.output.extend_from_slice(&self.login);
    }

    pub(super) fn on_disconnected(&mut self, now_ms: u64) {
        self.socket = false;
        self.part(now_ms);
    }

    /// Takes bytes as they come. What cannot be understood ends the connection.
    pub(super) fn on_bytes(&mut self, bytes: &[u8], now_ms: u64) {
        if let Link::Online { heard_ms, .. } = &mut self.link {
            *heard_ms = now_ms;
        }
        let mut input = std::mem::take(&mut self.input);
        input.extend_from_slice(bytes);
        let mut taken = 0;
        while self.socket && !matches!(self.link, Link::Waiting { .. }) {
            match split(&input[taken..], BODY_BYTES_MAX) {
                Ok(Split::Incomplete { .. }) => break,
                Ok(Split::Whole { frame: RawFrame::V0(frame), len }) => {
                    taken += len;
                    self.on_frame(&frame, now_ms);
                }
                _ => self.part(now_ms),
            }
        }
        if !matches!(self.link, Link::Waiting { .. }) {
            input.drain(..taken);
            self.input = input;
        }
    }

    fn on_frame(&mut self, frame: &Frame<'_>, now_ms: u64) {
        match (frame.frame_type, self.link) {
            (FrameType::Heartbeat, Link::LoggingIn { .. }) => {
                self.attempt = 0;
                self.link = Link::Online { sent_ms: now_ms, heard_ms: now_ms };
            }
            (FrameType::General, Link::Online { .. }) => match Push::decode(frame.body) {
                Ok(push) => self.on_push(&push),
                Err(_) => self.part(now_ms),
            },
            (FrameType::General, _) => self.part(now_ms),
            _ => {}
        }
    }

    fn on_push(&mut self, push: &Push<'_>) {
        if !self.known.insert(push.msg_id) {
            return;
        }
        self.order.push_back(push.msg_id);
        if self.order.len() > IDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        let content =
            push.content().map(|content| Bytes::copy_from_slice(&content)).unwrap_or_default();
        self.receipts.push_back(Receipt { id: push.msg_id, content });
    }

    fn part(&mut self, now_ms: u64) {
        self.input.clear();
        self.output.clear();
        let bound_ms = (RECONNECT_BASE_MS << self.attempt.min(10)).min(RECONNECT_MAX_MS);
        self.attempt += 1;
        self.link = Link::Waiting { until_ms: now_ms + self.random.between(1, bound_ms) };
    }
}
