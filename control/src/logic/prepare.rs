//! Asks the store and the routes about a batch of records: one append, one look-up, one reservation.
//!
//! Append comes before the look-up: a login that is not found yet will read the log after it has bound its route.

use super::core::work::Done;
use super::core::{Blocks, Now, Prepared, PreparedPush, channel_kind, is_expired};
use super::data::Data;
use crate::error::Result;
use gpusher_proto::data::*;
use gpusher_proto::gateway::ChannelKind;
use rustc_hash::FxHashMap;
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
) -> Done {
    let mut items: Vec<(u64, Item)> =
        records.into_iter().map(|record| (record.offset, item_of(record, now))).collect();
    append(data, &mut items, &mut blocks, now).await;
    recall(data, &mut items).await;
    let routes = locate(data, &items).await;
    reserve(data, &mut items, &routes, &mut blocks, block).await;
    let finish = |(offset, item)| (offset, finish(item, &routes));
    Done::Prepare { prepared: items.into_iter().map(finish).collect(), blocks }
}

fn item_of(record: Record, now: Now) -> Item {
    match record.job.and_then(|job| job.kind) {
        Some(job::Kind::Push(push)) => {
            let push = Arc::new(push);
            let users = !push.users.is_empty();
            match channel_kind(push.r#type) {
                _ if is_expired(&push, now.unix_ms) => Item::Finished(Prepared::Expired(push)),
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

type Located = FxHashMap<UserInApp, Vec<Route>>;

async fn locate(data: &Data, items: &[(u64, Item)]) -> Located {
    let mut users: Vec<UserInApp> = Vec::new();
    for (_, item) in items {
        match item {
            Item::Push { push, kind: ChannelKind::Own, .. } => {
                users.extend(push.users.iter().map(|user| user_in(push.app_id, user)));
            }
            Item::Recall { placed, .. } => users.extend(placed.iter().filter_map(placed_user)),
            Item::Kick(job) => users.push(user_in(job.app_id, &job.user)),
            _ => {}
        }
    }
    users.sort_unstable_by(|left, right| {
        (left.app_id, &left.user).cmp(&(right.app_id, &right.user))
    });
    users.dedup();
    let mut located = Located::default();
    for users in users.chunks(CALL_ENTRIES) {
        let routes = data.persist("locate", || data.routes.locate(users.to_vec())).await;
        located.extend(users.iter().cloned().zip(routes));
    }
    located
}

fn placed_user(placed: &Placed) -> Option<UserInApp> {
    let channel = placed.channel.as_ref()?;
    let own = channel.kind == ChannelKind::Own as i32;
    own.then(|| user_in(channel.app_id, &channel.name))
}

/// Numbers for live pushes, of own channels only where somebody is connected.
async fn reserve(
    data: &Data,
    items: &mut [(u64, Item)],
    routes: &Located,
    blocks: &mut Blocks,
    block: u32,
) {
    let mut needs: FxHashMap<Channel, u32> = FxHashMap::default();
    for_live(items, routes, |channel, _| *needs.entry(channel).or_default() += 1);
    let enough = |channel: &Channel, need: u32, blocks: &Blocks| {
        own_key(channel).is_some_and(|key| blocks.left(&key) >= u64::from(need))
    };
    let asks: Vec<Reserve> = needs
        .into_iter()
        .filter(|(channel, need)| !enough(channel, *need, blocks))
        .map(|(channel, need)| {
            let count = if own_key(&channel).is_some() { need.max(block) } else { need };
            Reserve { channel: Some(channel), count }
        })
        .collect();
    let mut shared: FxHashMap<Channel, u64> = FxHashMap::default();
    for asks in asks.chunks(CALL_ENTRIES) {
        let firsts = data.persist("reserve", || data.store.reserve(asks.to_vec())).await;
        for (ask, first) in asks.iter().zip(firsts) {
            let channel = ask.channel.clone().unwrap_or_default();
            match own_key(&channel) {
                Some(key) => blocks.fill(key, first, u64::from(ask.count)),
                None => {
                    shared.insert(channel, first);
                }
            }
        }
    }
    for_live(items, routes, |channel, seq| match own_key(&channel) {
        Some(key) => *seq = blocks.take(&key).unwrap_or_default(),
        None => {
            let next = shared.entry(channel).or_default();
            *seq = *next;
            *next += 1;
        }
    });
}

/// Visits each number that a live push needs, in the order of the queue.
fn for_live(items: &mut [(u64, Item)], routes: &Located, mut visit: impl FnMut(Channel, &mut u64)) {
    for (_, item) in items {
        let Item::Push { push, kind, seqs } = item else { continue };
        if push.offline_push {
            continue;
        }
        if *kind != ChannelKind::Own {
            seqs.resize(1, 0);
            visit(shared_channel(push, *kind), &mut seqs[0]);
            continue;
        }
        seqs.resize(push.users.len(), 0);
        for (user, seq) in push.users.iter().zip(seqs) {
            let connected =
                routes.get(&user_in(push.app_id, user)).is_some_and(|of| !of.is_empty());
            if connected {
                visit(own_channel(push.app_id, user), seq);
            }
        }
    }
}

fn finish(item: Item, routes: &Located) -> Prepared {
    let routes_of = |user: &UserInApp| routes.get(user).cloned().unwrap_or_default();
    match item {
        Item::Push { push, kind, seqs } => {
            let users = push.users.iter().filter(|_| kind == ChannelKind::Own);
            let routes = users.map(|user| routes_of(&user_in(push.app_id, user))).collect();
            Prepared::Push(PreparedPush { push, kind, seqs, routes })
        }
        Item::Recall { message, placed } => {
            let routes = placed
                .iter()
                .map(|placed| placed_user(placed).map(|user| routes_of(&user)).unwrap_or_default())
                .collect();
            Prepared::Recall { message, placed, routes }
        }
        Item::Kick(job) => {
            let routes = routes_of(&user_in(job.app_id, &job.user));
            Prepared::Kick { job, routes }
        }
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

fn own_key(channel: &Channel) -> Option<(u32, String)> {
    (channel.kind == ChannelKind::Own as i32).then(|| (channel.app_id, channel.name.clone()))
}
