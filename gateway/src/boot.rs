//! The steps from a configuration to a running gateway, in the order in which they are taken, and what can go wrong in each.

use crate::budget::Bound;
use crate::config::{Refused, RuntimeConfig};
use crate::gateway::Gateway;
use crate::link::{Link, LinkParts, Mailbox};
use crate::mail::{ToLink, ToShard};
use crate::metrics::{Constants, Counts, Metrics, ShardCounts};
use crate::plan::Plan;
use crate::seat::{Seat, SeatError};
use crate::servers::{Bound as BoundListener, bind};
use gpusher_proto::gateway::Hello;
use gpusher_sys::mailbox::{Sender, mailbox};
use gpusher_sys::scheduling::{SHORT_SLICE, set_slice};
use gpusher_sys::socket::{ListenError, ListenOptions, Listener};
use gpusher_sys::uring::UringError;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Handle;

/// Batches of shards' reports on their way to the link.
const REPORTS_IN_FLIGHT: usize = 256;

/// Asks for short turns on the processor for this thread and all that it starts but the shards: they do little when they wake, and a push passes several.
pub fn take_short_turns() {
    if let Err(error) = set_slice(Some(SHORT_SLICE)) {
        tracing::warn!(%error, "no short turns on the processor: pushes are slower where others fill it");
    }
}

/// Why the gateway did not start: one variant per step.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The configuration is understood but must not be run.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The descriptor limit cannot be read or raised.
    #[error("cannot raise the descriptor limit: {0}; allow the process to set RLIMIT_NOFILE")]
    Descriptors(#[source] io::Error),
    /// The cores cannot be listed.
    #[error("cannot list the cores: {0}; restrict the process to at most 1,024")]
    Cores(#[source] io::Error),
    /// No driver.
    #[error(transparent)]
    Io(#[from] UringError),
    /// Not a single connection would fit.
    #[error("not one connection per shard can be held because of: {0}; {remedy}", remedy = .0.remedy())]
    NoRoom(Bound),
    /// No place for clients.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// No place for logic.
    #[error("cannot listen for logic on {0}: {1}; choose another port, or stop who has it")]
    Rpc(SocketAddr, #[source] io::Error),
    /// No place for operators.
    #[error("cannot listen for operators on {0}: {1}; choose another port, or stop who has it")]
    Admin(SocketAddr, #[source] io::Error),
    /// No mailbox.
    #[error("cannot make the mailbox of shard {0}: {1}; raise LimitNOFILE")]
    Mailbox(usize, #[source] io::Error),
    /// A shard did not start.
    #[error("shard {0} does not start: {1}; lower shards, or raise LimitNOFILE and LimitMEMLOCK")]
    Shard(usize, #[source] SeatError),
}

impl BootError {
    /// The key of the configuration to look at.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Refused(refused) => refused.key,
            Self::Descriptors(_) | Self::NoRoom(_) => "connections_max",
            Self::Cores(_) | Self::Mailbox(..) => "shards",
            Self::Io(_) | Self::Shard(..) => "io",
            Self::Listen(_) => "listen",
            Self::Rpc(..) => "rpc_listen",
            Self::Admin(..) => "admin_listen",
        }
    }
}

/// For the kernel to free the port of a gateway that was killed a moment ago: 8 s have been seen on a machine with more to do than cores.
const PORT_PATIENCE: Duration = Duration::from_secs(15);

/// Takes all steps. What can fail for want of something outside is tried before any thread runs.
pub(crate) fn start(config: RuntimeConfig, runtime: &Handle) -> Result<Gateway, BootError> {
    config.validate()?;
    let plan = Plan::new(&config)?;
    let listeners =
        Listener::bind_group(config.listen, plan.shards, &ListenOptions::default(), PORT_PATIENCE)?;
    let rpc = open(config.rpc_listen, BootError::Rpc)?;
    let admin = open(config.admin_listen, BootError::Admin)?;
    let client_addr = listeners[0].address();

    let (to_link, from_shards) = ToLink::queue(REPORTS_IN_FLIGHT);
    let counts: Vec<_> = (0..plan.shards).map(|_| Arc::<ShardCounts>::default()).collect();
    let Seated { mailboxes, threads } = seat(&config, &plan, listeners, &to_link, &counts)?;

    let _within = runtime.enter();
    let link_counts: Arc<Counts<_>> = Arc::default();
    let link = Link::start(LinkParts {
        hello: hello(&config, client_addr, &plan),
        config: config.link,
        mailboxes: mailboxes.into_iter().map(|m| Box::new(m) as Box<dyn Mailbox>).collect(),
        from_shards,
        shard_counts: counts.clone(),
        counts: Arc::clone(&link_counts),
    });
    let constants = Constants {
        io: plan.driver.name(),
        connections_max: plan.budget.connections,
        budget_bytes: plan.budget.process_bytes(),
    };
    let metrics = Metrics { shards: counts, link: link_counts, constants };
    let gateway = Gateway::new(client_addr, link, metrics, plan, threads, config.deadlines);
    Ok(gateway.with_servers(rpc, admin))
}

fn open(
    address: Option<SocketAddr>,
    error: fn(SocketAddr, io::Error) -> BootError,
) -> Result<Option<BoundListener>, BootError> {
    let Some(address) = address else { return Ok(None) };
    bind(address).map(Some).map_err(|source| error(address, source))
}

/// The epoch is the time: greater than any before it, as long as the clock is right.
fn hello(config: &RuntimeConfig, client_addr: SocketAddr, plan: &Plan) -> Hello {
    Hello {
        gateway: config.id,
        epoch: plan.epoch,
        client_addr: config.client_addr.clone().unwrap_or_else(|| client_addr.to_string()),
        shards: plan.shards as u32,
        connections_max: plan.budget.connections,
    }
}

/// Shards that turn.
#[derive(Default)]
struct Seated {
    mailboxes: Vec<Sender<ToShard>>,
    threads: Vec<JoinHandle<()>>,
}

impl Seated {
    /// Ends what has started, because another shard did not.
    fn stop(self) {
        for mailbox in &self.mailboxes {
            // A fresh mailbox has room.
            let _ = mailbox.send(ToShard::Stop);
        }
        self.threads.into_iter().for_each(|thread| drop(thread.join()));
    }
}

fn seat(
    config: &RuntimeConfig,
    plan: &Plan,
    listeners: Vec<Listener>,
    to_link: &ToLink,
    counts: &[Arc<ShardCounts>],
) -> Result<Seated, BootError> {
    let mut seated = Seated::default();
    for (shard, listener) in listeners.into_iter().enumerate() {
        let started = mailbox(config.limits.mail_per_shard)
            .map_err(|source| BootError::Mailbox(shard, source))
            .and_then(|(sender, mailbox)| {
                seated.mailboxes.push(sender);
                let mut config = plan.shard.clone();
                config.shard = shard as u32;
                let seat = Seat {
                    config,
                    core: plan.cores[shard % plan.cores.len()],
                    driver: Arc::clone(&plan.driver),
                    ring: plan.ring,
                    listener,
                    mailbox,
                    to_link: to_link.clone(),
                    counts: Arc::clone(&counts[shard]),
                };
                seat.start().map_err(|source| BootError::Shard(shard, source))
            });
        match started {
            Ok(thread) => seated.threads.push(thread),
            Err(error) => {
                seated.stop();
                return Err(error);
            }
        }
    }
    Ok(seated)
}
