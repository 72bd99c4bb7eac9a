//! What a client asks for becomes mail to its logic, or an answer.

use super::members::Joined;
use super::table::{Flags, Phase};
use super::{Clock, Shard};
use crate::metrics::ShardCount;
use gpusher_proto::gateway::{self, event::Kind};
use gpusher_proto::wire::{Code, Position, Target};
use gpusher_session::Event;
use gpusher_sys::driver::Driver;
use rustc_hash::FxHashMap;

/// A session's event, owned.
#[derive(Debug)]
pub(super) enum Asked {
    Login(Box<LoginAsked>),
    Ack(Position),
    Upstream(Box<gateway::Upstream>),
    Join { request: u64, topic: String, since: Option<u64> },
    Leave { request: u64, topic: String },
    Sync { request: Option<u64> },
    Bye,
}

/// A login, with the token that is not passed on.
#[derive(Debug)]
pub(super) struct LoginAsked {
    pub(super) opened: gateway::Opened,
    pub(super) token: String,
}

impl Asked {
    pub(super) fn of(event: Event<'_>) -> Self {
        match event {
            Event::Login(login) => Self::Login(Box::new(LoginAsked {
                token: login.token.to_owned(),
                opened: gateway::Opened {
                    conn: 0,
                    app_id: login.app_id,
                    user: login.user.to_owned(),
                    device: login.device.to_owned(),
                    version: u32::from(login.version),
                    key: login.key.to_owned(),
                    epoch: login.epoch,
                    resume: login.resume.iter().map(Into::into).collect(),
                    at_ms: 0,
                    again: false,
                    announcement: 0,
                },
            })),
            Event::Ack(position) => Self::Ack(position),
            Event::Upstream(upstream) => Self::Upstream(Box::new(gateway::Upstream {
                conn: 0,
                request: upstream.request,
                target: target_number(upstream.target),
                name: upstream.name.to_owned(),
                content: upstream.content.to_vec().into(),
                answer: upstream.answer,
            })),
            Event::Join { request, topic, since } => {
                Self::Join { request, topic: topic.to_owned(), since }
            }
            Event::Leave { request, topic } => Self::Leave { request, topic: topic.to_owned() },
            Event::Sync { request } => Self::Sync { request },
            Event::Bye => Self::Bye,
        }
    }
}

fn target_number(target: Target) -> u32 {
    target as u8 as u32
}

/// Joins whose answer is out, by slot.
#[derive(Debug, Default)]
pub(super) struct Joins(FxHashMap<u32, Vec<Join>>);

/// A join whose answer is out.
#[derive(Debug)]
struct Join {
    request: u64,
    topic: Box<str>,
    /// A refusal takes the membership back.
    is_new: bool,
    /// The connection holds until the answer.
    holds: bool,
    asked_tick: u32,
}

impl Joins {
    fn take(&mut self, slot: u32, request: u64) -> Option<Join> {
        let joins = self.0.get_mut(&slot)?;
        let index = joins.iter().position(|join| join.request == request)?;
        let join = joins.swap_remove(index);
        if joins.is_empty() {
            self.0.remove(&slot);
        }
        Some(join)
    }

    /// A join is answered. Whether the topic has to be left: it was refused, the membership came with it, and no other join of the same topic is to
    /// decide about that.
    fn settle(&mut self, slot: u32, join: &Join, is_done: bool) -> bool {
        let joins = self.0.get_mut(&slot).into_iter().flatten();
        let mut others = joins.filter(|other| other.topic == join.topic);
        if is_done {
            others.for_each(|other| other.is_new = false);
            return false;
        }
        match others.next() {
            Some(other) => {
                other.is_new |= join.is_new;
                false
            }
            None => join.is_new,
        }
    }

    fn len(&self, slot: u32) -> usize {
        self.0.get(&slot).map_or(0, Vec::len)
    }

    fn any_holds(&self, slot: u32) -> bool {
        self.0.get(&slot).is_some_and(|joins| joins.iter().any(|join| join.holds))
    }

    /// The connection is gone.
    pub(super) fn forget(&mut self, slot: u32) {
        self.0.remove(&slot);
    }

    pub(super) fn requests(&self, slot: u32) -> Vec<u64> {
        self.0.get(&slot).into_iter().flatten().map(|join| join.request).collect()
    }

    /// Joins asked for at or before a tick: (slot, request).
    pub(super) fn older_than(&self, tick: u32) -> Vec<(u32, u64)> {
        let all =
            self.0.iter().flat_map(|(&slot, joins)| joins.iter().map(move |join| (slot, join)));
        all.filter(|(_, join)| tick.wrapping_sub(join.asked_tick) as i32 >= 0)
            .map(|(slot, join)| (slot, join.request))
            .collect()
    }
}

impl<D: Driver, C: Clock> Shard<D, C> {
    pub(super) fn react(&mut self, slot: u32, asked: Asked) {
        // Asked before something else in the same turn made it leave.
        if !matches!(self.table.phase[slot as usize], Phase::Login | Phase::Member) {
            return;
        }
        let conn = self.table.id(slot).raw();
        match asked {
            Asked::Login(login) => self.on_login(slot, *login),
            Asked::Ack(Position { kind, seq }) => {
                self.tell_logic(slot, Kind::Ack(gateway::Ack { conn, channel: kind.into(), seq }));
            }
            Asked::Upstream(upstream) => {
                let (request, answer) = (upstream.request, upstream.answer);
                let told =
                    self.tell_logic(slot, Kind::Upstream(gateway::Upstream { conn, ..*upstream }));
                if !told && answer {
                    self.answer(slot, request, Code::NotAvailable.number(), 0);
                }
            }
            Asked::Join { request, topic, since } => self.on_join(slot, request, topic, since),
            Asked::Leave { request, topic } => self.on_leave(slot, request, topic),
            Asked::Sync { request } => {
                let asked = gateway::SyncRequest { conn, request };
                self.tell_logic(slot, Kind::SyncRequest(asked));
            }
            Asked::Bye => self.close(slot, Code::Done),
        }
    }

    /// The membership counts from here on, so that nothing sent between now and the answer is missed.
    fn on_join(&mut self, slot: u32, request: u64, topic: String, since: Option<u64>) {
        let (conn, app) = (self.table.id(slot).raw(), self.table.app[slot as usize]);
        let topics_max = self.config.topics_max;
        let joined = match self.joins.len(slot) < topics_max {
            true => self.members.join(slot, app, &topic, topics_max),
            false => Joined::TooMany,
        };
        if joined == Joined::TooMany {
            self.counts.add(ShardCount::JoinsRefused, 1);
            return self.answer(slot, request, Code::TooManyTopics.number(), 0);
        }
        let join = Join {
            request,
            topic: topic.as_str().into(),
            is_new: joined == Joined::New,
            holds: since.is_some(),
            asked_tick: self.now.tick(),
        };
        self.joins.0.entry(slot).or_default().push(join);
        if since.is_some() {
            self.hold(slot, Flags::HOLD_JOIN);
        }
        if !self.tell_logic(slot, Kind::Join(gateway::Join { conn, request, topic, since })) {
            self.on_answer(slot, request, Code::NotAvailable.number(), 0);
        }
    }

    fn on_leave(&mut self, slot: u32, request: u64, topic: String) {
        let (conn, app) = (self.table.id(slot).raw(), self.table.app[slot as usize]);
        self.members.leave(slot, app, &topic);
        if !self.tell_logic(slot, Kind::Leave(gateway::Leave { conn, request, topic })) {
            self.answer(slot, request, Code::Done.number(), 0);
        }
    }

    /// Logic's answer to an upstream message, a join or a leave. A join that it refuses is taken back.
    pub(super) fn on_answer(&mut self, slot: u32, request: u64, code: u16, value: u64) {
        if let Some(join) = self.joins.take(slot, request) {
            if self.joins.settle(slot, &join, code == Code::Done.number()) {
                self.members.leave(slot, self.table.app[slot as usize], &join.topic);
            }
            if join.holds && !self.joins.any_holds(slot) {
                self.end_hold(slot, Flags::HOLD_JOIN);
            }
        }
        self.answer(slot, request, code, value);
    }

    fn answer(&mut self, slot: u32, request: u64, code: u16, value: u64) {
        let mut frame = Vec::new();
        self.table.session[slot as usize].answer(request, code, value, &mut frame);
        self.stage_control(slot, frame.into());
    }
}
