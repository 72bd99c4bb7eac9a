//! The services and the backends that call them, over loopback.

mod appends;
mod bad_batches;
mod failures;
mod queue;
mod suites;

use super::*;
use crate::metrics::QueueMetrics;
use crate::queue::RemoteQueue;
use crate::queue::local::{LocalOptions, LocalQueue};
use crate::routes::{MemoryRoutes, RemoteRoutes};
use crate::store::{RemoteStore, SqliteOptions, SqliteStore};
use std::net::Ipv4Addr;
use tokio::task::JoinHandle;

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A role that serves, until it is told to stop.
pub(crate) struct Role {
    pub(crate) addr: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl Role {
    pub(crate) fn start(server: MessageServer, backends: Backends) -> Self {
        let stop = CancellationToken::new();
        let addr = server.local_addr();
        let task = tokio::spawn(server.serve(backends, stop.clone()));
        Self { addr, stop, task }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// A new connection to it.
    pub(crate) fn connect(&self) -> Connection {
        let url = format!("http://{}", self.addr);
        Connection::new(ConnectionOptions::new(vec![url])).unwrap()
    }
}

/// Embedded backends, in a folder.
async fn embedded(folder: &tempfile::TempDir) -> Backends {
    let store = SqliteStore::open(SqliteOptions::new(folder.path().join("store.db")));
    let metrics = QueueMetrics::register(&mut Default::default());
    let path = folder.path().join("queue.db");
    let queue = LocalQueue::open(&path, LocalOptions::default(), metrics);
    Backends {
        store: Arc::new(store.await.unwrap()),
        routes: Arc::new(MemoryRoutes::default()),
        queue: Arc::new(queue.await.unwrap()),
    }
}

/// A role with these backends on some port.
fn start(backends: Backends) -> Role {
    Role::start(MessageServer::bind(ANY_PORT, None).unwrap(), backends)
}
