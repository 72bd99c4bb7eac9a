//! The conformance suite on real servers, what several processes see of each other, and servers that fail.

mod against_memory;
mod failures;

use super::*;
use crate::routes::suite::{Fixture, routes_suite};
use std::sync::atomic::{AtomicU64, Ordering};

struct InRedis {
    routes: Arc<RedisRoutes>,
    now_ms: Arc<AtomicU64>,
}

impl InRedis {
    /// Each has the server to itself: its keys have a name of their own.
    fn at(url: &str) -> Self {
        let [fixture] = Self::several_at(url);
        fixture
    }

    /// Processes that share routes and time.
    fn several_at<const N: usize>(url: &str) -> [Self; N] {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let name = format!("suite-{}", MADE.fetch_add(1, Ordering::Relaxed));
        let url: RedisUrl = url.parse().expect("the testbed's URLs are right");
        let now_ms = Arc::new(AtomicU64::new(0));
        std::array::from_fn(|_| {
            let clock = now_ms.clone();
            let clock = Clock::Test(Box::new(move || clock.load(Ordering::Relaxed)));
            let routes = RedisRoutes::new(url.clone().named(&name), clock);
            Self { routes: Arc::new(routes), now_ms: now_ms.clone() }
        })
    }
}

impl Fixture for InRedis {
    fn routes(&self) -> Arc<dyn Routes> {
        self.routes.clone()
    }

    async fn advance(&self, by: Duration) {
        self.now_ms.fetch_add(by.as_millis() as u64, Ordering::Relaxed);
    }
}

mod on_a_server {
    use super::*;

    async fn fixture() -> InRedis {
        InRedis::at(&gpusher_testbed::redis().url())
    }

    routes_suite!(fixture);
}

mod on_a_cluster {
    use super::*;

    async fn fixture() -> InRedis {
        let nodes = gpusher_testbed::redis_cluster().nodes();
        InRedis::at(&format!("redis+cluster://{}", nodes.join(",")))
    }

    routes_suite!(fixture);
}
