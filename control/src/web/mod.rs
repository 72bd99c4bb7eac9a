//! The web role: pushes, tokens and administration over HTTP.
//!
//! A push comes in, is checked, gets an id and is published to the queue; the answer waits until it is durable.
//! Everything else reads and writes the store and the routes. Nothing in here knows which backends they are.

mod app_table;
mod apps;
mod body;
mod config;
pub(crate) mod content;
mod docs;
mod envelope;
mod gate;
mod idempotency;
mod limits;
mod mailbox;
mod metrics;
mod presence;
mod push;
mod serve;
mod stream;
mod system;
mod table;
mod token;
mod users;

pub use config::Config;

use crate::error::Result;
use crate::message_id::MessageIds;
use crate::queue::Queue;
use crate::routes::Routes;
use crate::store::Store;
use axum::Router;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Signs tokens and works on passwords. Hashing and verifying take tens of milliseconds.
pub trait Credentials: Send + Sync {
    /// A token for a user.
    fn sign(&self, uuid: &str) -> Result<String>;
    /// A hash to keep, as a PHC string.
    fn hash(&self, password: &str) -> Result<String>;
    /// Whether the password is the one that was hashed.
    fn verify(&self, password: &str, hash: &str) -> bool;
}

/// What the web role is built on.
pub struct Parts {
    /// Users, apps, statuses, mail.
    pub store: Arc<dyn Store>,
    /// Who is connected where.
    pub routes: Arc<dyn Routes>,
    /// Where accepted jobs go.
    pub queue: Arc<dyn Queue>,
    /// Message ids.
    pub ids: Arc<MessageIds>,
    /// Tokens and passwords.
    pub credentials: Arc<dyn Credentials>,
    /// Metrics of the whole process; the web role adds its own.
    pub registry: Arc<Mutex<Registry>>,
    /// Cancelled when the process is to stop.
    pub stopping: CancellationToken,
}

/// What handlers share.
struct Web {
    config: Config,
    store: Arc<dyn Store>,
    routes: Arc<dyn Routes>,
    queue: Arc<dyn Queue>,
    ids: Arc<MessageIds>,
    credentials: Arc<dyn Credentials>,
    registry: Arc<Mutex<Registry>>,
    stopping: CancellationToken,
    metrics: metrics::Metrics,
    apps: app_table::AppTable,
    idempotency: idempotency::Table,
    recent: push::Recent,
    passwords: token::PasswordGuard,
    requests: gate::Places,
    streams: Arc<Semaphore>,
    openapi: OnceLock<bytes::Bytes>,
}

/// The web role, ready to serve.
pub struct Serving {
    web: Arc<Web>,
    router: Router,
}

impl Serving {
    /// Puts the routes together.
    pub fn new(config: Config, parts: Parts) -> Self {
        let metrics = metrics::Metrics::register(&mut parts.registry.lock());
        let web = Arc::new(Web {
            apps: app_table::AppTable::new(Arc::clone(&parts.store), config.apps_max_age),
            idempotency: idempotency::Table::new(
                config.idempotency_bytes_max,
                config.idempotency_ttl,
                metrics.keys_forgotten.clone(),
            ),
            recent: push::Recent::new(config.pushes_remembered_max),
            passwords: token::PasswordGuard::new(
                config.password_checks_max,
                config.password_failures_max,
            ),
            requests: gate::Places::new(config.requests_max),
            streams: Arc::new(Semaphore::new(config.streams_max)),
            openapi: OnceLock::new(),
            store: parts.store,
            routes: parts.routes,
            queue: parts.queue,
            ids: parts.ids,
            credentials: parts.credentials,
            registry: parts.registry,
            stopping: parts.stopping,
            metrics,
            config,
        });
        let (router, document) = table::assemble(&web);
        let _first = web.openapi.set(document);
        Self { web, router }
    }

    /// The routes, for who brings connections of its own.
    pub fn router(&self) -> Router {
        self.router.clone()
    }
}

/// Unix milliseconds.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
