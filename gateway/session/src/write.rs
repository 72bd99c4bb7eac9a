//! What the shard has a session say.

use crate::event::Event;
use crate::limits::Limits;
use crate::session::{Session, Spoken, State, Turn};
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::wire::v0::{Answer, Frame, FrameType, Refusal};
use gpusher_proto::wire::v1::{CAPABILITY_ZLIB, Close, GoAway, Resume, ServerFrame, Welcome};
use gpusher_proto::wire::{Advice, Positions, WireError};

/// After a broken rule that need not be broken again (a flood), the client waits this long.
const FAULT_DELAY_MS: u32 = 1_000;

/// A login is accepted.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Admission<'a> {
    /// Tells version 1 its name in logs.
    pub connection: ConnId,
    /// What sequence numbers belong to.
    pub epoch: u64,
    /// How resuming went.
    pub resumed: &'a [Resume],
}

impl Session {
    /// Accepts the login: says so, then acts on what has arrived in the meantime as [`Session::on_bytes`] does. The encoding is known.
    ///
    /// # Errors
    /// As [`Session::on_bytes`].
    ///
    /// # Panics
    /// Unless the session is pending.
    pub fn admit(
        &mut self,
        admission: &Admission<'_>,
        now_ms: u64,
        limits: &Limits,
        replies: &mut Vec<u8>,
        on: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), WireError> {
        assert_eq!(self.state, State::Pending);
        self.state = State::Admitted;
        let waiting = self.partial.take().map(|partial| *partial).unwrap_or_default();
        if self.spoken == Spoken::V0 {
            Frame::from_server(FrameType::Heartbeat, waiting.login_stream_id, &[]).encode(replies);
        } else {
            ServerFrame::Welcome(self.welcome(admission, limits)).encode(replies);
        }
        self.feed(&waiting.bytes, &mut Turn { now_ms, limits, replies, on })
            .inspect_err(|error| self.close_on_error(error, replies))
    }

    fn welcome<'a>(&self, admission: &Admission<'a>, limits: &Limits) -> Welcome<'a> {
        Welcome {
            connection_id: admission.connection.raw(),
            epoch: admission.epoch,
            heartbeat_interval_s: limits.heartbeat_interval_s,
            ack_delay_10ms: u16::try_from(limits.ack_delay_ms / 10).unwrap_or(u16::MAX),
            body_bytes_max: limits.body_bytes_max,
            capabilities: if self.spoken == Spoken::V1Zlib { CAPABILITY_ZLIB } else { 0 },
            resumed: admission.resumed.into(),
        }
    }

    /// Answers an upstream message, a join or a leave. `value` is the message id or the topic's last sequence, else 0.
    pub fn answer(&self, request: u64, code: u16, value: u64, out: &mut Vec<u8>) {
        if self.spoken == Spoken::V0 {
            let body = Answer { code, msg_id: value }.to_json();
            Frame::from_server(FrameType::Ack, request, &body).encode(out);
        } else {
            ServerFrame::Answer { request, code, value }.encode(out);
        }
    }

    /// Says that a replay is complete up to these positions. Version 0 hears it only if it asked, by a sync frame with this stream id.
    pub fn synced(&self, request: Option<u64>, positions: Positions<'_>, out: &mut Vec<u8>) {
        match (self.spoken, request) {
            (Spoken::V0, Some(stream_id)) => {
                Frame::from_server(FrameType::Sync, stream_id, &[]).encode(out);
            }
            (Spoken::V0, None) => {}
            _ => ServerFrame::Synced { positions }.encode(out),
        }
    }

    /// Asks the client to finish and go elsewhere. Version 0 is not asked; its connection just ends.
    pub fn go_away(&self, go_away: GoAway<'_>, out: &mut Vec<u8>) {
        if matches!(self.spoken, Spoken::V1 | Spoken::V1Zlib) {
            ServerFrame::GoAway(go_away).encode(out);
        }
    }

    /// Says the last word: CLOSE in version 1; in version 0 a refusal if a login is pending, else nothing, and nothing to who has not said what it speaks.
    /// What still arrives is ignored; a second call says nothing.
    pub fn close(&mut self, close: Close<'_>, out: &mut Vec<u8>) {
        match (self.spoken, self.state) {
            (_, State::Closing) | (Spoken::Unknown, _) => {}
            (Spoken::V1 | Spoken::V1Zlib, _) => ServerFrame::Close(close).encode(out),
            (Spoken::V0, State::Pending) => {
                let login = self.partial.as_ref().map_or(0, |partial| partial.login_stream_id);
                let body = Refusal { code: close.reason, msg: close.text.into() }.to_json();
                Frame::from_server(FrameType::General, login, &body).encode(out);
            }
            (Spoken::V0, _) => {}
        }
        self.end();
    }

    /// Nothing more is said or heard.
    pub(crate) fn end(&mut self) {
        self.state = State::Closing;
        self.partial = None;
    }

    pub(crate) fn close_on_error(&mut self, error: &WireError, replies: &mut Vec<u8>) {
        let close = Close::of(error.code, error.text);
        let delay_ms = if close.advice == Advice::Reconnect { FAULT_DELAY_MS } else { 0 };
        self.close(Close { delay_ms, ..close }, replies);
    }
}
