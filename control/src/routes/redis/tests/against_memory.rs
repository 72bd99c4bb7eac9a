//! Whatever is done, in whatever order and by whichever of two processes: the answers are those of the routes in memory.

use super::*;
use crate::routes::{MemoryRoutes, RoutePage};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

const STEPS: usize = 1500;
const APPS: [u32; 2] = [1000, 1001];

/// Both kinds of routes, and their time.
struct Pair {
    memory: MemoryRoutes,
    redis: [InRedis; 2],
    random: SmallRng,
    now_ms: Arc<AtomicU64>,
}

impl Pair {
    fn new(url: &str, seed: u64) -> Self {
        let redis = InRedis::several_at(url);
        let now_ms = redis[0].now_ms.clone();
        let clock = now_ms.clone();
        let memory = MemoryRoutes::with_clock(Box::new(move || clock.load(Ordering::Relaxed)));
        Self { memory, redis, random: SmallRng::seed_from_u64(seed), now_ms }
    }

    fn any_redis(&mut self) -> Arc<RedisRoutes> {
        self.redis[self.random.random_range(0..2)].routes.clone()
    }

    fn gateway(&mut self) -> (u32, u64) {
        (self.random.random_range(1..4), self.random.random_range(1..4))
    }

    fn user(&mut self) -> (u32, String) {
        let app_id = APPS[self.random.random_range(0..2)];
        (app_id, format!("user-{}", self.random.random_range(0..8)))
    }

    /// A connection's id says whose it is.
    fn conn(&mut self, gateway: u32) -> u64 {
        u64::from(gateway) * 100 + self.random.random_range(0..30)
    }

    /// Times of connections differ, so that the oldest is always the same one.
    fn route(&mut self, step: usize) -> Route {
        let (app_id, user) = self.user();
        let (gateway, gateway_epoch) = self.gateway();
        let device = ["", "phone", "desk"][self.random.random_range(0..3)].to_owned();
        let since_ms = self.random.random_range(0..1000) * STEPS as i64 + step as i64;
        let conn = self.conn(gateway);
        Route { conn, app_id, user, device, gateway, gateway_epoch, version: 1, since_ms }
    }

    fn lease(&mut self) -> GatewayLease {
        let (gateway, epoch) = self.gateway();
        GatewayLease { gateway, epoch, lease_ms: 10_000, ..GatewayLease::default() }
    }

    async fn step(&mut self, step: usize) {
        let redis = self.any_redis();
        match self.random.random_range(0..14) {
            0..=4 => {
                // Of one user and device at most one: which of several goes first is open.
                let route = vec![self.route(step)];
                let (mut a, mut b) = (
                    self.memory.bind(route.clone()).await.unwrap(),
                    redis.bind(route).await.unwrap(),
                );
                a.iter_mut().chain(&mut b).for_each(|replaced| sort(replaced));
                assert_eq!(a, b);
            }
            5..=6 => {
                let Route { conn, app_id, user, gateway_epoch, .. } = self.route(step);
                let keys = vec![ConnKey { conn, app_id, user, gateway_epoch }];
                self.memory.unbind(keys.clone()).await.unwrap();
                redis.unbind(keys).await.unwrap();
            }
            7 => {
                let lease = self.lease();
                let (a, b) = (self.memory.attach(lease.clone()).await, redis.attach(lease).await);
                assert_eq!(a.map_err(|error| error.code), b.map_err(|error| error.code));
            }
            8 => {
                let lease = self.lease();
                let (a, b) = (self.memory.renew(lease.clone()).await, redis.renew(lease).await);
                assert_eq!(a.unwrap(), b.unwrap());
            }
            9 if self.random.random_range(0..4) == 0 => {
                let (gateway, epoch) = self.gateway();
                self.memory.detach(gateway, epoch).await.unwrap();
                redis.detach(gateway, epoch).await.unwrap();
            }
            10 => {
                let passed_ms = self.random.random_range(0..4_000);
                self.now_ms.fetch_add(passed_ms, Ordering::Relaxed);
            }
            11 => {
                let ((app_id, _), (gateway, epoch)) = (self.user(), self.gateway());
                let topic = ["", "news"][self.random.random_range(0..2)].to_owned();
                let members = self.random.random_range(0..2);
                let of = vec![GatewayMembership { gateway, epoch, app_id, topic, members }];
                self.memory.announce(of.clone()).await.unwrap();
                redis.announce(of).await.unwrap();
            }
            _ => {}
        }
        self.compare().await;
    }

    async fn compare(&mut self) {
        let redis = self.any_redis();
        match self.random.random_range(0..5) {
            0 => {
                let users: Vec<UserInApp> = (0..3)
                    .map(|_| self.user())
                    .map(|(app_id, user)| UserInApp { app_id, user })
                    .collect();
                let mut a = self.memory.locate(users.clone()).await.unwrap();
                let mut b = redis.locate(users).await.unwrap();
                a.iter_mut().chain(&mut b).for_each(|routes| sort(routes));
                assert_eq!(a, b);
            }
            1 => {
                assert_eq!(self.memory.gateways().await.unwrap(), redis.gateways().await.unwrap());
            }
            2 => {
                let (app_id, topic) =
                    [(0, ""), (1000, ""), (1001, "news")][self.random.random_range(0..3)];
                let audience = AudienceKey { app_id, topic: topic.into() };
                let a = self.memory.members(audience.clone()).await.unwrap();
                assert_eq!(a, redis.members(audience).await.unwrap());
            }
            3 => {
                redis.sweep().await.unwrap();
                assert_eq!(self.memory.counts(0).await.unwrap(), redis.counts(0).await.unwrap());
            }
            _ => {
                let (app_id, after_user) = self.user();
                let (gateway, _) = self.gateway();
                let page =
                    RoutePage { app_id, after_user, after_conn: self.conn(gateway), limit: 7 };
                let (mut a, mut b) = (
                    self.memory.list(page.clone()).await.unwrap(),
                    redis.list(page).await.unwrap(),
                );
                sort(&mut a);
                sort(&mut b);
                assert_eq!(a, b);
            }
        }
    }
}

/// The order of a user's routes is open.
fn sort(routes: &mut [Route]) {
    routes.sort_by(|a, b| (&a.user, a.conn, a.gateway).cmp(&(&b.user, b.conn, b.gateway)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_done_the_answers_are_those_of_memory() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut pair = Pair::new(&gpusher_testbed::redis().url(), seed);
    for step in 0..STEPS {
        pair.step(step).await;
    }
    // Everybody goes, and nothing is left but the leases' records.
    pair.now_ms.fetch_add(10_000, Ordering::Relaxed);
    let routes = &pair.redis[0].routes;
    routes.sweep().await.unwrap();
    let keys =
        gpusher_redis::cmd("KEYS").arg(format!("{}*", routes.redis.url().key_prefix())).to_owned();
    let mut left: Vec<String> = routes.call(&keys).await.unwrap();
    left.sort_unstable();
    let leases = [&routes.keys.leases, &routes.keys.version];
    assert_eq!(left, leases.map(|key| String::from_utf8(key.clone()).unwrap()));
}
