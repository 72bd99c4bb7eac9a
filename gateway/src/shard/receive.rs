//! Bytes become what the client asks for, inside the driver's turn: the bytes are borrowed from it. The shard acts after the turn.

use super::clock::Now;
use super::react::Asked;
use super::table::{Phase, Table};
use super::{Clock, Shard};
use crate::metrics::ShardCount;
use bytes::Bytes;
use gpusher_proto::wire::{Code, WireError};
use gpusher_session::Limits;
use gpusher_sys::driver::{Driver, Event, Socket};

/// Version 1's heartbeat, the most frequent answer: not allocated for each.
const HEARTBEAT_V1: &[u8] = &[0x45, 1, 0x02, 0, 0, 0, 0, 0];

/// Something to act on after the turn.
#[derive(Debug)]
pub(super) enum Noted {
    Accepted(Socket),
    AcceptFailed,
    /// Bytes for the client that the session has put together.
    Reply(u32, Bytes),
    Asked(u32, Asked),
    /// The client broke a rule. What it is told was a `Reply`.
    Fault(u32, WireError),
    /// Bytes were received: the link may be behind.
    Heard(u32),
    Hangup(u32),
    Flushed {
        slot: u32,
        taken: u32,
    },
    Writable(u32),
    Closed(u32),
}

/// What happened in one turn of the driver.
#[derive(Debug, Default)]
pub(super) struct Intake {
    pub(super) noted: Vec<Noted>,
    /// Sends that were not taken whole: (slot, bytes taken).
    pub(super) short: Vec<(u32, u32)>,
    /// Connections that failed: what was sent to them in this turn did not arrive.
    pub(super) failed: Vec<u32>,
    pub(super) bytes_received: u64,
    pub(super) frames_received: u64,
    /// How much more (or less) is held of frames received in part.
    pub(super) partial_bytes: i64,
    replies: Vec<u8>,
    now: Option<Now>,
}

impl Intake {
    /// Takes one event of the driver.
    pub(super) fn note(
        &mut self,
        event: Event<'_>,
        table: &mut Table,
        limits: &Limits,
        clock: &impl Clock,
    ) {
        let noted = match event {
            Event::Received(slot, bytes) => {
                // One reading serves a turn: the wait is over when the first event is there.
                let now = *self.now.get_or_insert_with(|| Now::read(clock));
                return self.receive(slot, bytes, now, table, limits);
            }
            Event::Short { slot, taken, .. } => return self.short.push((slot, taken)),
            Event::Hangup { slot, errno } => {
                if errno != 0 {
                    self.failed.push(slot);
                }
                Noted::Hangup(slot)
            }
            Event::Accepted(socket) => Noted::Accepted(socket),
            Event::AcceptFailed { .. } => Noted::AcceptFailed,
            Event::Flushed { slot, taken } => Noted::Flushed { slot, taken },
            Event::Writable(slot) => Noted::Writable(slot),
            Event::Closed(slot) => Noted::Closed(slot),
            Event::Connected(_) => unreachable!("a shard connects to nobody"),
            Event::Woken => return,
        };
        self.noted.push(noted);
    }

    fn receive(&mut self, slot: u32, bytes: &[u8], now: Now, table: &mut Table, limits: &Limits) {
        self.bytes_received += bytes.len() as u64;
        let index = slot as usize;
        if !matches!(table.phase[index], Phase::Login | Phase::Pending | Phase::Member) {
            return;
        }
        if table.phase[index] == Phase::Member {
            table.heard[index] = now.tick();
        }
        let Self { noted, replies, frames_received, .. } = self;
        let session = &mut table.session[index];
        let before = session.partial_bytes() as i64;
        let mut on = |event: gpusher_session::Event<'_>| {
            *frames_received += 1;
            noted.push(Noted::Asked(slot, Asked::of(event)));
        };
        let result = session.on_bytes(bytes, now.monotonic_ms, limits, replies, &mut on);
        self.partial_bytes += session.partial_bytes() as i64 - before;
        self.note_replies(slot);
        match result {
            Ok(()) => self.noted.push(Noted::Heard(slot)),
            Err(error) => self.noted.push(Noted::Fault(slot, error)),
        }
    }

    fn note_replies(&mut self, slot: u32) {
        let frame = match &*self.replies {
            [] => return,
            HEARTBEAT_V1 => Bytes::from_static(HEARTBEAT_V1),
            replies => Bytes::copy_from_slice(replies),
        };
        self.replies.clear();
        self.noted.push(Noted::Reply(slot, frame));
    }
}

impl<D: Driver, C: Clock> Shard<D, C> {
    /// Acts on what the driver's turn has brought.
    pub(super) fn act_on_events(&mut self) {
        self.intake.now = None;
        self.counts.add(ShardCount::BytesReceived, std::mem::take(&mut self.intake.bytes_received));
        self.counts
            .add(ShardCount::FramesReceived, std::mem::take(&mut self.intake.frames_received));
        let partial = std::mem::take(&mut self.intake.partial_bytes);
        self.partial_bytes = self.partial_bytes.saturating_add_signed(partial as isize);
        let mut noted = std::mem::take(&mut self.intake.noted);
        noted.drain(..).for_each(|noted| self.act_on(noted));
        self.intake.noted = noted;
    }

    fn act_on(&mut self, noted: Noted) {
        match noted {
            Noted::Accepted(socket) => self.on_accepted(socket),
            Noted::AcceptFailed => self.on_accept_failed(),
            Noted::Reply(slot, frame) => self.stage_control(slot, frame),
            Noted::Asked(slot, asked) => self.react(slot, asked),
            Noted::Fault(slot, error) => self.on_fault(slot, error.code),
            Noted::Heard(slot) => self.bound_intake(slot),
            Noted::Hangup(slot) => self.on_hangup(slot),
            Noted::Flushed { slot, taken } => self.on_flushed(slot, taken),
            Noted::Writable(slot) => self.on_writable(slot),
            Noted::Closed(slot) => self.on_closed(slot),
        }
    }

    /// Reads a client no further while the link is behind, and closes it when it holds more half frames than there is room for.
    fn bound_intake(&mut self, slot: u32) {
        let index = slot as usize;
        let holds_partial = self.table.session[index].partial_bytes() > 0;
        if holds_partial && self.partial_bytes > self.config.partial_bytes_max {
            return self.leave_with(slot, Code::Overloaded, "too many half frames");
        }
        if self.link_is_behind && self.reports.len() > self.config.slice.reports_max {
            self.pause(slot);
        }
    }
}
