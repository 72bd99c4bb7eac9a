//! The world of the tests: what outlives an instance of logic, and the instance.

mod gateway;
mod queue;

pub(crate) use gateway::{Gateway, conns, login};
pub(crate) use queue::MemoryQueue;

use gpusher_control::logic::core::Now;
use gpusher_control::logic::{Counters, Data, Identity, Limits, Logic};
use gpusher_control::message_id::MessageIds;
use gpusher_control::queue::Queue;
use gpusher_control::routes::Routes;
use gpusher_control::routes::memory::MemoryRoutes;
use gpusher_control::store::Store;
use gpusher_control::store::sqlite::{Durability, SqliteOptions, SqliteStore};
use gpusher_proto::data::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// App of all tests.
pub(crate) const APP: u32 = 1000;
/// Unix time at which the tests begin.
pub(crate) const BEGIN_MS: i64 = 1_800_000_000_000;
/// Nothing takes this long unless it does not happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What outlives an instance: store, routes, queue and the time.
pub(crate) struct World {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) routes: Arc<MemoryRoutes>,
    pub(crate) queue: Arc<MemoryQueue>,
    pub(crate) limits: Limits,
    clock_ms: Arc<AtomicU64>,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("store.sqlite");
        let options = SqliteOptions { durability: Durability::Normal, ..SqliteOptions::new(path) };
        let store = SqliteStore::open(options).await.expect("the store opens");
        Self {
            store: Arc::new(store),
            routes: Arc::new(MemoryRoutes::default()),
            queue: Arc::new(MemoryQueue::default()),
            limits: Limits { flush_ms: 0, sweep_ms: 50, ..Limits::default() },
            clock_ms: Arc::new(AtomicU64::new(1)),
            _folder: folder,
        }
    }

    /// Starts an instance. Its clock stands still but for [`World::advance`].
    pub(crate) async fn start(&self) -> Logic {
        self.start_as("logic", &["logic"], &self.queue).await
    }

    /// Starts one instance of several, with its share of the queue.
    pub(crate) async fn start_as(
        &self,
        name: &str,
        peers: &[&str],
        share: &Arc<MemoryQueue>,
    ) -> Logic {
        let data = Data {
            store: self.store.clone(),
            routes: self.routes.clone(),
            queue: share.clone(),
            counters: Arc::new(Counters::default()),
        };
        let clock_ms = self.clock_ms.clone();
        let clock = move || {
            let mono_ms = clock_ms.load(Relaxed);
            Now { mono_ms, unix_ms: BEGIN_MS + mono_ms as i64 }
        };
        let peers = peers.iter().map(|&peer| peer.to_owned()).collect();
        let identity = Identity { name: name.to_owned(), peers };
        let ids = Arc::new(MessageIds::new(1));
        Logic::start(data, self.limits.clone(), identity, ids, Some(Arc::new(clock))).await
    }

    /// Lets time pass.
    pub(crate) fn advance(&self, by_ms: u64) {
        self.clock_ms.fetch_add(by_ms, Relaxed);
    }

    pub(crate) async fn push(&self, push: Push) {
        self.publish(job::Kind::Push(push)).await;
    }

    pub(crate) async fn publish(&self, kind: job::Kind) {
        let record = Record { job: Some(Job { kind: Some(kind) }), ..Record::default() };
        self.queue.publish(vec![record]).await.expect("the queue takes it");
    }

    /// The status of a push, once it is as it should be.
    pub(crate) async fn status(&self, message: u64, is: impl Fn(&Status) -> bool) -> Status {
        let mut last = None;
        eventually(async || {
            last = self.store.get_status(message).await.expect("the store answers");
            last.as_ref().is_some_and(&is)
        })
        .await
        .unwrap_or_else(|| panic!("status stays {last:?}"));
        last.expect("checked")
    }

    /// A device's cursors, once they are as they should be.
    pub(crate) async fn cursors(&self, user: &str, device: &str, is: Cursors) {
        let key = DeviceKey { app_id: APP, user: user.to_owned(), device: device.to_owned() };
        let mut last = Vec::new();
        eventually(async || {
            last = self.store.get_cursors(vec![key.clone()]).await.expect("the store answers");
            last == [is]
        })
        .await
        .unwrap_or_else(|| panic!("cursors stay {last:?}"));
    }

    /// The queue is done up to and including this many records.
    pub(crate) async fn committed(&self, records: u64) {
        let done = eventually(async || self.queue.committed() >= records).await;
        done.unwrap_or_else(|| panic!("committed stays {}", self.queue.committed()));
    }

    /// Connections of a user, once there are that many.
    pub(crate) async fn located(&self, user: &str, count: usize) -> Vec<Route> {
        let user = UserInApp { app_id: APP, user: user.to_owned() };
        let mut routes = Vec::new();
        eventually(async || {
            routes = self.routes.locate(vec![user.clone()]).await.expect("routes")[0].clone();
            routes.len() == count
        })
        .await
        .unwrap_or_else(|| panic!("routes stay {routes:?}"));
        routes
    }
}

/// Asks until it is so; none if it never is.
pub(crate) async fn eventually(mut is: impl AsyncFnMut() -> bool) -> Option<()> {
    let wait = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.ok()
}

/// A push to one user.
pub(crate) fn to_user(id: u64, user: &str, kept: bool) -> Push {
    Push { users: vec![user.to_owned()], ..to_app(id, kept) }.typed(1)
}

/// A push to the app.
pub(crate) fn to_app(id: u64, kept: bool) -> Push {
    Push {
        id,
        r#type: 2,
        app_id: APP,
        content: format!("message {id}").into(),
        offline_push: kept,
        accepted_at_ms: BEGIN_MS,
        ..Push::default()
    }
}

/// The same push, but for its type or users.
pub(crate) trait Changed {
    fn typed(self, r#type: u32) -> Self;
    fn to(self, users: Vec<String>) -> Self;
}

impl Changed for Push {
    fn typed(mut self, r#type: u32) -> Self {
        self.r#type = r#type;
        self
    }

    fn to(mut self, users: Vec<String>) -> Self {
        self.users = users;
        self
    }
}
