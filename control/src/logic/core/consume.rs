//! Records of the queue: in, through preparation, and out as deliveries.

use super::plan::{self, PreparedPush, PushPart, Receiver, Receivers, Target, Unicast};
use super::withdrawal::{Audience, Sent};
use super::*;
use gpusher_proto::data::{KickJob, Push, Route, job};
use gpusher_proto::gateway::{ChannelKind, Connections, Delivery, Kick, Topic, delivery};
use link::Part;
use rustc_hash::FxHashSet;

/// Kept messages of a shared channel whose acknowledgements are counted.
const TAIL_MESSAGES: usize = 1_024;

/// The end of a shared channel: kept messages that went out by this logic.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// The last one's number.
    pub(super) last: u64,
    /// (number, message), oldest first.
    pub(super) recent: VecDeque<(u64, u64)>,
}

impl Core {
    /// Whether more records may be taken from the queue.
    pub fn has_room(&self) -> bool {
        let full = |link: &Link| {
            let (commands, bytes) = link.backlog();
            commands >= self.limits.backlog_commands || bytes >= self.limits.backlog_bytes
        };
        self.incoming.is_empty() && !self.is_full() && !self.links.values().any(full)
    }

    fn is_full(&self) -> bool {
        let Limits { jobs_open, held_back, .. } = self.limits;
        match self.holds_back() {
            true => self.progress.unfinished() >= jobs_open || self.progress.len() >= held_back,
            false => self.progress.len() >= jobs_open,
        }
    }

    /// Records come that another instance may have worked on: it may have handled a recall, and not committed the push before it. For some time
    /// it is asked about each push, as at the start.
    pub fn on_took_over(&mut self) {
        // They come between those that were this instance's before.
        self.repeats_left = 2 * repeats_max(&self.limits, false);
    }

    /// Records come, in the order of the queue.
    pub fn on_records(&mut self, records: Vec<Record>) {
        self.count(Count::Records, records.len() as u64);
        for record in records {
            if !self.progress.begin(record.offset) {
                self.count(Count::RecordsSkipped, 1);
                continue;
            }
            match record.job.as_ref().and_then(|job| job.kind.as_ref()) {
                Some(job::Kind::Push(push)) if self.withdrawn.contains(push.id) => {
                    let id = push.id;
                    self.statuses.add(id, |row| row.withdrawn += 1);
                    self.count(Count::Withdrawn, 1);
                    self.progress.finish_part(record.offset);
                    continue;
                }
                // From here on, nothing of it goes out any more, wherever it is.
                Some(job::Kind::Recall(message)) => self.withdrawn.add(message.id),
                _ => {}
            }
            self.incoming.push(record);
        }
    }

    pub(super) fn take_records(&mut self) -> Option<Work> {
        let mut bytes = 0;
        let fits = |record: &&Record| {
            let before = bytes;
            bytes += content_bytes(record);
            before < self.limits.batch_bytes
        };
        let count = self.incoming.iter().take_while(fits).count();
        if count == 0 {
            return None;
        }
        let records: Vec<Record> = self.incoming.drain(..count).collect();
        self.preparing_kept = records.iter().filter_map(push_of).any(|push| push.offline_push);
        let mut blocks = self.blocks.take().expect("one batch is prepared at a time");
        let mut block = self.limits.sequence_block;
        if !self.is_alone() {
            // Another instance may have taken numbers since: those at hand would be lower.
            blocks = Blocks::new(self.limits.sequence_blocks);
            block = 1;
        }
        let known_recalls = self.repeats_left == 0;
        self.repeats_left = self.repeats_left.saturating_sub(records.len());
        let now = self.now;
        Some(Work::Prepare { records, blocks, block, now, known_recalls })
    }

    pub(super) fn on_prepared(&mut self, prepared: Vec<(u64, Prepared)>, blocks: Blocks) {
        self.blocks = Some(blocks);
        for (offset, prepared) in prepared {
            self.dispatch(offset, prepared);
            self.progress.finish_part(offset);
        }
        self.preparing_kept = false;
        for conn in std::mem::take(&mut self.finishing) {
            self.end_replay(conn);
        }
    }

    fn dispatch(&mut self, offset: u64, prepared: Prepared) {
        match prepared {
            Prepared::Push(prepared) => self.dispatch_push(offset, prepared),
            Prepared::Recall { message, placed, routes } => {
                self.dispatch_recall(offset, message, &placed, &routes);
            }
            Prepared::Kick { job, routes } => self.dispatch_kick(offset, &job, &routes),
            Prepared::Expired(push) => {
                self.describe(&push);
                self.statuses.add(push.id, |row| row.expired += 1);
                self.count(Count::Expired, 1);
            }
            Prepared::Recalled(push) => {
                self.describe(&push);
                self.withdrawn.add(push.id);
                self.statuses.add(push.id, |row| row.withdrawn += 1);
                self.count(Count::Withdrawn, 1);
            }
            Prepared::Failed(push) => {
                self.describe(&push);
                self.statuses.add(push.id, |row| row.dead += 1);
                self.count(Count::PushesFailed, 1);
            }
            Prepared::Nothing => self.count(Count::RecordsSkipped, 1),
        }
    }

    fn describe(&mut self, push: &Push) {
        self.statuses.add(push.id, |row| {
            row.app_id = push.app_id;
            row.r#type = push.r#type;
            row.accepted_at_ms = push.accepted_at_ms;
            row.expires_at_ms = push.expires_at_ms;
        });
    }

    fn dispatch_push(&mut self, offset: u64, prepared: PreparedPush) {
        let push = prepared.push.clone();
        self.describe(&push);
        if push.offline_push {
            let logs = prepared.seqs.len() as u64;
            self.statuses.add(push.id, |row| row.stored += logs);
        }
        self.has_sent |= push.offline_push;
        if self.withdrawn.contains(push.id) {
            self.statuses.add(push.id, |row| row.withdrawn += 1);
            return self.count(Count::Withdrawn, 1);
        }
        match prepared.kind {
            ChannelKind::Own => self.dispatch_own(offset, &prepared),
            kind => self.dispatch_shared(offset, &push, kind, prepared.seqs[0]),
        }
    }

    fn dispatch_own(&mut self, offset: u64, prepared: &PreparedPush) {
        let push = &prepared.push;
        let users = plan::receivers(prepared);
        let absent = prepared.routes.iter().filter(|routes| routes.is_empty()).count() as u64;
        let plan = plan::unicasts(&users, &prepared.routes);
        let gateways: FxHashSet<u32> = plan.iter().map(|unicast| unicast.gateway).collect();
        self.statuses.add(push.id, |row| {
            row.gateways += gateways.len() as u64;
            row.absent += if push.offline_push { 0 } else { absent };
        });
        let receivers = Arc::new(Receivers { push: push.clone(), users, retries: 0 });
        self.send_unicasts(offset, &receivers, plan, gateways);
    }

    /// Sends deliveries to connections. The last one at each of `gateways` counts as that gateway's end of the push.
    pub(super) fn send_unicasts(
        &mut self,
        offset: u64,
        receivers: &Arc<Receivers>,
        plan: Vec<Unicast>,
        mut gateways: FxHashSet<u32>,
    ) {
        let push = receivers.push.clone();
        if !push.offline_push {
            self.remember_unicasts(&push, &plan);
        }
        let last: Vec<bool> =
            plan.iter().rev().map(|unicast| gateways.remove(&unicast.gateway)).collect();
        for (unicast, closes) in plan.into_iter().zip(last.into_iter().rev()) {
            let Some(&key) = self.gateways.get(&unicast.gateway) else {
                self.on_unlinked(&receivers.push, &unicast.targets);
                if push.offline_push && !self.is_alone() {
                    self.owe(unicast.gateway, offset);
                }
                continue;
            };
            let message = plan::message(&push, ChannelKind::Own, unicast.seq);
            let ids: Vec<u64> = unicast.targets.iter().map(|target| target.conn).collect();
            if push.offline_push {
                self.hand_own(&ids, unicast.seq, push.id);
            }
            let part = PushPart {
                offset,
                message: push.id,
                kept: push.offline_push,
                kind: ChannelKind::Own,
                app_id: push.app_id,
                seq: unicast.seq,
                closes,
                unicast: Some((receivers.clone(), unicast.targets)),
            };
            self.send_part(
                key,
                part,
                message,
                delivery::Audience::Connections(Connections { ids }),
            );
        }
    }

    fn hand_own(&mut self, conns: &[u64], seq: u64, message: u64) {
        for &conn in conns {
            if let Some(session) = self.sessions.get_mut(conn) {
                session.hand_own(seq, message);
            }
        }
    }

    fn remember_unicasts(&mut self, push: &Push, plan: &[Unicast]) {
        for unicast in plan {
            let ids = unicast.targets.iter().map(|target| target.conn).collect();
            let audience = Audience::Connections(vec![(unicast.gateway, ids)]);
            let sent = Sent { kind: ChannelKind::Own, seq: unicast.seq, audience };
            self.recent.remember(push.id, sent);
        }
    }

    /// The gateway of some routes is not linked: a kept message is in the log, a live one is lost to them.
    fn on_unlinked(&mut self, push: &Push, targets: &[Target]) {
        self.count(Count::Unlinked, targets.len() as u64);
        if !push.offline_push {
            self.statuses.add(push.id, |row| row.absent += targets.len() as u64);
        }
    }

    fn dispatch_shared(&mut self, offset: u64, push: &Push, kind: ChannelKind, seq: u64) {
        if push.offline_push {
            self.extend_tail(kind as usize, push.app_id, seq, push.id);
            self.owe_unlinked(offset);
        } else {
            let audience = match kind {
                ChannelKind::App => Audience::App(push.app_id),
                ChannelKind::Everyone => Audience::Everyone,
                _ => Audience::Topic(Topic { app_id: push.app_id, name: push.topic.clone() }),
            };
            self.recent.remember(push.id, Sent { kind, seq, audience });
        }
        let keys = self.listeners(kind, push.app_id, &push.topic);
        self.statuses.add(push.id, |row| row.gateways += keys.len() as u64);
        for key in keys {
            let part = PushPart {
                offset,
                message: push.id,
                kept: push.offline_push,
                kind,
                app_id: push.app_id,
                seq,
                closes: true,
                unicast: None,
            };
            let message = plan::message(push, kind, seq);
            self.send_part(key, part, message, plan::shared_audience(push, kind));
        }
    }

    /// Links with members of a shared channel.
    pub(super) fn listeners(&self, kind: ChannelKind, app_id: u32, topic: &str) -> Vec<LinkKey> {
        let is_alone = self.is_alone();
        let listens = |link: &Link| match kind {
            // A session of another instance may be there before its membership is known here.
            ChannelKind::App | ChannelKind::Everyone | ChannelKind::Topic
                if !is_alone && !link.complete =>
            {
                true
            }
            ChannelKind::App => link.has_app(app_id),
            ChannelKind::Everyone => link.has_app(0),
            ChannelKind::Topic => link.has_members(app_id, topic),
            ChannelKind::Own => false,
        };
        self.links.iter().filter(|(_, link)| listens(link)).map(|(&key, _)| key).collect()
    }

    pub(super) fn extend_tail(&mut self, channel: usize, app_id: u32, seq: u64, message: u64) {
        let Some(key) = tail_key(channel, app_id) else { return };
        let tail = self.tails.entry(key).or_default();
        // The same record again after a failed commit keeps its number.
        if seq <= tail.last {
            return;
        }
        tail.last = seq;
        tail.recent.push_back((seq, message));
        if tail.recent.len() > TAIL_MESSAGES {
            tail.recent.pop_front();
        }
    }

    fn send_part(
        &mut self,
        key: LinkKey,
        part: PushPart,
        message: gpusher_proto::gateway::Message,
        audience: delivery::Audience,
    ) {
        let job = self.new_job();
        self.progress.add_part(part.offset);
        self.count(Count::Deliveries, 1);
        let link = self.link(key);
        link.parts.insert(job, Part::Push(part));
        let delivery =
            Delivery { job, message: Some(message), audience: Some(audience), replay: false };
        link.push(command::Kind::Delivery(delivery), None);
    }

    fn dispatch_kick(&mut self, offset: u64, job: &KickJob, routes: &[Route]) {
        let wanted = |route: &&Route| job.device.is_empty() || route.device == job.device;
        for route in routes.iter().filter(wanted) {
            let kick = Kick {
                conn: route.conn,
                reason: super::login::code::KICKED,
                advice: job.advice,
                delay_ms: job.delay_ms,
                text: job.text.clone(),
            };
            self.command_for(offset, route.gateway, command::Kind::Kick(kick));
        }
    }

    /// Sends a command without an outcome on behalf of a record, which is done when it was sent.
    pub(super) fn command_for(&mut self, offset: u64, gateway: u32, kind: command::Kind) {
        let Some(link) = self.gateways.get(&gateway).and_then(|key| self.links.get_mut(key)) else {
            return self.count(Count::Unlinked, 1);
        };
        self.progress.add_part(offset);
        link.push(kind, Some(offset));
    }

    pub(super) fn on_located(&mut self, answer: RetryAnswer) {
        let RetryAnswer { ask, located } = answer;
        let push = ask.receivers.push.clone();
        let gone = self.withdrawn.contains(push.id) || plan::is_expired(&push, self.now.unix_ms);
        let mut users: Vec<Receiver> = Vec::new();
        let mut routes: Vec<Vec<Route>> = Vec::new();
        for (index, found) in located {
            let known = &ask.receivers.users[index];
            if found.is_empty() {
                self.statuses.add(push.id, |row| row.absent += 1);
            }
            let fresh: Vec<Route> = found
                .into_iter()
                .filter(|route| !known.conns.contains(&route.conn))
                // Another delivery of the same push may have missed the same user, and found this one first.
                .filter(|route| self.retried.insert((ask.offset, route.conn)))
                .collect();
            let mut user = known.clone();
            user.conns.extend(fresh.iter().map(|route| route.conn));
            users.push(user);
            routes.push(fresh);
        }
        if !gone {
            let plan = plan::unicasts(&users, &routes);
            let retries = ask.receivers.retries + 1;
            let receivers = Arc::new(Receivers { push, users, retries });
            self.send_unicasts(ask.offset, &receivers, plan, FxHashSet::default());
        }
        self.progress.finish_part(ask.offset);
    }
}

/// Where the tail of a shared channel with cursors is kept.
pub(super) fn tail_key(channel: usize, app_id: u32) -> Option<(usize, u32)> {
    match channel {
        1 => Some((1, app_id)),
        2 => Some((2, 0)),
        _ => None,
    }
}

fn push_of(record: &Record) -> Option<&Push> {
    match record.job.as_ref()?.kind.as_ref()? {
        job::Kind::Push(push) => Some(push),
        _ => None,
    }
}

/// The first records of an instance, those that another may have taken and not committed among them.
pub(super) fn repeats_max(limits: &Limits, alone: bool) -> usize {
    let taken = if alone { limits.jobs_open } else { limits.held_back };
    2 * taken + limits.batch_records
}

fn content_bytes(record: &Record) -> usize {
    push_of(record).map_or(0, |push| push.content.len())
}
