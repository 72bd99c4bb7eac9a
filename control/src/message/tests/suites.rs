//! The remote backends pass the suites of the ones that they stand for.

use super::*;
use crate::{routes, store};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;

/// A store behind a role; each time it is opened, the role starts anew.
struct FarStore {
    folder: tempfile::TempDir,
    role: Mutex<Option<Role>>,
}

async fn far_store() -> FarStore {
    FarStore { folder: tempfile::tempdir().unwrap(), role: Mutex::new(None) }
}

impl store::suite::Fixture for FarStore {
    async fn open(&self) -> Arc<dyn Store> {
        let mut role = self.role.lock().await;
        if let Some(role) = role.take() {
            role.stop().await;
        }
        let started = start(embedded(&self.folder).await);
        let remote = RemoteStore::new(&started.connect());
        *role = Some(started);
        Arc::new(remote)
    }
}

mod far_stores {
    use super::far_store;
    crate::store::suite::store_suite!(far_store);
}

struct FarRoutes {
    _folder: tempfile::TempDir,
    now_ms: Arc<AtomicU64>,
    role: Role,
    routes: Arc<RemoteRoutes>,
}

async fn far_routes() -> FarRoutes {
    let folder = tempfile::tempdir().unwrap();
    let now_ms = Arc::new(AtomicU64::new(0));
    let clock = now_ms.clone();
    let routes = MemoryRoutes::with_clock(Box::new(move || clock.load(Ordering::Relaxed)));
    let backends = Backends { routes: Arc::new(routes), ..embedded(&folder).await };
    let role = start(backends);
    let routes = Arc::new(RemoteRoutes::new(&role.connect()));
    FarRoutes { _folder: folder, now_ms, role, routes }
}

impl routes::suite::Fixture for FarRoutes {
    fn routes(&self) -> Arc<dyn Routes> {
        assert_ne!(self.role.addr.port(), 0);
        self.routes.clone()
    }

    async fn advance(&self, by: Duration) {
        self.now_ms.fetch_add(by.as_millis() as u64, Ordering::Relaxed);
    }
}

mod far_routes_suite {
    use super::far_routes;
    crate::routes::suite::routes_suite!(far_routes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_far_queue_passes_the_suite() {
    let folder = tempfile::tempdir().unwrap();
    let role = start(embedded(&folder).await);
    crate::queue::suite::run(Arc::new(RemoteQueue::new(&role.connect()))).await;
    role.stop().await;
}
