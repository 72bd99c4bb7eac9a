//! Asks the store and the routes about a batch of records: one append, one look-up, one reservation.
//!
//! Append comes before the look-up: a login that is not found yet will read the log after it has bound its route.

use super::core::sequence::OwnKey;
use super::core::work::Done;
use super::core::{Blocks, Now, Prepared, PreparedPush, channel_kind, is_expired};
use super::data::Data;
use crate::error::Result;
use crate::store::REPEAT_WINDOW_MS;
use gpusher_proto::data::*;
use gpusher_proto::gateway::ChannelKind;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// Log entries in one append, users in one look-up.
const CALL_ENTRIES: usize = 4_096;

/// A record on its way.
enum Item {
    Push { push: Arc<Push>, kind: ChannelKind, seqs: Vec<u64> },
    Recall { message: u64, placed: Vec<Placed> },
    Kick(KickJob),
    Finished(Prepared),
}

pub(super) async fn prepare(
    data: &Data,
    records: Vec<Record>,
    mut blocks: Blocks,
    block: u32,
    now: Now,
    known_recalls: bool,
) -> Done {
    let mut items: Vec<(u64, Item)> =
        records.into_iter().map(|record| (record.offset, item_of(record, now))).collect();
    if !known_recalls {
        drop_recalled(data, &mut items).await;
    }
    append(data, &mut items, &mut blocks, now).await;
    items.iter_mut().for_each(|(_, item)| item.expire(now));
    recall(data, &mut items).await;
    let routes = locate(data, &items).await;
    reserve(data, &mut items, &routes, &mut blocks, block).await;
    let mut routes = routes.into_iter();
    let finish = |(offset, item)| (offset, finish(item, &mut routes));
    Done::Prepare { prepared: items.into_iter().map(finish).collect(), blocks }
}

fn item_of(record: Record, now: Now) -> Item {
    match record.job.and_then(|job| job.kind) {
        Some(job::Kind::Push(push)) => {
            let push = Arc::new(push);
            let users = !push.users.is_empty();
            match channel_kind(push.r#type) {
                _ if has_lost_its_place(&push, now) => Item::Finished(Prepared::Expired(push)),
                Some(ChannelKind::Own) if !users => Item::Finished(Prepared::Nothing),
                Some(kind) => Item::Push { push, kind, seqs: Vec::new() },
                None => Item::Finished(Prepared::Nothing),
            }
        }
        Some(job::Kind::Recall(message)) => {
            Item::Recall { message: message.id, placed: Vec::new() }
        }
        Some(job::Kind::Kick(job)) => Item::Kick(job),
        None => Item::Finished(Prepared::Nothing),
    }
}

/// Whether a message that has expired takes no number. A kept one that did a moment ago takes it, and goes no further: if logic is killed and the clock is set
/// back before the record is committed, the message is due again, and must not get a higher number than those behind it in the queue.
fn has_lost_its_place(push: &Push, now: Now) -> bool {
    let long_ago_ms = if push.offline_push { REPEAT_WINDOW_MS } else { 0 };
    is_expired(push, now.unix_ms.saturating_sub(long_ago_ms))
}

/// A process that was killed may have handled a recall and not committed the push before it: that must not go out again.
async fn drop_recalled(data: &Data, items: &mut [(u64, Item)]) {
    let pushes = items.iter().filter_map(|(_, item)| match item {
        Item::Push { push, .. } => Some(push.id),
        _ => None,
    });
    let messages: Vec<u64> = pushes.collect();
    if messages.is_empty() {
        return;
    }
    let call = || data.store.recalled(messages.clone());
    let recalled: FxHashSet<u64> =
        data.persist("look for recalls", call).await.into_iter().collect();
    for (_, item) in items {
        if let Item::Push { push, .. } = item
            && recalled.contains(&push.id)
        {
            *item = Item::Finished(Prepared::Recalled(push.clone()));
        }
    }
}

/// Puts kept pushes into their logs. If the store refuses the batch for good, each push is tried alone, and the refused ones go to the dead letters.
async fn append(data: &Data, items: &mut [(u64, Item)], blocks: &mut Blocks, now: Now) {
    let kept =
        |item: &&mut (u64, Item)| matches!(&item.1, Item::Push { push, .. } if push.offline_push);
    let mut kept: Vec<&mut (u64, Item)> = items.iter_mut().filter(kept).collect();
    let entries: Vec<Append> = kept.iter().flat_map(|(_, item)| entries_of(item)).collect();
    match append_entries(data, entries).await {
        Ok(seqs) => {
            let mut seqs = seqs.into_iter();
            for (_, item) in kept {
                number(item, &mut seqs, blocks);
            }
        }
        Err(_) => {
            for (_, item) in &mut kept {
                match append_entries(data, entries_of(item)).await {
                    Ok(seqs) => number(item, &mut seqs.into_iter(), blocks),
                    // Without a number, it is finished all the same.
                    Err(_) if item.has_expired(now) => {}
                    Err(error) => bury(data, item, error.to_string(), now).await,
                }
            }
        }
    }
}

fn entries_of(item: &Item) -> Vec<Append> {
    let Item::Push { push, kind, .. } = item else { return Vec::new() };
    if *kind != ChannelKind::Own {
        let channel = Some(shared_channel(push, *kind));
        return vec![Append { channel, push: Some(Push::clone(push)) }];
    }
    let entry = |user: &String| {
        let channel = Some(own_channel(push.app_id, user));
        // A user's log names that user only.
        let push = Push { users: vec![user.clone()], ..shallow(push) };
        Append { channel, push: Some(push) }
    };
    push.users.iter().map(entry).collect()
}

/// A push without its users.
fn shallow(push: &Push) -> Push {
    Push {
        users: Vec::new(),
        id: push.id,
        r#type: push.r#type,
        app_id: push.app_id,
        tag: push.tag.clone(),
        topic: push.topic.clone(),
        content: push.content.clone(),
        expire_time: push.expire_time,
        expires_at_ms: push.expires_at_ms,
        offline_push: push.offline_push,
        sender: push.sender.clone(),
        accepted_at_ms: push.accepted_at_ms,
        slow: push.slow,
    }
}

async fn append_entries(data: &Data, entries: Vec<Append>) -> Result<Vec<u64>> {
    let mut seqs = Vec::with_capacity(entries.len());
    for entries in entries.chunks(CALL_ENTRIES) {
        let call = || data.store.append(entries.to_vec());
        seqs.extend(data.until_final("append", call).await?);
    }
    Ok(seqs)
}

fn number(item: &mut Item, from: &mut impl Iterator<Item = u64>, blocks: &mut Blocks) {
    let Item::Push { push, kind, seqs } = item else { return };
    let count = if *kind == ChannelKind::Own { push.users.len() } else { 1 };
    seqs.extend(from.take(count));
    if *kind == ChannelKind::Own {
        for user in &push.users {
            blocks.forget(&(push.app_id, user.clone()));
        }
    }
}

async fn bury(data: &Data, item: &mut Item, reason: String, now: Now) {
    let Item::Push { push, .. } = item else { return };
    tracing::error!(
        message = push.id,
        reason,
        "a push cannot be stored and goes to the dead letters"
    );
    let letter = DeadLetter {
        app_id: push.app_id,
        user: push.users.first().cloned().unwrap_or_default(),
        push: Some(Push::clone(push)),
        reason,
        at_ms: now.unix_ms,
        ..DeadLetter::default()
    };
    data.persist("dead letter", || data.store.add_dead_letters(vec![letter.clone()])).await;
    *item = Item::Finished(Prepared::Failed(push.clone()));
}

async fn recall(data: &Data, items: &mut [(u64, Item)]) {
    for (_, item) in items {
        if let Item::Recall { message, placed } = item {
            let message = *message;
            *placed = data.persist("recall", || data.store.recall(message)).await;
        }
    }
}

/// Where the users of all items are, in the items' order.
async fn locate(data: &Data, items: &[(u64, Item)]) -> Vec<Vec<Route>> {
    let mut users: Vec<UserInApp> = Vec::with_capacity(items.len());
    items.iter().for_each(|(_, item)| item.add_users(&mut users));
    let mut located = Vec::with_capacity(users.len());
    for users in users.chunks(CALL_ENTRIES) {
        located.extend(data.persist("locate", || data.routes.locate(users.to_vec())).await);
    }
    assert_eq!(located.len(), users.len(), "a list of routes per user");
    located
}

impl Item {
    fn has_expired(&self, now: Now) -> bool {
        matches!(self, Self::Push { push, .. } if is_expired(push, now.unix_ms))
    }

    fn expire(&mut self, now: Now) {
        if let (true, Self::Push { push, .. }) = (self.has_expired(now), &self) {
            *self = Self::Finished(Prepared::Expired(push.clone()));
        }
    }

    /// The users that are looked up for it.
    fn add_users(&self, users: &mut Vec<UserInApp>) {
        match self {
            Self::Push { push, kind: ChannelKind::Own, .. } => {
                users.extend(push.users.iter().map(|user| user_in(push.app_id, user)));
            }
            Self::Recall { placed, .. } => users.extend(placed.iter().filter_map(placed_user)),
            Self::Kick(job) => users.push(user_in(job.app_id, &job.user)),
            Self::Push { .. } | Self::Finished(_) => {}
        }
    }

    /// How many these are.
    fn user_count(&self) -> usize {
        match self {
            Self::Push { push, kind: ChannelKind::Own, .. } => push.users.len(),
            Self::Recall { placed, .. } => placed.iter().filter(|placed| is_own(placed)).count(),
            Self::Kick(_) => 1,
            Self::Push { .. } | Self::Finished(_) => 0,
        }
    }
}

fn placed_user(placed: &Placed) -> Option<UserInApp> {
    let channel = placed.channel.as_ref()?;
    is_own(placed).then(|| user_in(channel.app_id, &channel.name))
}

fn is_own(placed: &Placed) -> bool {
    placed.channel.as_ref().is_some_and(|channel| channel.kind == ChannelKind::Own as i32)
}

/// Whose numbers a live push takes.
#[derive(PartialEq, Eq, Hash)]
enum Line {
    /// A user's, from a block.
    Own(OwnKey),
    /// A shared channel's.
    Shared(Channel),
}

/// Numbers for live pushes, of own channels only where somebody is connected.
async fn reserve(
    data: &Data,
    items: &mut [(u64, Item)],
    routes: &[Vec<Route>],
    blocks: &mut Blocks,
    block: u32,
) {
    let mut missing: FxHashMap<Line, u32> = FxHashMap::default();
    for_live(items, routes, |line, seq| {
        let at_hand = match &line {
            Line::Own(key) => blocks.take(key),
            Line::Shared(_) => None,
        };
        match at_hand {
            Some(number) => *seq = number,
            None => *missing.entry(line).or_default() += 1,
        }
    });
    if missing.is_empty() {
        return;
    }
    let mut shared = fill(data, missing, blocks, block).await;
    // Once a user's block was empty, all that follows of that user is numbered here: the order is the queue's.
    for_live(items, routes, |line, seq| match line {
        _ if *seq != 0 => {}
        Line::Own(key) => *seq = blocks.take(&key).unwrap_or_default(),
        Line::Shared(channel) => {
            let next = shared.entry(channel).or_default();
            *seq = *next;
            *next += 1;
        }
    });
}

/// Reserves what is missing: own channels' numbers go into their blocks, the first of each shared channel comes back.
async fn fill(
    data: &Data,
    missing: FxHashMap<Line, u32>,
    blocks: &mut Blocks,
    block: u32,
) -> FxHashMap<Channel, u64> {
    let asks: Vec<Reserve> = missing
        .into_iter()
        .map(|(line, need)| match line {
            Line::Own((app_id, user)) => {
                let channel = Channel { kind: ChannelKind::Own as i32, app_id, name: user };
                Reserve { channel: Some(channel), count: need.max(block) }
            }
            Line::Shared(channel) => Reserve { channel: Some(channel), count: need },
        })
        .collect();
    let mut shared = FxHashMap::default();
    for asks in asks.chunks(CALL_ENTRIES) {
        let firsts = data.persist("reserve", || data.store.reserve(asks.to_vec())).await;
        for (ask, first) in asks.iter().zip(firsts) {
            let channel = ask.channel.clone().unwrap_or_default();
            if channel.kind == ChannelKind::Own as i32 {
                blocks.fill((channel.app_id, channel.name), first, u64::from(ask.count));
            } else {
                shared.insert(channel, first);
            }
        }
    }
    shared
}

/// Visits each number that a live push needs, in the order of the queue; 0: not numbered yet.
fn for_live(
    items: &mut [(u64, Item)],
    routes: &[Vec<Route>],
    mut visit: impl FnMut(Line, &mut u64),
) {
    let mut rest = routes;
    for (_, item) in items {
        let (found, others) = rest.split_at(item.user_count());
        rest = others;
        let Item::Push { push, kind, seqs } = item else { continue };
        if push.offline_push {
            continue;
        }
        if *kind != ChannelKind::Own {
            seqs.resize(1, 0);
            visit(Line::Shared(shared_channel(push, *kind)), &mut seqs[0]);
            continue;
        }
        seqs.resize(push.users.len(), 0);
        for ((user, seq), routes) in push.users.iter().zip(seqs).zip(found) {
            if !routes.is_empty() {
                visit(Line::Own((push.app_id, user.clone())), seq);
            }
        }
    }
}

/// `routes` go on with those of the item's users.
fn finish(item: Item, routes: &mut impl Iterator<Item = Vec<Route>>) -> Prepared {
    let users = item.user_count();
    match item {
        Item::Push { push, kind, seqs } => {
            let routes = routes.take(users).collect();
            Prepared::Push(PreparedPush { push, kind, seqs, routes })
        }
        Item::Recall { message, placed } => {
            let mut routes_of = |placed| if is_own(placed) { routes.next() } else { None };
            let routes =
                placed.iter().map(|placed| routes_of(placed).unwrap_or_default()).collect();
            Prepared::Recall { message, placed, routes }
        }
        Item::Kick(job) => Prepared::Kick { job, routes: routes.next().unwrap_or_default() },
        Item::Finished(prepared) => prepared,
    }
}

fn user_in(app_id: u32, user: &str) -> UserInApp {
    UserInApp { app_id, user: user.to_owned() }
}

fn own_channel(app_id: u32, user: &str) -> Channel {
    Channel { kind: ChannelKind::Own as i32, app_id, name: user.to_owned() }
}

fn shared_channel(push: &Push, kind: ChannelKind) -> Channel {
    let (app_id, name) = match kind {
        ChannelKind::Everyone => (0, String::new()),
        ChannelKind::Topic => (push.app_id, push.topic.clone()),
        _ => (push.app_id, String::new()),
    };
    Channel { kind: kind as i32, app_id, name }
}
