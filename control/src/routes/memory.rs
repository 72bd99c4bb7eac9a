//! Routes in memory: for one message role, whose gateways announce everything again after a restart.
//!
//! Locks are taken in this order: processes, then one shard, then audiences. What hangs on a process is only added while
//! the processes are locked for reading and removed after the process was, so nothing outlives its process.

mod audiences;
mod processes;
mod users;

use self::audiences::Audiences;
use self::processes::{ProcessNumber, Processes};
use self::users::{Bound, Users};
use super::{CONNECTIONS_PER_USER_MAX, LIST_MAX, Routes};
use crate::error::Result;
use async_trait::async_trait;
use gpusher_proto::data::*;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Milliseconds from some fixed moment on; it never goes back.
pub type Clock = Box<dyn Fn() -> u64 + Send + Sync>;

/// Parts of the route table, each under its own lock: enough that two threads rarely meet in one.
const SHARDS: usize = 64;

/// Who is connected where, in this process's memory: about 80 bytes a connection.
pub struct MemoryRoutes {
    clock: Clock,
    processes: RwLock<Processes>,
    /// No lease runs out before this moment.
    next_expiry_ms: AtomicU64,
    hasher: RandomState,
    shards: Box<[Mutex<Users>]>,
    audiences: RwLock<Audiences>,
}

impl Default for MemoryRoutes {
    fn default() -> Self {
        let start = Instant::now();
        Self::with_clock(Box::new(move || start.elapsed().as_millis() as u64))
    }
}

impl MemoryRoutes {
    /// Routes whose leases run by this clock.
    pub fn with_clock(clock: Clock) -> Self {
        let hasher = RandomState::new();
        let shard = || Mutex::new(Users::new(hasher.clone()));
        Self {
            clock,
            processes: RwLock::default(),
            next_expiry_ms: AtomicU64::new(u64::MAX),
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            hasher,
            audiences: RwLock::default(),
        }
    }

    /// The hash of a user's name, and the shard by bits of it that the shard's own table does not go by.
    fn shard(&self, app_id: u32, user: &str) -> (u64, &Mutex<Users>) {
        let hash = self.hasher.hash_one((app_id, user));
        (hash, &self.shards[(hash >> 48) as usize % SHARDS])
    }

    /// Drops what hangs on leases that ran out. Every call begins with it, so that nobody sees a dead gateway.
    fn settle(&self) -> u64 {
        let now_ms = (self.clock)();
        if now_ms >= self.next_expiry_ms.load(Ordering::Acquire) {
            let mut processes = self.processes.write();
            let expired = processes.expire(now_ms);
            self.next_expiry_ms.store(processes.next_expiry_ms(), Ordering::Release);
            drop(processes);
            self.forget(&expired);
        }
        now_ms
    }

    /// Drops what hung on processes that have been removed.
    fn forget(&self, gone: &[ProcessNumber]) {
        if gone.is_empty() {
            return;
        }
        let gone: HashSet<ProcessNumber> = gone.iter().copied().collect();
        for shard in &self.shards {
            shard.lock().forget(&gone);
        }
        self.audiences.write().forget(&gone);
    }

    fn bind_one(&self, processes: &Processes, route: Route) -> Vec<Route> {
        let Some(process) = processes.number(route.gateway, route.gateway_epoch) else {
            return Vec::new();
        };
        let (hash, shard) = self.shard(route.app_id, &route.user);
        let bound = Bound::new(&route, process);
        let replaced = shard.lock().bind(hash, bound, CONNECTIONS_PER_USER_MAX);
        replaced.iter().filter_map(|bound| to_route(processes, bound)).collect()
    }
}

/// None if the process has just been removed.
fn to_route(processes: &Processes, bound: &Bound) -> Option<Route> {
    let lease = processes.lease(bound.process)?;
    Some(Route {
        conn: bound.conn,
        app_id: bound.device.app_id,
        user: bound.device.user().to_owned(),
        device: bound.device.device().to_owned(),
        gateway: lease.gateway,
        gateway_epoch: lease.epoch,
        version: bound.version,
        since_ms: bound.since_ms,
    })
}

#[async_trait]
impl Routes for MemoryRoutes {
    async fn bind(&self, routes: Vec<Route>) -> Result<Vec<Vec<Route>>> {
        self.settle();
        let processes = self.processes.read();
        Ok(routes.into_iter().map(|route| self.bind_one(&processes, route)).collect())
    }

    async fn unbind(&self, conns: Vec<ConnKey>) -> Result<()> {
        self.settle();
        let processes = self.processes.read();
        for key in conns {
            let holder = |bound: &Bound| {
                let lease = processes.lease(bound.process);
                bound.conn == key.conn && lease.is_some_and(|l| l.epoch == key.gateway_epoch)
            };
            let (hash, shard) = self.shard(key.app_id, &key.user);
            shard.lock().unbind(hash, key.app_id, &key.user, holder);
        }
        Ok(())
    }

    async fn locate(&self, users: Vec<UserInApp>) -> Result<Vec<Vec<Route>>> {
        self.settle();
        let processes = self.processes.read();
        let locate = |UserInApp { app_id, user }: &UserInApp| {
            let (hash, shard) = self.shard(*app_id, user);
            let shard = shard.lock();
            let bound = shard.of(hash, *app_id, user);
            bound.filter_map(|bound| to_route(&processes, bound)).collect()
        };
        Ok(users.iter().map(locate).collect())
    }

    async fn attach(&self, lease: GatewayLease) -> Result<()> {
        let now_ms = self.settle();
        let mut processes = self.processes.write();
        let replaced = processes.attach(lease, now_ms)?;
        self.next_expiry_ms.store(processes.next_expiry_ms(), Ordering::Release);
        drop(processes);
        self.forget(replaced.as_slice());
        Ok(())
    }

    async fn renew(&self, lease: GatewayLease) -> Result<bool> {
        let now_ms = self.settle();
        Ok(self.processes.write().renew(lease, now_ms))
    }

    async fn detach(&self, gateway: u32, epoch: u64) -> Result<()> {
        self.settle();
        let removed = self.processes.write().detach(gateway, epoch);
        self.forget(removed.as_slice());
        Ok(())
    }

    async fn gateways(&self) -> Result<Vec<GatewayLease>> {
        self.settle();
        Ok(self.processes.read().leases())
    }

    async fn announce(&self, memberships: Vec<GatewayMembership>) -> Result<()> {
        self.settle();
        let processes = self.processes.read();
        let mut audiences = self.audiences.write();
        for of in memberships {
            if let Some(process) = processes.number(of.gateway, of.epoch) {
                audiences.set(of.app_id, &of.topic, process, of.members);
            }
        }
        Ok(())
    }

    async fn members(&self, audience: AudienceKey) -> Result<Vec<u32>> {
        self.settle();
        let processes = self.processes.read();
        let members = self.audiences.read().members(audience.app_id, &audience.topic);
        let gateway = |process| processes.lease(process).map(|lease| lease.gateway);
        let mut gateways: Vec<u32> = members.into_iter().filter_map(gateway).collect();
        gateways.sort_unstable();
        gateways.dedup();
        Ok(gateways)
    }

    async fn counts(&self, app_id: u32) -> Result<Vec<Count>> {
        self.settle();
        let mut totals = BTreeMap::<u32, Count>::new();
        for shard in &self.shards {
            for count in shard.lock().counts().filter(|c| app_id == 0 || c.app_id == app_id) {
                let total = totals.entry(count.app_id).or_default();
                total.app_id = count.app_id;
                total.connections += count.connections;
                total.users += count.users;
            }
        }
        Ok(totals.into_values().collect())
    }

    /// Looks at every connection of the app: some ten milliseconds for a million of them.
    async fn list(&self, page: RoutePage) -> Result<Vec<Route>> {
        self.settle();
        let limit = match page.limit {
            0 => LIST_MAX,
            limit => limit.min(LIST_MAX),
        } as usize;
        let mut first = BTreeMap::<(Box<str>, u64), Route>::new();
        for shard in &self.shards {
            let processes = self.processes.read();
            let shard = shard.lock();
            for bound in shard.connections(page.app_id) {
                let user = bound.device.user();
                let key = (user, bound.conn);
                let last = first.last_key_value().map(|((user, conn), _)| (&**user, *conn));
                let full = first.len() == limit && last.is_some_and(|last| key >= last);
                if full || key <= (page.after_user.as_str(), page.after_conn) {
                    continue;
                }
                if let Some(route) = to_route(&processes, bound) {
                    first.insert((user.into(), bound.conn), route);
                }
                if first.len() > limit {
                    first.pop_last();
                }
            }
        }
        Ok(first.into_values().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::suite::{Fixture, routes_suite};
    use std::sync::Arc;
    use std::time::Duration;

    struct InMemory {
        routes: Arc<MemoryRoutes>,
        now_ms: Arc<AtomicU64>,
    }

    async fn in_memory() -> InMemory {
        let now_ms = Arc::new(AtomicU64::new(0));
        let clock = now_ms.clone();
        let clock = Box::new(move || clock.load(Ordering::Relaxed));
        InMemory { routes: Arc::new(MemoryRoutes::with_clock(clock)), now_ms }
    }

    impl Fixture for InMemory {
        fn routes(&self) -> Arc<dyn Routes> {
            self.routes.clone()
        }

        async fn advance(&self, by: Duration) {
            self.now_ms.fetch_add(by.as_millis() as u64, Ordering::Relaxed);
        }
    }

    routes_suite!(in_memory);

    #[tokio::test]
    async fn a_dead_gateway_leaves_no_memory() {
        let fixture = in_memory().await;
        let lease = GatewayLease { gateway: 1, epoch: 1, lease_ms: 10, ..Default::default() };
        fixture.routes.attach(lease).await.unwrap();
        let route = |conn| Route {
            conn,
            app_id: 1000,
            user: format!("u{conn}"),
            gateway: 1,
            gateway_epoch: 1,
            ..Default::default()
        };
        fixture.routes.bind((0..1000).map(route).collect()).await.unwrap();
        fixture.advance(Duration::from_millis(10)).await;
        assert_eq!(fixture.routes.gateways().await.unwrap(), []);
        let held = |shard: &Mutex<Users>| shard.lock().connections(1000).count();
        assert_eq!(fixture.routes.shards.iter().map(held).sum::<usize>(), 0);
    }
}
