//! Routes in Redis: for many message roles, or many logics and webs without one.
//!
//! A binding is a member of one of 256 sorted sets, in the order of (app, user, conn), so that a user's connections are neighbours and
//! pages need no other index. It names its gateway's process by a number that is given out with the lease; whether that lease runs is looked
//! up in a table which every caller keeps and whose version it asks for with each call. So nothing has to be removed at the moment a
//! gateway dies: its bindings count no more, and are swept later.
//!
//! Each call is one round trip, whatever the number of users in it, plus one to read the table after it has changed. There are no
//! transactions over several slots. If the server loses everything, `renew` answers false and the gateways bind again.

mod audiences;
mod keys;
mod leases;
mod lists;
mod member;
mod sweep;
#[cfg(test)]
mod tests;

use self::keys::Keys;
use self::leases::{Leases, Table};
use self::member::{Bound, ProcessNumber, prefix, shard, suffix};
use super::{CONNECTIONS_PER_USER_MAX, Routes, key_of};
use crate::error::{Code, Error, Result};
use async_trait::async_trait;
use futures_util::future::{try_join, try_join_all};
use gpusher_proto::data::*;
use gpusher_redis::{Cmd, Failure, FromRedisValue, Redis, RedisUrl, Script};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Users of one shard in one call, during which the server does nothing else.
const USERS_AT_ONCE: usize = 128;
/// How often a binding is made whose gateway was given another lease meanwhile, as after the server has lost everything.
const BINDS_MAX: u32 = 4;
/// How long `detach` waits until the counts are right again.
const SWEEP_WAIT: Duration = Duration::from_secs(1);

macro_rules! script {
    ($name:literal) => {
        Script::new(concat!(include_str!("redis/bindings.lua"), "\n", include_str!($name)))
    };
}

/// Who is connected where, in Redis.
pub struct RedisRoutes {
    redis: Arc<Redis>,
    keys: Arc<Keys>,
    leases: Leases,
    scripts: Scripts,
}

struct Scripts {
    bind: Script,
    unbind: Script,
    locate: Script,
    sweep: Script,
}

/// Where the time comes from.
enum Clock {
    /// Leases by the server's, what is left of them by ours.
    System(Instant),
    /// A test's, for both.
    #[cfg(test)]
    Test(super::memory::Clock),
}

impl Clock {
    fn local_ms(&self) -> u64 {
        match self {
            Self::System(begin) => begin.elapsed().as_millis() as u64,
            #[cfg(test)]
            Self::Test(clock) => clock(),
        }
    }

    /// As scripts take it; empty: the server's.
    fn argument(&self) -> Vec<u8> {
        match self {
            Self::System(_) => Vec::new(),
            #[cfg(test)]
            Self::Test(clock) => clock().to_string().into(),
        }
    }
}

/// Part of a call's users, in one shard; by their places in the call.
struct Part {
    shard: u64,
    places: Vec<usize>,
}

impl RedisRoutes {
    /// Routes at `url`; whether it can be reached shows with the first call. Must be called within a tokio runtime.
    pub fn open(url: RedisUrl) -> Arc<Self> {
        let routes = Arc::new(Self::new(url, Clock::System(Instant::now())));
        tokio::spawn(sweep::keep_swept(Arc::downgrade(&routes)));
        routes
    }

    /// The way to the server, for its numbers.
    pub fn redis(&self) -> &Arc<Redis> {
        &self.redis
    }

    fn new(url: RedisUrl, clock: Clock) -> Self {
        let keys = Arc::new(Keys::new(url.key_prefix()));
        let redis = Arc::new(Redis::new(url));
        let scripts = Scripts {
            bind: script!("redis/bind.lua"),
            unbind: script!("redis/unbind.lua"),
            locate: script!("redis/locate.lua"),
            sweep: script!("redis/sweep.lua"),
        };
        let leases = Leases::new(redis.clone(), keys.clone(), clock);
        Self { redis, keys, leases, scripts }
    }

    async fn call<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        self.redis.call(command).await.map_err(failed)
    }

    /// Runs a script on each part; answers come in the places that the parts have.
    async fn on_parts<T, A>(
        &self,
        script: &Script,
        parts: &[Part],
        arguments: impl Fn(&Part) -> Vec<Vec<u8>>,
        answers: impl Fn(&Part, T) -> A,
    ) -> Result<Vec<A>>
    where
        T: FromRedisValue,
    {
        try_join_all(parts.iter().map(|part| {
            let arguments = arguments(part);
            let answers = &answers;
            async move {
                let keys = self.keys.of_shard(part.shard);
                let answer = script.run(&self.redis, keys, &arguments).await.map_err(failed)?;
                Ok(answers(part, answer))
            }
        }))
        .await
    }

    /// The members of each user, and a table that knows all their processes.
    async fn members_and_table(
        &self,
        prefixes: &[Vec<u8>],
    ) -> Result<(Vec<Vec<Bound>>, Arc<Table>)> {
        let known = self.leases.known().await?;
        let parts = parts(prefixes);
        let arguments = |part: &Part| pick(prefixes, part);
        let members = self.on_parts(&self.scripts.locate, &parts, arguments, place_each);
        let (members, version) = try_join(members, self.leases.version()).await?;
        let bounds: Vec<Vec<Bound>> = in_order(members, prefixes.len());
        let later = bounds.iter().flatten().any(|bound| known.is_older_than(bound.process));
        let table = match version == known.version && !later {
            true => known,
            false => self.leases.read().await?,
        };
        Ok((bounds, table))
    }

    /// Binds routes whose process has a lease; what each replaces.
    async fn bind_all(
        &self,
        bindings: &[(Route, ProcessNumber)],
        known: &Table,
    ) -> Result<(Vec<Vec<Bound>>, u64)> {
        let prefixes: Vec<Vec<u8>> =
            bindings.iter().map(|(route, _)| prefix(route.app_id, &route.user)).collect();
        let live: Vec<u8> = known.processes().flat_map(ProcessNumber::to_bytes).collect();
        let arguments = |part: &Part| {
            let mut arguments = vec![
                CONNECTIONS_PER_USER_MAX.to_string().into(),
                ProcessNumber(known.version).to_bytes().to_vec(),
                live.clone(),
            ];
            for &place in &part.places {
                let (route, process) = &bindings[place];
                arguments.extend([prefixes[place].clone(), suffix(route, *process)]);
            }
            arguments
        };
        let parts = parts(&prefixes);
        let replaced = self.on_parts(&self.scripts.bind, &parts, arguments, place_each);
        let (replaced, version) = try_join(replaced, self.leases.version()).await?;
        Ok((in_order(replaced, bindings.len()), version))
    }

    /// Removes connections of these processes.
    async fn unbind_all(&self, conns: &[(ConnKey, Vec<u8>)]) -> Result<()> {
        let prefixes: Vec<Vec<u8>> =
            conns.iter().map(|(key, _)| prefix(key.app_id, &key.user)).collect();
        let arguments = |part: &Part| {
            let of = |&place: &usize| {
                let (key, processes) = &conns[place];
                [prefixes[place].clone(), key.conn.to_be_bytes().to_vec(), processes.clone()]
            };
            part.places.iter().flat_map(of).collect()
        };
        let parts = parts(&prefixes);
        self.on_parts(&self.scripts.unbind, &parts, arguments, |_, _: u64| ()).await?;
        Ok(())
    }
}

#[async_trait]
impl Routes for RedisRoutes {
    async fn bind(&self, routes: Vec<Route>) -> Result<Vec<Vec<Route>>> {
        let mut known = self.leases.known().await?;
        if !routes.iter().all(|route| known.has_lease(route)) {
            known = self.leases.read().await?;
        }
        let mut answers = vec![Vec::new(); routes.len()];
        let mut left: Vec<(usize, Route)> = routes.into_iter().enumerate().collect();
        for _ in 0..BINDS_MAX {
            left.retain(|(_, route)| known.has_lease(route));
            if left.is_empty() {
                return Ok(answers);
            }
            let (places, bindings): (Vec<usize>, Vec<_>) = left
                .drain(..)
                .filter_map(|(place, route)| {
                    let process = known.process(route.gateway, route.gateway_epoch)?;
                    Some((place, (route, process)))
                })
                .unzip();
            let (replaced, version) = self.bind_all(&bindings, &known).await?;
            let later = replaced.iter().flatten().any(|bound| known.is_older_than(bound.process));
            let table = match version == known.version && !later {
                true => known,
                false => self.leases.read().await?,
            };
            let lost = |(_, process): &&(Route, ProcessNumber)| table.gateway(*process).is_none();
            let unbound: Vec<_> = bindings.iter().filter(lost).map(binding_key).collect();
            self.unbind_all(&unbound).await?;
            for ((place, binding), replaced) in places.into_iter().zip(bindings).zip(replaced) {
                answers[place].extend(replaced.into_iter().filter_map(|bound| table.route(bound)));
                if lost(&&binding) {
                    left.push((place, binding.0));
                }
            }
            known = table;
        }
        match left.iter().any(|(_, route)| known.has_lease(route)) {
            true => Err(Error::new(Code::Unavailable, "leases of gateways come and go too fast")),
            false => Ok(answers),
        }
    }

    async fn unbind(&self, conns: Vec<ConnKey>) -> Result<()> {
        let table = self.leases.current().await?;
        let held = |key: ConnKey| {
            let processes: Vec<u8> =
                table.of_epoch(key.gateway_epoch).flat_map(ProcessNumber::to_bytes).collect();
            (!processes.is_empty()).then_some((key, processes))
        };
        let conns: Vec<_> = conns.into_iter().filter_map(held).collect();
        self.unbind_all(&conns).await
    }

    async fn locate(&self, users: Vec<UserInApp>) -> Result<Vec<Vec<Route>>> {
        let prefixes: Vec<Vec<u8>> =
            users.iter().map(|user| prefix(user.app_id, &user.user)).collect();
        let (members, table) = self.members_and_table(&prefixes).await?;
        let routes = |bounds: Vec<Bound>| {
            bounds.into_iter().filter_map(|bound| table.route(bound)).collect()
        };
        Ok(members.into_iter().map(routes).collect())
    }

    async fn attach(&self, lease: GatewayLease) -> Result<()> {
        self.leases.attach(&lease).await
    }

    async fn renew(&self, lease: GatewayLease) -> Result<bool> {
        self.leases.renew(&lease).await
    }

    async fn detach(&self, gateway: u32, epoch: u64) -> Result<()> {
        self.leases.detach(gateway, epoch).await?;
        // Only the counts of users wait for it.
        if let Ok(Err(error)) = tokio::time::timeout(SWEEP_WAIT, self.sweep()).await {
            tracing::debug!(%error, "routes of a detached gateway stay for now");
        }
        Ok(())
    }

    async fn gateways(&self) -> Result<Vec<GatewayLease>> {
        Ok(self.leases.read().await?.leases())
    }

    async fn announce(&self, memberships: Vec<GatewayMembership>) -> Result<()> {
        self.announce_all(memberships).await
    }

    async fn members(&self, audience: AudienceKey) -> Result<Vec<u32>> {
        self.members_of(audience).await
    }

    async fn counts(&self, app_id: u32) -> Result<Vec<Count>> {
        self.counts_of(app_id).await
    }

    async fn list(&self, page: RoutePage) -> Result<Vec<Route>> {
        self.page(page).await
    }
}

fn binding_key((route, process): &(Route, ProcessNumber)) -> (ConnKey, Vec<u8>) {
    (key_of(route), process.to_bytes().to_vec())
}

/// Cuts a call into parts of one shard each.
fn parts(prefixes: &[Vec<u8>]) -> Vec<Part> {
    let mut shards = BTreeMap::<u64, Vec<usize>>::new();
    for (place, prefix) in prefixes.iter().enumerate() {
        shards.entry(shard(prefix)).or_default().push(place);
    }
    let cut = |(shard, places): (u64, Vec<usize>)| {
        let part = move |places: &[usize]| Part { shard, places: places.to_vec() };
        places.chunks(USERS_AT_ONCE).map(part).collect::<Vec<_>>()
    };
    shards.into_iter().flat_map(cut).collect()
}

fn pick(all: &[Vec<u8>], part: &Part) -> Vec<Vec<u8>> {
    part.places.iter().map(|&place| all[place].clone()).collect()
}

/// The answers of one part, with their places.
fn place_each(part: &Part, members: Vec<Vec<Vec<u8>>>) -> Vec<(usize, Vec<Bound>)> {
    let parse = |members: Vec<Vec<u8>>| members.iter().filter_map(|it| Bound::parse(it)).collect();
    part.places.iter().copied().zip(members.into_iter().map(parse)).collect()
}

fn in_order(answers: Vec<Vec<(usize, Vec<Bound>)>>, length: usize) -> Vec<Vec<Bound>> {
    let mut ordered = vec![Vec::new(); length];
    for (place, answer) in answers.into_iter().flatten() {
        ordered[place] = answer;
    }
    ordered
}

fn failed(failure: Failure) -> Error {
    let code = match failure {
        Failure::Unavailable(_) => Code::Unavailable,
        Failure::Rejected(_) => Code::Internal,
    };
    Error::new(code, failure.to_string())
}
