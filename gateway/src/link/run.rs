//! Moves messages between the hub and everybody else. Each round takes a bounded amount from each side, then sends what there is:
//! nothing waits for more to come.

use super::LinkEnd;
use super::hub::{Hub, Request};
use super::logic::Logic;
use crate::mail::{FromShard, LinkId, ToShard};
use crate::metrics::LinkCount;
use gpusher_proto::gateway::{command, event};
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

/// Taken from one side in one round.
const MESSAGES_PER_ROUND: usize = 16;
const BATCHES_PER_ROUND: usize = 64;

/// How often deadlines are looked at; every round while mail waits for a full mailbox.
const TICK: Duration = Duration::from_millis(50);
const RETRY: Duration = Duration::from_millis(1);

/// A stream that has not said who it is by then is closed.
const ATTACH_DEADLINE: Duration = Duration::from_secs(10);

/// Events of one logic that stop the reading from shards.
const EVENTS_WAITING_MAX: usize = 16_384;
const EVENT_BYTES_WAITING_MAX: usize = 16 << 20;

/// The hub and what it reads from.
pub(crate) struct Runner {
    hub: Hub,
    from_shards: mpsc::Receiver<Vec<FromShard>>,
    requests: mpsc::UnboundedReceiver<Request>,
    tick: Interval,
    retry: Interval,
    jobs_full: bool,
    events_full: bool,
    stopping: bool,
}

impl Runner {
    /// Must be called within a tokio runtime.
    pub(crate) fn new(
        hub: Hub,
        from_shards: mpsc::Receiver<Vec<FromShard>>,
        requests: mpsc::UnboundedReceiver<Request>,
    ) -> Self {
        let every = |period| {
            let mut interval = interval(period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        };
        Self {
            hub,
            from_shards,
            requests,
            tick: every(TICK),
            retry: every(RETRY),
            jobs_full: false,
            events_full: false,
            stopping: false,
        }
    }

    /// Runs until all shards have ended.
    pub(crate) async fn run(mut self) {
        while !self.hub.all_stopped() {
            poll_fn(|context| self.poll_round(context)).await;
        }
        self.hub.end_all();
    }

    /// Ready when something was done; pending when every side has registered its waker.
    fn poll_round(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.hub.now = Instant::now().into_std();
        // Streams that have ended make room for new ones.
        let mut worked = self.poll_logics(context);
        worked |= self.poll_requests(context);
        worked |= self.poll_shards(context);
        worked |= self.poll_timers(context);
        worked |= self.flush(context);
        if worked { Poll::Ready(()) } else { Poll::Pending }
    }

    fn poll_requests(&mut self, context: &mut Context<'_>) -> bool {
        match self.requests.poll_recv(context) {
            Poll::Ready(Some(Request::Attach(pipe))) => self.hub.open(pipe),
            Poll::Ready(Some(Request::Drain(drain))) => self.hub.drain(drain),
            Poll::Ready(Some(Request::Stop)) | Poll::Ready(None) if !self.stopping => {
                self.stopping = true;
                self.hub.post_to_all(|| ToShard::Stop);
            }
            Poll::Ready(Some(Request::Stop)) => {}
            Poll::Ready(None) | Poll::Pending => return false,
        }
        true
    }

    fn poll_logics(&mut self, context: &mut Context<'_>) -> bool {
        let full = self.hub.jobs_are_full();
        if full && !self.jobs_full {
            self.hub.counts.add(LinkCount::JobBytesFull, 1);
        }
        self.jobs_full = full;
        if full {
            return false;
        }
        let mut worked = false;
        for id in self.hub.ids() {
            for _ in 0..MESSAGES_PER_ROUND {
                let Some(logic) = self.hub.logic(id) else { break };
                let Poll::Ready(message) = logic.poll_next(context) else { break };
                worked = true;
                match message {
                    Some(message) => self.hub.on_message(id, message),
                    None => self.hub.end(id, LinkEnd::Closed),
                }
            }
        }
        worked
    }

    fn poll_shards(&mut self, context: &mut Context<'_>) -> bool {
        let full = self.hub.events_are_full();
        if full && !self.events_full {
            self.hub.counts.add(LinkCount::EventsFull, 1);
        }
        self.events_full = full;
        if full {
            return false;
        }
        let mut batches = Vec::with_capacity(BATCHES_PER_ROUND);
        let taken = self.from_shards.poll_recv_many(context, &mut batches, BATCHES_PER_ROUND);
        let Poll::Ready(1..) = taken else { return false };
        batches.into_iter().flatten().for_each(|message| self.hub.on_shard(message));
        true
    }

    fn poll_timers(&mut self, context: &mut Context<'_>) -> bool {
        let mut worked = false;
        if self.tick.poll_tick(context).is_ready() {
            self.hub.tick();
            worked = true;
        }
        if self.hub.postboxes.waiting() > 0 && self.retry.poll_tick(context).is_ready() {
            self.hub.retry_mail();
            worked = true;
        }
        worked
    }

    fn flush(&mut self, context: &mut Context<'_>) -> bool {
        let was_full = self.events_full;
        let mut ended = Vec::new();
        let mut sent = 0;
        for logic in &mut self.hub.logics {
            if let Poll::Ready(Err(why)) = logic.poll_flush(context, &mut sent) {
                ended.push((logic.id, why));
            }
        }
        self.hub.counts.add(LinkCount::Events, sent);
        let worked = !ended.is_empty() || was_full && !self.hub.events_are_full();
        ended.into_iter().for_each(|(id, why)| self.hub.end(id, why));
        worked
    }
}

impl Hub {
    fn ids(&self) -> Vec<LinkId> {
        self.logics.iter().map(|logic| logic.id).collect()
    }

    fn jobs_are_full(&self) -> bool {
        self.collector.bytes() >= self.config.jobs_bytes_max
    }

    fn events_are_full(&self) -> bool {
        let full =
            |logic: &Logic| logic.outgoing.is_full(EVENTS_WAITING_MAX, EVENT_BYTES_WAITING_MAX);
        self.logics.iter().any(full)
    }

    fn retry_mail(&mut self) {
        let mut accepted = Vec::new();
        self.postboxes.retry(|link| accepted.push(link));
        accepted.into_iter().for_each(|link| self.give_back(link));
    }

    fn drain(&mut self, drain: gpusher_proto::gateway::Drain) {
        // A drain names no connection, so it always splits; no link is owed credit for it.
        let Ok(split) = self.layout.split(LinkId(u32::MAX), command::Kind::Drain(drain)) else {
            return;
        };
        for (shard, mail) in split.mails {
            self.postboxes.post(shard, mail, None);
        }
    }

    /// What is due by time.
    pub(super) fn tick(&mut self) {
        self.end_late();
        for held in self.joins.take_overdue(self.now) {
            self.refuse_join(held.answer, &held.key);
        }
        for key in self.joins.take_settled(self.now) {
            self.settle(&key);
        }
        if let Some(load) = self.load.poll(self.now) {
            for logic in self.logics.iter_mut().filter(|logic| logic.name.is_some()) {
                logic.outgoing.push(event::Kind::Load(load));
            }
        }
        self.counts.set(LinkCount::MailWaiting, self.postboxes.waiting() as u64);
        self.counts.set(LinkCount::Jobs, self.collector.len() as u64);
        self.counts.set(LinkCount::JobBytes, self.collector.bytes() as u64);
        self.counts.set(LinkCount::Memberships, self.memberships.len() as u64);
        self.counts.set(LinkCount::EventsHeld, self.barrier.len() as u64);
        self.counts.set(LinkCount::AnswersHeld, self.joins.held() as u64);
    }

    /// Ends streams that never said who they are, and those that hold everybody up.
    fn end_late(&mut self) {
        let mut late = Vec::new();
        let are_several = self.attached() > 1;
        for logic in &mut self.logics {
            let full = logic.outgoing.is_full(EVENTS_WAITING_MAX, EVENT_BYTES_WAITING_MAX);
            logic.stalled_since = full.then(|| logic.stalled_since.unwrap_or(self.now));
            let overdue = |since, limit| self.now.duration_since(since) >= limit;
            if are_several
                && logic.owes_since.is_some_and(|since| overdue(since, self.config.stall))
            {
                late.push((logic.id, LinkEnd::Stalled));
            } else if logic.name.is_none() && overdue(logic.since, ATTACH_DEADLINE) {
                late.push((logic.id, LinkEnd::Violation("no attach in time")));
            } else if logic.stalled_since.is_some_and(|s| overdue(s, self.config.stall)) {
                late.push((logic.id, LinkEnd::Stalled));
            }
        }
        late.into_iter().for_each(|(id, why)| self.end(id, why));
    }

    fn end_all(&mut self) {
        self.logics.drain(..).for_each(|logic| logic.finish(LinkEnd::Shutdown));
    }
}
