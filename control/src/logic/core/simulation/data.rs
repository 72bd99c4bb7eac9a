//! Store, routes and queue in a few maps, and calls to them in stages, so that others come in between.

use super::super::work::*;
use super::super::{Blocks, LinkKey, Now, Positions, Prepared, PreparedPush};
use super::super::{channel_kind, channels_of, furthest};
use gpusher_proto::data::*;
use gpusher_proto::gateway::ChannelKind;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

type LogKey = (i32, u32, String);

#[derive(Default)]
struct Log {
    last: u64,
    messages: Vec<(u64, Push)>,
}

/// What outlives an instance.
#[derive(Default)]
pub(super) struct DataLayer {
    pub(super) queue: Vec<Record>,
    /// Records done.
    pub(super) committed: usize,
    /// (user, message).
    pub(super) dead: BTreeSet<(String, u64)>,
    logs: BTreeMap<LogKey, Log>,
    cursors: BTreeMap<(String, String), Positions>,
    recalls: BTreeSet<u64>,
    routes: BTreeMap<String, Vec<Route>>,
}

fn key_of(channel: &Channel) -> LogKey {
    (channel.kind, channel.app_id, channel.name.clone())
}

impl DataLayer {
    pub(super) fn publish(&mut self, kind: job::Kind) {
        let offset = self.queue.len() as u64 + 1;
        let job = Some(Job { kind: Some(kind) });
        self.queue.push(Record { offset, key: String::new(), job });
    }

    /// Channel, number and id of all that is kept for a user.
    pub(super) fn logged(&self, app_id: u32, user: &str) -> Vec<(usize, u64, u64)> {
        let of = |(index, channel): (usize, Channel)| {
            let log = self.logs.get(&key_of(&channel)).map_or(&[][..], |log| &log.messages);
            log.iter().map(move |(seq, push)| (index, *seq, push.id)).collect::<Vec<_>>()
        };
        channels_of(app_id, user).into_iter().enumerate().flat_map(of).collect()
    }

    fn append(&mut self, channel: &Channel, push: &Push) -> u64 {
        let log = self.logs.entry(key_of(channel)).or_default();
        if let Some((seq, _)) = log.messages.iter().find(|(_, logged)| logged.id == push.id) {
            return *seq;
        }
        log.last += 1;
        log.messages.push((log.last, push.clone()));
        log.last
    }

    fn reserve(&mut self, channel: &Channel, count: u64) -> u64 {
        let log = self.logs.entry(key_of(channel)).or_default();
        log.last += count;
        log.last - count + 1
    }

    fn read(&self, request: &ReadRequest) -> ReadPage {
        let key = request.channel.as_ref().map(key_of).expect("a channel");
        let log = self.logs.get(&key).map_or(&[][..], |log| &log.messages);
        let due =
            |(seq, push): &&(u64, Push)| *seq > request.after && !self.recalls.contains(&push.id);
        let limit = request.limit as usize;
        let mut messages: Vec<Logged> = log
            .iter()
            .filter(due)
            .take(limit + 1)
            .map(|(seq, push)| Logged { seq: *seq, push: Some(push.clone()) })
            .collect();
        let more = messages.len() > limit;
        messages.truncate(limit);
        ReadPage { messages, more }
    }

    fn head(&self, channel: &Channel) -> Head {
        Head { first: 1, last: self.logs.get(&key_of(channel)).map_or(0, |log| log.last) }
    }

    fn bind(&mut self, route: &Route) -> Vec<Route> {
        let routes = self.routes.entry(route.user.clone()).or_default();
        routes.retain(|held| held.conn != route.conn);
        if routes.iter().any(|held| held.since_ms > route.since_ms) {
            return vec![route.clone()];
        }
        let replaced = std::mem::take(routes);
        routes.push(route.clone());
        replaced
    }

    fn unbind(&mut self, user: &str, conn: u64) {
        if let Some(routes) = self.routes.get_mut(user) {
            routes.retain(|held| held.conn != conn);
        }
    }

    fn locate(&self, user: &str) -> Vec<Route> {
        self.routes.get(user).cloned().unwrap_or_default()
    }

    /// Whether an earlier instance has recalled a push.
    fn is_recalled(&self, record: &Record) -> bool {
        match record.job.as_ref().and_then(|job| job.kind.as_ref()) {
            Some(job::Kind::Push(push)) => self.recalls.contains(&push.id),
            _ => false,
        }
    }

    fn cursors(&self, route: &Route) -> Positions {
        let key = (route.user.clone(), route.device.clone());
        self.cursors.get(&key).copied().unwrap_or_default()
    }
}

/// Work under way, and how far it is.
pub(super) struct Task {
    work: Option<Work>,
    stage: usize,
    prepared: Vec<(u64, Prepared)>,
    answers: Vec<LoginAnswer>,
    pages: Vec<ReadPage>,
}

impl Task {
    pub(super) fn new(work: Work) -> Self {
        let (prepared, answers, pages) = Default::default();
        Self { work: Some(work), stage: 0, prepared, answers, pages }
    }

    /// Makes the next call; the answer after the last.
    pub(super) fn advance(&mut self, data: &mut DataLayer, now: Now) -> Option<Done> {
        self.stage += 1;
        match self.work.take().expect("not done") {
            Work::Prepare { records, mut blocks, block, now, known_recalls } => match self.stage {
                1 => {
                    let prepare = |record: &Record| match !known_recalls && data.is_recalled(record)
                    {
                        true => (record.offset, Prepared::Nothing),
                        false => append(data, record, &mut blocks),
                    };
                    self.prepared = records.iter().map(prepare).collect();
                    self.put_back(Work::Prepare { records, blocks, block, now, known_recalls })
                }
                2 => {
                    for (_, prepared) in &mut self.prepared {
                        locate(data, prepared, &mut blocks, block);
                    }
                    self.put_back(Work::Prepare { records, blocks, block, now, known_recalls })
                }
                _ => Some(Done::Prepare { prepared: std::mem::take(&mut self.prepared), blocks }),
            },
            Work::Login(asks) => self.login(data, asks),
            Work::Read(asks) => {
                if self.stage == 1 {
                    self.pages = asks.iter().map(|ask| data.read(&ask.request)).collect();
                    return self.put_back(Work::Read(asks));
                }
                let pages = self.pages.drain(..).map(Ok);
                Some(Done::Read(asks.into_iter().zip(pages).collect()))
            }
            Work::Cursor { updates, shared } => {
                if self.stage == 1 {
                    updates.iter().for_each(|update| advance(data, update));
                    return self.put_back(Work::Cursor { updates, shared });
                }
                Some(Done::Cursor(true))
            }
            other => Some(at_once(data, other, now)),
        }
    }

    fn put_back(&mut self, work: Work) -> Option<Done> {
        self.work = Some(work);
        None
    }

    fn login(&mut self, data: &mut DataLayer, asks: Vec<LoginAsk>) -> Option<Done> {
        match self.stage {
            1 => {
                let answer = |ask: &LoginAsk| LoginAnswer {
                    opened: ask.opened.clone(),
                    login: ask.login,
                    replaced: data.bind(&ask.route),
                    cursors: ask.pending,
                    heads: Default::default(),
                };
                self.answers = asks.iter().map(answer).collect();
            }
            2 => {
                for (ask, answer) in asks.iter().zip(&mut self.answers) {
                    answer.cursors = furthest(answer.cursors, &data.cursors(&ask.route));
                }
            }
            3 => {
                for (ask, answer) in asks.iter().zip(&mut self.answers) {
                    let channels = channels_of(ask.route.app_id, &ask.route.user);
                    answer.heads = channels.map(|channel| data.head(&channel));
                }
            }
            _ => return Some(Done::Login(Ok(std::mem::take(&mut self.answers)))),
        }
        self.put_back(Work::Login(asks))
    }
}

fn append(data: &mut DataLayer, record: &Record, blocks: &mut Blocks) -> (u64, Prepared) {
    let prepared = match record.job.clone().and_then(|job| job.kind) {
        Some(job::Kind::Push(push)) => {
            let kind = channel_kind(push.r#type).expect("a known type");
            let seqs = match push.offline_push {
                true => channels_for(&push, kind).iter().map(|it| data.append(it, &push)).collect(),
                false => Vec::new(),
            };
            if push.offline_push && kind == ChannelKind::Own {
                push.users.iter().for_each(|user| blocks.forget(&(push.app_id, user.clone())));
            }
            Prepared::Push(PreparedPush { push: Arc::new(push), kind, seqs, routes: Vec::new() })
        }
        Some(job::Kind::Recall(message)) => {
            data.recalls.insert(message.id);
            Prepared::Recall { message: message.id, placed: Vec::new(), routes: Vec::new() }
        }
        _ => Prepared::Nothing,
    };
    (record.offset, prepared)
}

fn channels_for(push: &Push, kind: ChannelKind) -> Vec<Channel> {
    match kind {
        ChannelKind::Own => {
            let own = |user: &String| channels_of(push.app_id, user)[0].clone();
            push.users.iter().map(own).collect()
        }
        _ => vec![channels_of(push.app_id, "")[kind as usize].clone()],
    }
}

fn locate(data: &mut DataLayer, prepared: &mut Prepared, blocks: &mut Blocks, block: u32) {
    let Prepared::Push(prepared) = prepared else { return };
    let push = prepared.push.clone();
    if prepared.kind == ChannelKind::Own {
        prepared.routes = push.users.iter().map(|user| data.locate(user)).collect();
    }
    if push.offline_push {
        return;
    }
    for channel in channels_for(&push, prepared.kind) {
        let key = (channel.app_id, channel.name.clone());
        let seq = match prepared.kind {
            ChannelKind::Own => {
                if blocks.left(&key) == 0 {
                    let first = data.reserve(&channel, u64::from(block));
                    blocks.fill(key.clone(), first, u64::from(block));
                }
                blocks.take(&key).expect("filled")
            }
            _ => data.reserve(&channel, 1),
        };
        prepared.seqs.push(seq);
    }
}

fn advance(data: &mut DataLayer, update: &CursorUpdate) {
    let device = update.device.clone().expect("a device");
    let Cursors { own, app, everyone } = update.cursors.expect("cursors");
    let cursors = data.cursors.entry((device.user, device.device)).or_default();
    *cursors = furthest(*cursors, &[own, app, everyone]);
}

/// Calls whose stages nothing depends on.
fn at_once(data: &mut DataLayer, work: Work, _now: Now) -> Done {
    match work {
        Work::Unbind(conns) => {
            conns.iter().for_each(|key| data.unbind(&key.user, key.conn));
            Done::Unbind
        }
        Work::Status(_) => Done::Status(Ok(())),
        Work::Announce(announcements) => Done::Announce(announcements),
        Work::Dead { asks, .. } => {
            Done::Dead(asks.into_iter().map(|ask| (ask.conn, Ok(give_up(data, ask)))).collect())
        }
        Work::Retry(asks) => Done::Retry(asks.into_iter().map(|ask| retry(data, ask)).collect()),
        Work::Lease(LeaseAsk::Attach { link, .. }) => attached(link),
        Work::Lease(LeaseAsk::Renew { link, .. }) => Done::Renewed(link, true, Vec::new()),
        Work::Lease(LeaseAsk::Detach { .. }) => Done::Detached,
        other => panic!("not part of the model: {other:?}"),
    }
}

fn attached(link: LinkKey) -> Done {
    Done::Attached(link, Ok(Vec::new()))
}

fn retry(data: &mut DataLayer, ask: RetryAsk) -> RetryAnswer {
    let mut located = Vec::new();
    for target in &ask.missing {
        let user = &ask.receivers.users[target.receiver].user;
        data.unbind(user, target.conn);
        located.push((target.receiver, data.locate(user)));
    }
    RetryAnswer { ask, located }
}

fn give_up(data: &mut DataLayer, ask: DeadAsk) -> DeadAnswer {
    let mut messages = Vec::new();
    let channels = channels_of(ask.device.app_id, ask.device.user());
    for (index, channel) in channels.iter().enumerate() {
        let log = data.logs.get(&key_of(channel)).map_or(&[][..], |log| &log.messages);
        let due = |(seq, _): &&(u64, Push)| *seq > ask.after[index] && *seq <= ask.through[index];
        messages.extend(log.iter().filter(due).map(|(_, push)| push.id));
    }
    let user = ask.device.user().to_owned();
    data.dead.extend(messages.iter().map(|&id| (user.clone(), id)));
    let through = furthest(ask.after, &ask.through);
    DeadAnswer { conn: ask.conn, device: ask.device, through, messages }
}
