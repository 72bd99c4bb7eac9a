//! One attached logic: its stream's two directions, its credit, and what waits to be sent to it.

use super::{LinkEnd, LinkPipe};
use crate::mail::LinkId;
use gpusher_proto::gateway::{Credit, Event, FromGateway, Hello, Membership, Report, ToGateway};
use gpusher_proto::gateway::{event, from_gateway};
use std::collections::VecDeque;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

/// Events in one Report, and the bytes of client messages at which it is full.
const REPORT_EVENTS_MAX: usize = 512;
const REPORT_BYTES_FULL: usize = 256 << 10;

/// A logic from its stream's start to its end.
pub(crate) struct Logic {
    /// Its number.
    pub id: LinkId,
    /// From its Attach; none before.
    pub name: Option<String>,
    /// Instances it says there are.
    pub peers: Vec<String>,
    /// Revision of the link set that brought it in, until every shard has reached it and `Announced` is sent.
    pub announce_due: Option<u64>,
    /// How often it has asked for everybody again.
    pub asked_again: u32,
    /// Membership changes it has acknowledged.
    pub acknowledged: u64,
    /// Last membership change it was sent.
    pub informed: u64,
    /// Since when it owes an acknowledgement.
    pub owes_since: Option<Instant>,
    /// When the stream came.
    pub since: Instant,
    /// Since when it has taken nothing although too much waits for it.
    pub stalled_since: Option<Instant>,
    /// What it may send.
    pub credit: Commands,
    /// What it is to be sent.
    pub outgoing: Outgoing,
    incoming: mpsc::Receiver<ToGateway>,
    end: super::EndReason,
}

/// Credit: commands that logic may send, and those on their way. Together they never exceed the window.
#[derive(Debug)]
pub(crate) struct Commands {
    window: u32,
    open: u32,
    owed: u32,
}

/// More commands than there was credit for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overspent;

impl Commands {
    fn new(window: u32) -> Self {
        Self { window, open: 0, owed: window }
    }

    /// A command has come.
    pub(crate) fn spend(&mut self) -> Result<(), Overspent> {
        self.open = self.open.checked_sub(1).ok_or(Overspent)?;
        Ok(())
    }

    /// A command is done with.
    pub(crate) fn give_back(&mut self) {
        self.owed += 1;
        assert!(self.open + self.owed <= self.window);
    }

    /// Whether to grant now: not for every single command, but before logic runs dry.
    fn is_grant_due(&self) -> bool {
        let quarter = self.window / 4;
        self.owed > 0 && (self.owed >= quarter || self.open <= quarter)
    }

    fn take_grant(&mut self) -> u32 {
        self.open += self.owed;
        std::mem::take(&mut self.owed)
    }
}

/// What waits to be sent to one logic.
pub(crate) struct Outgoing {
    sender: PollSender<FromGateway>,
    hello: Option<Hello>,
    events: VecDeque<event::Kind>,
    bytes: usize,
}

impl Outgoing {
    /// Introduces the gateway, ahead of everything.
    pub(crate) fn greet(&mut self, hello: Hello) {
        self.hello = Some(hello);
    }

    /// Queues an event behind the others.
    pub(crate) fn push(&mut self, event: event::Kind) {
        self.bytes += content_bytes(&event);
        self.events.push_back(event);
    }

    /// Whether more waits than should.
    pub(crate) fn is_full(&self, events_max: usize, bytes_max: usize) -> bool {
        self.events.len() >= events_max || self.bytes >= bytes_max
    }

    /// Takes as many events as one Report may hold.
    fn take_report(&mut self) -> FromGateway {
        let mut events = Vec::with_capacity(self.events.len().min(REPORT_EVENTS_MAX));
        let mut bytes = 0;
        while events.len() < REPORT_EVENTS_MAX && bytes < REPORT_BYTES_FULL {
            let Some(event) = self.events.pop_front() else { break };
            bytes += content_bytes(&event);
            events.push(Event { kind: Some(event) });
        }
        self.bytes -= bytes;
        message(from_gateway::Kind::Report(Report { events }))
    }
}

impl Logic {
    /// A stream that has not introduced itself yet.
    pub(crate) fn new(id: LinkId, pipe: LinkPipe, window: u32, now: Instant) -> Self {
        Self {
            id,
            name: None,
            peers: Vec::new(),
            announce_due: None,
            asked_again: 0,
            acknowledged: 0,
            informed: 0,
            owes_since: None,
            since: now,
            stalled_since: None,
            credit: Commands::new(window),
            outgoing: Outgoing {
                sender: PollSender::new(pipe.to_logic),
                hello: None,
                events: VecDeque::new(),
                bytes: 0,
            },
            incoming: pipe.from_logic,
            end: pipe.end,
        }
    }

    /// Queues a change of memberships.
    pub(crate) fn inform(&mut self, membership: Membership, now: Instant) {
        self.informed = membership.revision;
        self.owes_since.get_or_insert(now);
        self.outgoing.push(event::Kind::Membership(membership));
    }

    /// What it is told as it attaches comes ahead of everything, and until it has been told all, it takes whatever it sends for wanted: nobody waits for it to
    /// acknowledge that.
    pub(crate) fn knows_all(&mut self) {
        self.acknowledged = self.informed;
        self.owes_since = None;
    }

    /// It knows of changes up to here.
    pub(crate) fn acknowledge(&mut self, revision: u64, now: Instant) {
        if revision > self.acknowledged {
            self.acknowledged = revision;
            self.owes_since = (self.informed > revision).then_some(now);
        }
    }

    /// Membership changes up to here it has acknowledged or was never told of.
    pub(crate) fn knows_up_to(&self) -> u64 {
        if self.acknowledged >= self.informed { u64::MAX } else { self.acknowledged }
    }

    /// The next message from it; `None` at the stream's end.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<ToGateway>> {
        self.incoming.poll_recv(context)
    }

    /// Sends what waits, as far as the stream takes it. Ready with the number of events sent when nothing is left.
    pub(crate) fn poll_flush(
        &mut self,
        context: &mut Context<'_>,
        sent: &mut u64,
    ) -> Poll<Result<(), LinkEnd>> {
        while self.name.is_some() {
            let outgoing = &mut self.outgoing;
            let idle = outgoing.hello.is_none() && outgoing.events.is_empty();
            if idle && !self.credit.is_grant_due() {
                break;
            }
            if ready!(outgoing.sender.poll_reserve(context)).is_err() {
                return Poll::Ready(Err(LinkEnd::Closed));
            }
            self.stalled_since = None;
            let next = self.next_message(sent);
            // The reservation is held, so only a closed channel refuses; the next round sees that.
            let _ = self.outgoing.sender.send_item(next);
        }
        Poll::Ready(Ok(()))
    }

    fn next_message(&mut self, sent: &mut u64) -> FromGateway {
        if let Some(hello) = self.outgoing.hello.take() {
            return message(from_gateway::Kind::Hello(hello));
        }
        if self.credit.is_grant_due() {
            let commands = self.credit.take_grant();
            return message(from_gateway::Kind::Credit(Credit { commands }));
        }
        let before = self.outgoing.events.len();
        let report = self.outgoing.take_report();
        *sent += (before - self.outgoing.events.len()) as u64;
        report
    }

    /// Ends the stream, saying why.
    pub(crate) fn finish(self, why: LinkEnd) {
        self.end.set(why);
    }
}

fn message(kind: from_gateway::Kind) -> FromGateway {
    FromGateway { kind: Some(kind) }
}

/// Memory that matters when events pile up: what clients wrote.
fn content_bytes(event: &event::Kind) -> usize {
    match event {
        event::Kind::Upstream(upstream) => upstream.content.len(),
        _ => 0,
    }
}
