//! A running gateway.

use crate::admin::Admin;
use crate::boot::{self, BootError};
use crate::budget::Budget;
use crate::config::{Deadlines, RuntimeConfig};
use crate::link::{Link, LinkEnds, LinkStatus};
use crate::metrics::{Metrics, ShardCount};
use crate::plan::Plan;
use crate::servers::{Bound, serve_logic, serve_operators};
use gpusher_proto::gateway::Drain;
use gpusher_proto::wire::Code;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

/// What the shards may take beyond the grace time to close everything.
const CLOSE_TIME: Duration = Duration::from_secs(5);

/// How often the end of the last connection is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Shards, link and servers. End it with [`Gateway::shutdown`]; dropped, it closes everything without notice.
#[derive(Debug)]
pub struct Gateway {
    client_addr: SocketAddr,
    rpc_addr: Option<SocketAddr>,
    admin_addr: Option<SocketAddr>,
    link: Link,
    metrics: Metrics,
    budget: Budget,
    io_warning: Option<String>,
    threads: Vec<JoinHandle<()>>,
    servers: Vec<AbortHandle>,
    stop_grace: Duration,
}

impl Gateway {
    /// Starts everything; the link and the servers run on the given runtime. Returns when clients are accepted.
    ///
    /// # Errors
    /// With the step, the key of the configuration to look at, and what to do. Nothing is left running.
    pub fn start(config: RuntimeConfig, runtime: &Handle) -> Result<Self, BootError> {
        boot::start(config, runtime)
    }

    pub(crate) fn new(
        client_addr: SocketAddr,
        link: Link,
        metrics: Metrics,
        plan: Plan,
        threads: Vec<JoinHandle<()>>,
        deadlines: Deadlines,
    ) -> Self {
        Self {
            client_addr,
            rpc_addr: None,
            admin_addr: None,
            link,
            metrics,
            io_warning: plan.warning(),
            budget: plan.budget,
            threads,
            servers: Vec::new(),
            stop_grace: deadlines.stop_grace,
        }
    }

    /// Must be called within a tokio runtime.
    pub(crate) fn with_servers(mut self, rpc: Option<Bound>, admin: Option<Bound>) -> Self {
        self.rpc_addr = rpc.as_ref().map(|bound| bound.address);
        self.admin_addr = admin.as_ref().map(|bound| bound.address);
        let logic = rpc.map(|bound| tokio::spawn(serve_logic(bound, self.link.server())));
        let pages = Admin { metrics: self.metrics.clone(), status: self.link.status() };
        let operators = admin.map(|bound| tokio::spawn(serve_operators(bound, pages)));
        self.servers = logic.into_iter().chain(operators).map(|t| t.abort_handle()).collect();
        self
    }

    /// Attaches a logic of this process: the messages themselves are passed, nothing is serialised. The first message must be its
    /// `Attach`.
    pub fn attach(&self) -> LinkEnds {
        self.link.attach()
    }

    /// Where clients connect.
    pub fn client_addr(&self) -> SocketAddr {
        self.client_addr
    }

    /// Where logic attaches by gRPC, if anywhere.
    pub fn rpc_addr(&self) -> Option<SocketAddr> {
        self.rpc_addr
    }

    /// Where operators look, if anywhere.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin_addr
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Memory and connections, to be printed.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Why the driver is not the one that was wished for; worth a warning.
    pub fn io_warning(&self) -> Option<&str> {
        self.io_warning.as_deref()
    }

    /// Who is attached, and whether shards have ended.
    pub fn status(&self) -> watch::Receiver<LinkStatus> {
        self.link.status()
    }

    /// Asks clients to go, as `drain` says. Accepts go on unless it is for the end.
    pub fn drain(&self, drain: Drain) {
        self.link.drain(drain);
    }

    /// Returns when a shard has ended by itself, which it should not; says which and why.
    pub async fn failure(&self) -> String {
        let mut status = self.link.status();
        let failed = status.wait_for(|status| !status.stopped.is_empty()).await;
        failed.map_or_else(|_| "the link ended".into(), |status| status.ended_shards().join("; "))
    }

    /// Asks clients to go, waits for them no longer than the grace time, closes everything, ends all threads. Bounded by the grace time and ten
    /// seconds.
    pub async fn shutdown(self) {
        let grace_ms = self.stop_grace.as_millis() as u32;
        let reason = Code::ShuttingDown.number().into();
        self.link.drain(Drain { rate: 0, reason, grace_ms, target: String::new() });
        let deadline = Instant::now() + self.stop_grace;
        while self.metrics.sum(ShardCount::Connections) > 0 && Instant::now() < deadline {
            sleep(LOOK_AGAIN).await;
        }
        if timeout(CLOSE_TIME, self.link.stop()).await.is_err() {
            tracing::error!("shards did not end in time");
        }
        self.servers.iter().for_each(AbortHandle::abort);
        let threads = self.threads;
        let joined = tokio::task::spawn_blocking(|| {
            threads.into_iter().for_each(|thread| drop(thread.join()));
        });
        let _ = timeout(CLOSE_TIME, joined).await;
    }
}
