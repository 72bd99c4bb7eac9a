//! The protocol of a client as a state machine: bytes, wishes and times in; bytes, events and actions out. No I/O, no clock.
//!
//! Whoever drives it gives every input with the time, then looks at [`Core::output`], [`Core::poll_event`], [`Core::poll_answer`],
//! [`Core::poll_action`] and [`Core::deadline`]. Times are milliseconds of any clock that does not go back.

mod backoff;
mod config;
mod dedupe;
mod event;
mod input;
mod link;
mod positions;
mod requests;

pub use config::Config;
pub use event::{Action, End, Event, Message, Outcome};
pub use positions::{Positions, Topic};

use backoff::Backoff;
use dedupe::Dedupe;
use event::{Queued, Receipt};
use gpusher_proto::wire::{ChannelKind, Position, Target, v1::ClientFrame};
use link::Link;
use positions::Tracker;
use requests::Requests;
use std::collections::VecDeque;

/// Events that may wait before the core wants no more bytes.
const EVENTS_MAX: usize = 256;

/// One client.
#[derive(Debug)]
pub struct Core {
    config: Config,
    link: Link,
    backoff: Backoff,
    tracker: Tracker,
    dedupe: Dedupe,
    requests: Requests,
    input: Vec<u8>,
    output: Vec<u8>,
    events: VecDeque<Queued>,
    answers: VecDeque<(u64, Outcome)>,
    /// A kept message that the application works on.
    in_hand: Option<Receipt>,
    /// The driver holds a socket.
    socket: bool,
}

impl Core {
    /// A client that wants to connect at once. `positions` are those of an earlier run, or none; `seed` spreads reconnects.
    pub fn new(config: Config, positions: Positions, seed: u64) -> Self {
        Self {
            backoff: Backoff::new(&config, seed),
            config,
            link: Link::Waiting { until_ms: 0 },
            tracker: Tracker::new(positions),
            dedupe: Dedupe::default(),
            requests: Requests::default(),
            input: Vec::new(),
            output: Vec::new(),
            events: VecDeque::new(),
            answers: VecDeque::new(),
            in_hand: None,
            socket: false,
        }
    }

    /// What happened, in order. Asking says that the application is done with the message before: if that is a kept one, it is acknowledged
    /// within the delay that the server allows.
    pub fn poll_event(&mut self, now_ms: u64) -> Option<Event> {
        self.confirm_in_hand(now_ms);
        loop {
            match self.events.pop_front()? {
                Queued::Event(event) => {
                    if let Event::Message(message) = &event {
                        self.in_hand = Receipt::of(message);
                    }
                    return Some(event);
                }
                Queued::Duplicate(receipt) => self.confirm(&receipt, now_ms),
            }
        }
    }

    /// What became of requests. Apart from the events, because whoever waits for an answer may be the one who would take events.
    pub fn poll_answer(&mut self) -> Option<(u64, Outcome)> {
        self.answers.pop_front()
    }

    /// Whether an event waits.
    pub fn has_event(&self) -> bool {
        !self.events.is_empty()
    }

    /// Whether bytes may be given: not while the application is behind with its events. Leaving them in the socket makes the server
    /// hold messages back.
    pub fn wants_bytes(&self) -> bool {
        self.events.len() < EVENTS_MAX
    }

    /// Bytes for the socket; the driver removes what was taken.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// How far kept messages were confirmed: to be kept for the next run.
    pub fn positions(&self) -> Positions {
        self.tracker.positions()
    }

    /// Whether the login is accepted and the connection in use.
    pub fn is_online(&self) -> bool {
        matches!(self.link, Link::Online(_))
    }

    /// Why it is over, if it is.
    pub fn end(&self) -> Option<&End> {
        match &self.link {
            Link::Ended(end) => Some(end),
            _ => None,
        }
    }

    /// Sends a message. Its answer comes with the number returned.
    ///
    /// # Errors
    /// `Offline`, `TooMany`, `Invalid`, `Ended`: nothing was sent.
    pub fn send(
        &mut self,
        target: Target,
        name: &str,
        content: &[u8],
        now_ms: u64,
    ) -> Result<u64, crate::Error> {
        let request = self.requests.next_number();
        let frame = ClientFrame::Send { request, target, name, content };
        self.request(frame, requests::Kind::Send, now_ms)
    }

    /// Joins a topic, now and after each reconnect. `since`: kept messages after that sequence are wanted.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn join(
        &mut self,
        topic: &str,
        since: Option<u64>,
        now_ms: u64,
    ) -> Result<u64, crate::Error> {
        let request = self.requests.next_number();
        let frame = ClientFrame::Join { request, topic, since };
        let is_new = !self.tracker.is_joined(topic);
        let kind = requests::Kind::Join { topic: topic.to_owned(), is_new };
        let request = self.request(frame, kind, now_ms)?;
        self.tracker.join(topic, since);
        Ok(request)
    }

    /// Leaves a topic.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn leave(&mut self, topic: &str, now_ms: u64) -> Result<u64, crate::Error> {
        let request = self.requests.next_number();
        let frame = ClientFrame::Leave { request, topic };
        let request = self.request(frame, requests::Kind::Leave, now_ms)?;
        self.tracker.leave(topic);
        Ok(request)
    }

    /// A token to log in with from now on; ends the wait after [`Event::TokenNeeded`].
    pub fn set_token(&mut self, token: String, now_ms: u64) {
        self.config.token = token;
        if matches!(self.link, Link::AwaitToken) {
            self.link = Link::Waiting { until_ms: now_ms };
        }
    }

    /// Leaves for good: acknowledges what the application has taken, says good-bye, closes. [`Event::Ended`] follows.
    pub fn close(&mut self, now_ms: u64) {
        self.confirm_in_hand(now_ms);
        match &self.link {
            Link::Online(_) => self.say_goodbye(link::After::End, now_ms),
            Link::Ended(_) => {}
            _ => self.finish(End::Closed),
        }
    }

    /// Ends at once: nobody is left who would drive it.
    pub fn abandon(&mut self) {
        if self.end().is_none() {
            self.finish(End::Closed);
        }
    }

    fn confirm_in_hand(&mut self, now_ms: u64) {
        if let Some(receipt) = self.in_hand.take() {
            self.confirm(&receipt, now_ms);
        }
    }

    fn confirm(&mut self, receipt: &Receipt, now_ms: u64) {
        if self.tracker.confirm(receipt)
            && let Link::Online(online) = &mut self.link
        {
            online.want_ack(now_ms);
        }
    }

    fn tell(&mut self, event: Event) {
        self.events.push_back(Queued::Event(event));
    }

    fn request(
        &mut self,
        frame: ClientFrame<'_>,
        kind: requests::Kind,
        now_ms: u64,
    ) -> Result<u64, crate::Error> {
        match &self.link {
            Link::Online(_) => {}
            Link::Ended(end) => return Err(crate::Error::Ended(end.clone())),
            _ => return Err(crate::Error::Offline),
        }
        if self.requests.is_full() {
            return Err(crate::Error::TooMany);
        }
        frame.encode(&mut self.output).map_err(crate::Error::Invalid)?;
        self.sent(now_ms);
        Ok(self.requests.wait_for(kind))
    }

    /// Something was written: no heartbeat is due for a while.
    fn sent(&mut self, now_ms: u64) {
        if let Link::Online(online) = &mut self.link {
            online.last_sent_ms = now_ms;
        }
    }

    /// Writes what must be acknowledged.
    fn write_acks(&mut self, now_ms: u64) {
        let acks = self.tracker.take_unacknowledged();
        if !acks.is_empty() {
            self.encode(ClientFrame::Ack { positions: acks.as_slice().into() });
            self.sent(now_ms);
        }
        if let Link::Online(online) = &mut self.link {
            online.ack_due_ms = None;
        }
    }

    /// For frames that this crate makes up by itself.
    fn encode(&mut self, frame: ClientFrame<'_>) {
        frame.encode(&mut self.output).expect("our own frames keep the rules");
    }
}

/// Kinds whose positions the server knows, in the order of their numbers.
const TRACKED: [ChannelKind; 3] = [ChannelKind::Own, ChannelKind::App, ChannelKind::Everyone];

fn position(kind: ChannelKind, seq: u64) -> Position {
    Position { kind, seq }
}
