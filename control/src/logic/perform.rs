//! Performs the core's work: each kind a short conversation with the store, the routes or the queue.

use super::ahead::pass_those_ahead;
use super::core::work::*;
use super::core::{Now, Positions, channels_of, furthest};
use super::data::Data;
use super::prepare::prepare;
use crate::error::{Code, Result};
use futures_util::future::join_all;
use gpusher_proto::data::*;
use rustc_hash::FxHashMap;

/// Routes bound in one call.
const BIND_ROUTES: usize = 4_096;

/// Performs one piece of work to its end, however long the data layer takes. Dropped in between, any part of it may have been done.
pub async fn perform(data: Data, work: Work) -> Done {
    match work {
        Work::Prepare { records, blocks, block, now, known_recalls } => {
            prepare(&data, records, blocks, block, now, known_recalls).await
        }
        Work::Login(asks) => Done::Login(login(&data, asks).await),
        Work::Unbind(conns) => {
            let _ = data.attempt("unbind", || data.routes.unbind(conns.clone())).await;
            Done::Unbind
        }
        Work::Read(asks) => {
            Done::Read(join_all(asks.into_iter().map(|ask| read(&data, ask))).await)
        }
        Work::Cursor { updates, shared } => {
            Done::Cursor(advance_cursors(&data, updates, shared).await.is_ok())
        }
        Work::Status(rows) => {
            let written = data.attempt("add status", || data.store.add_status(rows.clone())).await;
            Done::Status(written.map_err(|_| rows))
        }
        Work::Announce(announcements) => {
            let memberships: Vec<_> =
                announcements.iter().map(|it| it.membership.clone()).collect();
            data.persist("announce", || data.routes.announce(memberships.clone())).await;
            Done::Announce(announcements)
        }
        Work::Publish(asks) => {
            let records: Vec<_> = asks.iter().map(|ask| ask.what.clone()).collect();
            // The client is told and may try again: no repetition here.
            let result = data.queue.publish(records).await;
            Done::Publish(asks, result)
        }
        Work::File(asks) => {
            let messages: Vec<_> = asks.iter().map(|ask| ask.what.clone()).collect();
            let result = data.attempt("add upstream", || file(&data, &messages)).await;
            Done::File(asks, result)
        }
        Work::Dead { asks, page_messages, page_bytes, now } => {
            let mut answers = Vec::new();
            for ask in asks {
                let conn = ask.conn;
                answers.push((conn, give_up(&data, ask, (page_messages, page_bytes), now).await));
            }
            Done::Dead(answers)
        }
        Work::Retry(asks) => Done::Retry(locate_again(&data, asks).await),
        Work::Join(asks) => {
            let channels: Vec<_> = asks.iter().map(|ask| ask.channel.clone()).collect();
            let heads = data.attempt("heads", || data.store.heads(channels.clone())).await;
            Done::Join(asks, heads)
        }
        Work::Lease(ask) => lease(&data, ask).await,
    }
}

/// Binds first: what is pushed from here on finds the route, what was pushed before is in the log that is read next.
async fn login(
    data: &Data,
    asks: Vec<LoginAsk>,
) -> std::result::Result<Vec<LoginAnswer>, Vec<LoginFailure>> {
    let routes: Vec<Route> = asks.iter().map(|ask| ask.route.clone()).collect();
    let failed = |asks: Vec<LoginAsk>, replaced: Vec<Vec<Route>>| {
        let mut replaced = replaced.into_iter();
        let failure = |ask| LoginFailure { ask, replaced: replaced.next().unwrap_or_default() };
        asks.into_iter().map(failure).collect()
    };
    let Ok(mut replaced) = data.attempt("bind", || data.routes.bind(routes.clone())).await else {
        return Err(failed(asks, Vec::new()));
    };
    for (ask, replaced) in asks.iter().zip(&mut replaced) {
        let lost = replaced.iter().any(|route| route.conn == ask.route.conn);
        if lost
            && !ask.opened.again
            && let Some(instead) = pass_those_ahead(&*data.routes, &ask.route).await
        {
            *replaced = instead;
        }
    }
    match positions(data, &asks).await {
        Ok(positions) => {
            let answers = asks.into_iter().zip(replaced).zip(positions);
            let answer = |((ask, replaced), (cursors, heads)): ((LoginAsk, _), _)| LoginAnswer {
                opened: ask.opened,
                login: ask.login,
                replaced,
                cursors,
                heads,
            };
            Ok(answers.map(answer).collect())
        }
        Err(_) => Err(failed(asks, replaced)),
    }
}

/// Cursors and heads of logins that are bound.
async fn positions(data: &Data, asks: &[LoginAsk]) -> Result<Vec<(Positions, [Head; 3])>> {
    let devices: Vec<DeviceKey> = asks.iter().map(|ask| device_of(&ask.route)).collect();
    let cursors = data.attempt("cursors", || data.store.get_cursors(devices.clone())).await?;
    let heads = heads(data, asks).await?;
    let positions = asks.iter().zip(cursors).map(|(ask, cursors)| {
        let channels = channels_of(ask.route.app_id, &ask.route.user);
        let heads = channels.map(|channel| heads.get(&channel).copied().unwrap_or_default());
        (furthest([cursors.own, cursors.app, cursors.everyone], &ask.pending), heads)
    });
    Ok(positions.collect())
}

/// Heads of all channels that some logins have, each asked for once.
async fn heads(data: &Data, asks: &[LoginAsk]) -> Result<FxHashMap<Channel, Head>> {
    let all = asks.iter().flat_map(|ask| channels_of(ask.route.app_id, &ask.route.user));
    let mut heads: FxHashMap<Channel, Head> =
        all.map(|channel| (channel, Head::default())).collect();
    let channels: Vec<Channel> = heads.keys().cloned().collect();
    let found = data.attempt("heads", || data.store.heads(channels.clone())).await?;
    heads.extend(channels.into_iter().zip(found));
    Ok(heads)
}

fn device_of(route: &Route) -> DeviceKey {
    let (user, device) = (route.user.clone(), route.device.clone());
    DeviceKey { app_id: route.app_id, user, device }
}

/// Leaves shared cursors where they are that have a connection of which it is not known how much it has received: it is bound before it is read from.
async fn advance_cursors(
    data: &Data,
    mut updates: Vec<CursorUpdate>,
    shared: Vec<SharedMove>,
) -> Result<()> {
    if !shared.is_empty() {
        let user = |key: &DeviceKey| UserInApp { app_id: key.app_id, user: key.user.clone() };
        let users: Vec<UserInApp> =
            shared.iter().filter_map(|it| it.update.device.as_ref()).map(user).collect();
        let located = data.attempt("locate", || data.routes.locate(users.clone())).await?;
        let moves = shared.into_iter().zip(located).filter(|(shared, routes)| {
            let shares = |route: &&Route| route.device.is_empty();
            routes.iter().filter(shares).all(|route| shared.known.contains(&route.conn))
        });
        updates.extend(moves.map(|(shared, _)| shared.update));
    }
    if updates.is_empty() {
        return Ok(());
    }
    data.attempt("advance cursors", || data.store.advance_cursors(updates.clone())).await
}

async fn read(data: &Data, ask: ReadAsk) -> (ReadAsk, Result<ReadPage>) {
    let page = data.attempt("read", || data.store.read(ask.request.clone())).await;
    (ask, page)
}

/// Files what a device did not acknowledge, oldest first, a page per channel.
async fn give_up(data: &Data, ask: DeadAsk, page: (u32, u32), now: Now) -> Result<DeadAnswer> {
    let mut through = Positions::default();
    let mut letters = Vec::new();
    let channels = channels_of(ask.device.app_id, ask.device.user());
    for (index, channel) in channels.into_iter().enumerate() {
        let (after, last) = (ask.after[index], ask.through[index]);
        if after >= last {
            continue;
        }
        let request = ReadRequest {
            channel: Some(channel),
            after,
            limit: page.0,
            bytes_max: page.1,
            now_ms: now.unix_ms,
        };
        let page = data.attempt("read", || data.store.read(request.clone())).await?;
        let complete = !page.more || page.messages.last().is_some_and(|logged| logged.seq >= last);
        let due: Vec<Logged> =
            page.messages.into_iter().filter(|logged| logged.seq <= last).collect();
        through[index] = match complete {
            true => last,
            false => due.last().map_or(after, |logged| logged.seq),
        };
        letters.extend(due.into_iter().filter_map(|logged| letter(&ask, logged.push?, now)));
    }
    let messages = letters.iter().filter_map(|letter| Some(letter.push.as_ref()?.id)).collect();
    if !letters.is_empty() {
        let call = || data.store.add_dead_letters(letters.clone());
        data.attempt("add dead letters", call).await?;
    }
    Ok(DeadAnswer { conn: ask.conn, device: ask.device, through, messages })
}

fn letter(ask: &DeadAsk, push: Push, now: Now) -> Option<DeadLetter> {
    Some(DeadLetter {
        app_id: ask.device.app_id,
        user: ask.device.user().to_owned(),
        device: ask.device.device().to_owned(),
        push: Some(push),
        reason: "not acknowledged".to_owned(),
        at_ms: now.unix_ms,
        ..DeadLetter::default()
    })
}

/// Removes routes that led nowhere, and looks their users up again.
async fn locate_again(data: &Data, asks: Vec<RetryAsk>) -> Vec<RetryAnswer> {
    let mut stale = Vec::new();
    let mut users = Vec::new();
    for ask in &asks {
        let app_id = ask.receivers.push.app_id;
        for target in &ask.missing {
            let user = ask.receivers.users[target.receiver].user.clone();
            let (conn, gateway_epoch) = (target.conn, target.gateway_epoch);
            stale.push(ConnKey { conn, app_id, user, gateway_epoch });
        }
        for receiver in missing_receivers(ask) {
            let user = ask.receivers.users[receiver].user.clone();
            users.push(UserInApp { app_id, user });
        }
    }
    let _ = data.attempt("unbind", || data.routes.unbind(stale.clone())).await;
    let located = data.attempt("locate", || data.routes.locate(users.clone())).await;
    let mut located = located.unwrap_or_default().into_iter();
    let answer = |ask: RetryAsk| {
        let receivers = missing_receivers(&ask).into_iter();
        let located = receivers.map(|index| (index, located.next().unwrap_or_default())).collect();
        RetryAnswer { ask, located }
    };
    asks.into_iter().map(answer).collect()
}

fn missing_receivers(ask: &RetryAsk) -> Vec<usize> {
    let mut receivers: Vec<usize> = ask.missing.iter().map(|target| target.receiver).collect();
    receivers.dedup();
    receivers
}

async fn lease(data: &Data, ask: LeaseAsk) -> Done {
    match ask {
        LeaseAsk::Attach { link, lease, routes, memberships } => {
            let result = attach(data, lease, routes, memberships).await;
            Done::Attached(link, result)
        }
        LeaseAsk::Renew { link, lease, canaries } => {
            // Unavailable is not lost: the next renewal will tell.
            let held = data.attempt("renew", || data.routes.renew(lease.clone())).await;
            Done::Renewed(link, held.unwrap_or(true), unbound(data, &canaries).await)
        }
        LeaseAsk::Detach { gateway, epoch } => {
            let _ = data.attempt("detach", || data.routes.detach(gateway, epoch)).await;
            Done::Detached
        }
    }
}

/// Where the application reads them: from the queue's broker, or from the store.
async fn file(data: &Data, messages: &[UpstreamMessage]) -> Result<()> {
    match data.queue.publish_upstream(messages).await? {
        true => Ok(()),
        false => data.store.add_upstream(messages.to_vec()).await,
    }
}

/// Those of some connections that have no route, as far as it is known.
async fn unbound(data: &Data, canaries: &[Route]) -> Vec<u64> {
    if canaries.is_empty() {
        return Vec::new();
    }
    let user = |route: &Route| UserInApp { app_id: route.app_id, user: route.user.clone() };
    let users: Vec<UserInApp> = canaries.iter().map(user).collect();
    let Ok(located) = data.attempt("locate", || data.routes.locate(users.clone())).await else {
        return Vec::new();
    };
    let pairs = canaries.iter().zip(&located);
    let missing = pairs.filter(|(canary, routes)| routes.iter().all(|it| it.conn != canary.conn));
    missing.map(|(canary, _)| canary.conn).collect()
}

/// Fails only if a newer process of the gateway has registered.
async fn attach(
    data: &Data,
    lease: GatewayLease,
    routes: Vec<Route>,
    memberships: Vec<GatewayMembership>,
) -> Result<Vec<Route>> {
    let registered = data.until_final("attach", || data.routes.attach(lease.clone())).await;
    match registered {
        Err(error) if error.code == Code::Conflict => return Err(error),
        Err(error) => tracing::error!(%error, gateway = lease.gateway, "lease not registered"),
        Ok(()) => {}
    }
    let mut replaced = Vec::new();
    for routes in routes.chunks(BIND_ROUTES) {
        let bound = data.persist("bind again", || data.routes.bind(routes.to_vec())).await;
        replaced.extend(bound.into_iter().flatten());
    }
    if !memberships.is_empty() {
        data.persist("announce", || data.routes.announce(memberships.clone())).await;
    }
    Ok(replaced)
}
