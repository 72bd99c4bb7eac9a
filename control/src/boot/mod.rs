//! From a configuration to running roles, and back: the order of the steps is here, nothing else.
//!
//! Start: check, lock the data directory, take the ports, open the backends, then message, gateway, logic, web. Nothing of it waits for
//! another process except logic, which needs the store's answer; it goes on trying. Stop is the reverse of a push's path: web takes no
//! more, the gateway sends its clients away, logic writes down what it knows, message ends its calls, queue and store are closed.

mod data_dir;
mod neighbours;
mod summary;

pub use self::data_dir::DataDir;
use self::neighbours::Neighbours;
pub use self::neighbours::{error as discovery_error, open as discovery};
pub use self::summary::{Addresses, Summary};

use crate::auth::{Secret, Tokens};
use crate::config::{AuthMode, Config, Role};
use crate::error::{Code, Error, Result};
use crate::logic::{Data, Identity, Logic};
use crate::message::{Backends, MessageServer, purge};
use crate::message_id::MessageIds;
use crate::metrics::{self, LogicCollector};
use crate::{backend, web};
use gpusher_gateway::config::Auth as GatewayAuth;
use gpusher_gateway::metrics::ProcessCollector;
use gpusher_gateway::{BootError, Gateway};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// Roles that run. End it with [`Process::stop`]; dropped, it is as if it had been killed.
pub struct Process {
    summary: Summary,
    stop_timeout: Duration,
    web: Option<Task>,
    message: Option<Task>,
    purge: Option<Task>,
    pages: Option<Task>,
    logic: Option<Logic>,
    gateway: Option<Gateway>,
    neighbours: Option<Neighbours>,
    backends: Option<Backends>,
    /// Let go of last.
    _data_dir: Option<DataDir>,
}

/// A part that ends when it is told to.
struct Task {
    stopping: CancellationToken,
    task: JoinHandle<()>,
}

/// Sockets taken before anything runs, so that a port in use is known at once.
struct Listeners {
    web: Option<TcpListener>,
    /// Of logic or message, where web is not in the process.
    pages: Option<TcpListener>,
    message: Option<MessageServer>,
}

impl Process {
    /// Starts the roles; returns when all of them work.
    ///
    /// # Errors
    /// `invalid` if the configuration must not be run, `unavailable` if the host does not let it run: with the remedy. Nothing is left
    /// running.
    pub async fn start(config: Config) -> Result<Self> {
        config.validate()?;
        let data_dir = keeps_something(&config).then(|| DataDir::open(&config.data_dir));
        let data_dir = data_dir.transpose()?;
        let token_secret = token_secret(&config, data_dir.as_ref())?;
        let listeners = Listeners::bind(&config).await?;
        let mut process = Self {
            summary: Summary::new(&config, &listeners, data_dir.as_ref()),
            stop_timeout: config.stop_timeout,
            web: None,
            message: None,
            purge: None,
            pages: None,
            logic: None,
            gateway: None,
            neighbours: None,
            backends: None,
            _data_dir: data_dir,
        };
        match process.start_roles(&config, listeners, token_secret).await {
            Ok(()) => Ok(process),
            Err(error) => {
                process.stop().await;
                Err(error)
            }
        }
    }

    async fn start_roles(
        &mut self,
        config: &Config,
        listeners: Listeners,
        token_secret: Option<Secret>,
    ) -> Result<()> {
        let registry = Arc::new(Mutex::new(Registry::default()));
        ProcessCollector::register(&mut registry.lock());
        let ids = Arc::new(MessageIds::new(config.node));
        if config.needs_data() {
            self.backends = Some(backend::open(config, &registry).await?);
        }
        if let Some(server) = listeners.message {
            self.message = Some(start_message(server, self.backends()));
        }
        if config.has(Role::Message) {
            self.purge = Some(start_purge(config, &registry, self.backends()));
        }
        let mut neighbours = Neighbours::open(config)?;
        if config.has(Role::Gateway) {
            let gateway = start_gateway(config, token_secret.as_ref()).await?;
            self.summary.gateway(&gateway);
            let mut registry = registry.lock();
            let registry = registry.sub_registry_with_prefix("gpusher_gateway");
            registry.register_collector(Box::new(gateway.metrics().clone()));
            neighbours.register_gateway(config, &gateway);
            self.gateway = Some(gateway);
        }
        if config.has(Role::Logic) {
            let logic = self.start_logic(config, &ids, &neighbours).await?;
            neighbours.register_logic(config);
            LogicCollector::register(logic.counters(), &mut registry.lock());
            self.logic = Some(logic);
        }
        self.neighbours = Some(neighbours);
        self.pages = listeners.pages.map(|at| serve(at, metrics::pages(registry.clone())));
        if let (Some(listener), Some(secret)) = (listeners.web, token_secret) {
            self.web = Some(start_web(config, listener, &secret, registry, ids, self.backends()));
        }
        Ok(())
    }

    fn backends(&self) -> Backends {
        self.backends.clone().expect("roles that need data come after it")
    }

    async fn start_logic(
        &self,
        config: &Config,
        ids: &Arc<MessageIds>,
        neighbours: &Neighbours,
    ) -> Result<Logic> {
        let Backends { store, routes, queue } = self.backends();
        let data = Data { store, routes, queue, counters: Arc::default() };
        let identity =
            Identity { name: config.logic.name.clone(), peers: config.discovery.logics.clone() };
        let limits = config.logic.limits.clone();
        let logic = Logic::start(data, limits, identity, ids.clone(), None).await;
        if let Some(gateway) = &self.gateway {
            logic.attach_gateway(gateway.attach());
        }
        let secret = config.auth.link_secret.as_ref().map(Secret::reveal);
        logic.follow_gateways(neighbours.services(), neighbours.own_gateway(), secret)?;
        Ok(logic)
    }

    /// Where everything is.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Returns when a part has ended by itself, which none should; says which and why.
    pub async fn failure(&self) -> String {
        match &self.gateway {
            Some(gateway) => gateway.failure().await,
            None => std::future::pending().await,
        }
    }

    /// Stops in order, within the configured time.
    pub async fn stop(mut self) {
        let deadline = Instant::now() + self.stop_timeout;
        if timeout_at(deadline, self.stop_in_order()).await.is_err() {
            tracing::warn!("stopping took too long; what was left is cut off");
        }
    }

    async fn stop_in_order(&mut self) {
        stop_task(self.web.take()).await;
        if let Some(neighbours) = self.neighbours.take() {
            neighbours.leave().await;
        }
        if let Some(gateway) = self.gateway.take() {
            gateway.shutdown().await;
        }
        if let Some(logic) = self.logic.take() {
            logic.stop().await;
        }
        stop_task(self.pages.take()).await;
        stop_task(self.purge.take()).await;
        stop_task(self.message.take()).await;
        if let Some(backends) = self.backends.take() {
            backends.queue.close().await;
            backends.store.close().await;
        }
    }
}

/// Whether there is anything for a data directory.
fn keeps_something(config: &Config) -> bool {
    config.has(Role::Message) || generates_secret(config)
}

fn generates_secret(config: &Config) -> bool {
    config.has(Role::Web) && config.auth.token_secret.is_none()
}

fn token_secret(config: &Config, data_dir: Option<&DataDir>) -> Result<Option<Secret>> {
    match (&config.auth.token_secret, data_dir) {
        (Some(secret), _) => Ok(Some(secret.clone())),
        (None, Some(data_dir)) if generates_secret(config) => data_dir.token_secret().map(Some),
        (None, _) => Ok(None),
    }
}

impl Listeners {
    async fn bind(config: &Config) -> Result<Self> {
        let web = config.has(Role::Web).then_some(config.web.listen);
        let message = config
            .serves_message()
            .then(|| MessageServer::bind(config.message_listen, config.auth.link_secret.clone()));
        Ok(Self {
            web: listen("web.listen", web).await?,
            pages: match (config.serves_logic(), config.serves_message_pages()) {
                (true, _) => listen("logic.listen", Some(config.logic.listen)).await?,
                (_, true) => listen("message.pages_listen", Some(config.message_pages)).await?,
                (false, false) => None,
            },
            message: message.transpose()?,
        })
    }
}

async fn listen(key: &str, at: Option<SocketAddr>) -> Result<Option<TcpListener>> {
    let Some(at) = at else { return Ok(None) };
    match TcpListener::bind(at).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) => {
            let text =
                format!("cannot listen on {at}: {error}; choose another {key}, or stop who has it");
            Err(Error::new(Code::Unavailable, text))
        }
    }
}

fn start_message(server: MessageServer, backends: Backends) -> Task {
    spawn(|stopping| async move {
        if let Err(error) = server.serve(backends, stopping).await {
            tracing::error!(%error, "the message service ended");
        }
    })
}

fn start_purge(config: &Config, registry: &Mutex<Registry>, backends: Backends) -> Task {
    let options = config.retention.clone();
    let metrics = purge::PurgeMetrics::register(&mut registry.lock());
    spawn(|stopping| purge::run(backends.store, options, metrics, stopping))
}

async fn start_gateway(config: &Config, token_secret: Option<&Secret>) -> Result<Gateway> {
    let mut gateway = config.gateway.clone();
    gateway.rpc_listen = config.gateway_rpc();
    gateway.auth = match (config.auth.mode, token_secret) {
        (AuthMode::Open, _) => GatewayAuth::Any,
        (AuthMode::Required, secret) => {
            let secret = secret.expect("the rules ask for one").reveal().to_owned();
            GatewayAuth::Jwt { secret }
        }
    };
    gateway.link.secret = config.auth.link_secret.as_ref().map(|s| s.reveal().to_owned());
    let runtime = tokio::runtime::Handle::current();
    let started = tokio::task::spawn_blocking(move || Gateway::start(gateway, &runtime)).await;
    let started =
        started.map_err(|_| Error::new(Code::Internal, "the gateway's start was cut off"))?;
    started.map_err(|error| match error {
        BootError::Refused(refused) => Error::new(Code::Invalid, format!("gateway.{refused}")),
        error => {
            let text = format!("the gateway does not start: {error} (see gateway.{})", error.key());
            Error::new(Code::Unavailable, text)
        }
    })
}

fn start_web(
    config: &Config,
    listener: TcpListener,
    token_secret: &Secret,
    registry: Arc<Mutex<Registry>>,
    ids: Arc<MessageIds>,
    backends: Backends,
) -> Task {
    let Backends { store, routes, queue } = backends;
    let mut settings = config.web.settings.clone();
    settings.development = config.auth.mode == AuthMode::Open;
    settings.api_keys = config.auth.api_keys.iter().map(|key| key.reveal().to_owned()).collect();
    let secret = token_secret.reveal().as_bytes();
    let credentials = Arc::new(Tokens::new(secret, config.auth.token_lifetime));
    spawn(|stopping| {
        let parts = web::Parts { store, routes, queue, ids, credentials, registry, stopping };
        web::Serving::new(settings, parts).run(listener)
    })
}

fn serve(listener: TcpListener, router: axum::Router) -> Task {
    spawn(|stopping| async move {
        let stopping = stopping.cancelled_owned();
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopping).await {
            tracing::error!(%error, "the pages are gone");
        }
    })
}

fn spawn<F>(start: impl FnOnce(CancellationToken) -> F) -> Task
where
    F: Future<Output = ()> + Send + 'static,
{
    let stopping = CancellationToken::new();
    let task = tokio::spawn(start(stopping.clone()));
    Task { stopping, task }
}

async fn stop_task(task: Option<Task>) {
    let Some(Task { stopping, task }) = task else { return };
    stopping.cancel();
    if let Err(error) = task.await {
        tracing::error!(%error, "a part did not end well");
    }
}
