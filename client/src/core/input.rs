//! What the server says.

use super::Core;
use super::event::{Event, Message, Outcome, Queued, Receipt};
use super::link::{After, Link, Online, Parting};
use super::requests::Kind;
use bytes::Bytes;
use gpusher_proto::wire::v1::{
    ClientFrame, Close, GoAway, Push, ResumeResult, ServerFrame, Welcome,
};
use gpusher_proto::wire::{
    Advice, BODY_BYTES_MAX, ChannelKind, Code, RawFrame, Split, WireError, inflate, split,
};

impl Core {
    /// Takes bytes as they come: any part of a frame, or many.
    pub fn on_bytes(&mut self, bytes: &[u8], now_ms: u64) {
        if let Link::Online(online) = &mut self.link {
            online.last_received_ms = now_ms;
        }
        let mut input = std::mem::take(&mut self.input);
        input.extend_from_slice(bytes);
        let taken = self.take_frames(&input, now_ms);
        if self.listens() {
            input.drain(..taken);
            self.input = input;
        }
    }

    fn listens(&self) -> bool {
        matches!(self.link, Link::LoggingIn { .. } | Link::Online(_) | Link::Leaving { .. })
    }

    /// Acts on all whole frames, and returns how many bytes they were.
    fn take_frames(&mut self, bytes: &[u8], now_ms: u64) -> usize {
        let mut taken = 0;
        while self.listens() {
            match split(&bytes[taken..], BODY_BYTES_MAX) {
                Ok(Split::Incomplete { .. }) => break,
                Ok(Split::Whole { frame, len }) => {
                    taken += len;
                    if let Err(error) = self.on_frame(frame, now_ms) {
                        self.on_nonsense(error, now_ms);
                    }
                }
                Err(error) => self.on_nonsense(error, now_ms),
            }
        }
        taken
    }

    /// Whoever sends this is no gateway that we understand; another may be.
    fn on_nonsense(&mut self, error: WireError, now_ms: u64) {
        let reason = format!("the server breaks the protocol: {error}");
        let advice = Advice::Reconnect;
        let parting = Parting { reason, code: 0, text: "", advice, delay_ms: None, target: "" };
        self.part(parting, now_ms);
    }

    fn on_frame(&mut self, frame: RawFrame<'_>, now_ms: u64) -> Result<(), WireError> {
        let RawFrame::V1(raw) = frame else {
            return Err(WireError::new(Code::BadVersion, "an answer in version 0"));
        };
        let frame = ServerFrame::decode(raw)?;
        match (frame, &self.link) {
            (ServerFrame::Close(close), _) => self.on_close(close, now_ms),
            (ServerFrame::Welcome(welcome), Link::LoggingIn { .. }) => {
                self.on_welcome(welcome, now_ms);
            }
            (ServerFrame::Unknown { .. }, _) | (_, Link::Leaving { .. }) => {}
            (_, Link::LoggingIn { .. }) | (ServerFrame::Welcome(_), _) => {
                return Err(WireError::new(Code::UnexpectedFrame, "not at this moment"));
            }
            (ServerFrame::Heartbeat, _) => {}
            (ServerFrame::Push(push), _) => self.on_push(push, now_ms)?,
            (ServerFrame::Answer { request, code, value }, _) => {
                self.on_answer(request, code, value, now_ms);
            }
            (ServerFrame::Recall { message_id, .. }, _) => self.on_recall(message_id),
            (ServerFrame::Synced { .. }, _) => self.tell(Event::Synced),
            (ServerFrame::GoAway(go_away), _) => self.on_go_away(go_away, now_ms),
        }
        Ok(())
    }

    fn on_welcome(&mut self, welcome: Welcome<'_>, now_ms: u64) {
        let asked = self.tracker.confirmed();
        let lost = welcome.resumed.iter().filter(|channel| channel.result != ResumeResult::Resumed);
        let mut lost: Vec<ChannelKind> = lost.map(|channel| channel.kind).collect();
        if self.tracker.epoch() != welcome.epoch && self.tracker.epoch() != 0 {
            lost = asked.iter().map(|position| position.kind).collect();
        }
        self.tracker.enter_epoch(welcome.epoch);
        self.link = Link::Online(Online {
            since_ms: now_ms,
            heartbeat_ms: u64::from(welcome.heartbeat_interval_s.max(1)) * 1_000,
            ack_delay_ms: u64::from(welcome.ack_delay_10ms) * 10,
            last_sent_ms: now_ms,
            last_received_ms: now_ms,
            ack_due_ms: None,
            leave: None,
        });
        let connection_id = welcome.connection_id;
        self.tell(Event::Online { connection_id, lost });
        self.join_again();
    }

    fn join_again(&mut self) {
        let topics: Vec<(String, Option<u64>)> =
            self.tracker.topics().map(|(topic, since)| (topic.to_owned(), since)).collect();
        for (topic, since) in topics {
            let request = self.requests.next_number();
            self.encode(ClientFrame::Join { request, topic: &topic, since });
            self.requests.wait_for(Kind::Rejoin { topic });
        }
    }

    fn on_push(&mut self, push: Push<'_>, now_ms: u64) -> Result<(), WireError> {
        let (kind, seq) = (push.position.kind, push.position.seq);
        if push.kept && !self.tracker.see(kind, push.topic, seq) {
            if self.tracker.has_unacknowledged()
                && let Link::Online(online) = &mut self.link
            {
                online.want_ack(now_ms);
            }
            return Ok(());
        }
        let content = if push.compressed {
            Bytes::from(inflate(push.content, BODY_BYTES_MAX as usize)?)
        } else {
            Bytes::copy_from_slice(push.content)
        };
        let message = Message {
            id: push.message_id,
            channel: kind,
            seq,
            kept: push.kept,
            expires_at_ms: push.expires_at_ms,
            topic: push.topic.to_owned(),
            sender: push.sender.to_owned(),
            content,
        };
        if self.dedupe.is_new(push.message_id) {
            self.tell(Event::Message(message));
        } else if let Some(receipt) = Receipt::of(&message) {
            self.events.push_back(Queued::Duplicate(receipt));
        }
        Ok(())
    }

    fn on_answer(&mut self, request: u64, code: u16, value: u64, now_ms: u64) {
        let done = code == Code::Done.number();
        let Some(kind) = self.requests.answered(request) else { return };
        match &kind {
            Kind::Join { topic, .. } | Kind::Rejoin { topic } if done => {
                self.tracker.joined(topic, value);
            }
            Kind::Join { topic, is_new: true } | Kind::Rejoin { topic } => {
                self.tracker.leave(topic)
            }
            Kind::Send | Kind::Join { .. } | Kind::Leave => {}
        }
        match kind {
            Kind::Rejoin { topic } if !done => self.tell(Event::TopicLost { topic, code }),
            Kind::Rejoin { .. } => {}
            _ => {
                let outcome = if done { Outcome::Done(value) } else { Outcome::Refused(code) };
                self.answers.push_back((request, outcome));
            }
        }
        // If the server has asked us to go, this may have been what we stayed for.
        self.on_time(now_ms);
    }

    /// A message that the application has not taken yet, it never sees; its place in the order stays.
    fn on_recall(&mut self, id: u64) {
        let is_it = |queued: &Queued| matches!(queued, Queued::Event(Event::Message(message)) if message.id == id);
        match self.events.iter().position(is_it) {
            Some(index) => {
                if let Some(Queued::Event(Event::Message(message))) = self.events.remove(index)
                    && let Some(receipt) = Receipt::of(&message)
                {
                    self.events.insert(index, Queued::Duplicate(receipt));
                }
            }
            None => self.tell(Event::Recalled { id }),
        }
    }

    fn on_go_away(&mut self, go_away: GoAway<'_>, now_ms: u64) {
        let reason = crate::error::name(go_away.reason);
        let after = After::Reconnect {
            wait_ms: go_away.reconnect_after_ms.into(),
            target: go_away.target.to_owned(),
            reason,
        };
        if let Link::Online(online) = &mut self.link {
            online.leave = Some((now_ms + u64::from(go_away.close_in_ms) / 2, after));
        }
        self.on_time(now_ms);
    }

    fn on_close(&mut self, close: Close<'_>, now_ms: u64) {
        let name = crate::error::name(close.reason);
        let reason = if close.text.is_empty() { name } else { format!("{name}: {}", close.text) };
        self.part(
            Parting {
                reason,
                code: close.reason,
                text: close.text,
                advice: close.advice,
                delay_ms: Some(close.delay_ms.into()),
                target: close.target,
            },
            now_ms,
        );
    }
}
