//! A gateway process: production shards over simulated drivers, and the production link on a tokio runtime whose time stands still
//! until it is told to move.

use crate::clock::SimClock;
use crate::driver::SimDriver;
use crate::net::SharedNet;
use gpusher_gateway::LinkEnds;
use gpusher_gateway::config::LinkConfig;
use gpusher_gateway::link::{Link, LinkParts, Mailbox};
use gpusher_gateway::mail::{ToLink, ToShard};
use gpusher_gateway::metrics::{ShardCount, ShardCounts};
use gpusher_gateway::shard::{LoginDates, Shard, ShardConfig, Slice};
use gpusher_proto::gateway::Hello;
use gpusher_session::OutboxLimits;
use gpusher_sys::mailbox::{Sender, mailbox};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Times that the link's task may run in one pump; what is left runs in the next.
const LINK_ROUNDS: usize = 6;
/// Small, so that it is full at times.
const MAILBOX: usize = 32;
/// Batches of reports between shards and link.
const REPORTS: usize = 8;

/// What one connection's outbox may hold; small, so that it overflows.
pub const OUTBOX: OutboxLimits =
    OutboxLimits { bytes_max: 4_096, entries_max: 12, control_bytes_max: 8 << 10 };
/// What all outboxes of a shard may hold.
pub const OUTBOX_BYTES_MAX: usize = 64 << 10;

/// A running gateway.
pub struct Gateway {
    runtime: Runtime,
    link: Link,
    shards: Vec<Shard<SimDriver, SimClock>>,
    mailboxes: Vec<Sender<ToShard>>,
    counts: Vec<Arc<ShardCounts>>,
    clock: SimClock,
    link_ms: u64,
}

impl Gateway {
    /// Starts a process of a gateway; `epoch` is greater than that of any process before it.
    pub fn start(
        number: u32,
        (epoch, shards): (u64, u32),
        net: &SharedNet,
        clock: &SimClock,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without threads or descriptors");
        let (to_link, from_shards) = ToLink::queue(REPORTS);
        let counts: Vec<_> = (0..shards).map(|_| Arc::new(ShardCounts::default())).collect();
        let mut senders = Vec::new();
        let mut all = Vec::new();
        let dates = Arc::default();
        for shard in 0..shards {
            let (sender, mail) = mailbox(MAILBOX).expect("an eventfd");
            let config = ShardConfig { shard, ..shard_config(number, epoch, &dates) };
            let driver = SimDriver::new(net.clone(), number as usize);
            let counts = counts[shard as usize].clone();
            all.push(Shard::new(config, driver, clock.clone(), mail, to_link.clone(), counts));
            senders.push(sender);
        }
        let parts = LinkParts {
            hello: Hello {
                gateway: number,
                epoch,
                client_addr: format!("gateway-{number}:8881"),
                shards,
                connections_max: 1_000,
            },
            config: LinkConfig {
                secret: None,
                commands_max: 64,
                jobs_bytes_max: 64 << 10,
                recalled_max: 16_384,
                join_wait: Duration::from_secs(5),
                stall: Duration::from_secs(20),
            },
            mailboxes: senders.iter().map(|it| Box::new(it.clone()) as Box<dyn Mailbox>).collect(),
            from_shards,
            shard_counts: counts.clone(),
            counts: Arc::default(),
        };
        let guard = runtime.enter();
        let link = Link::start(parts);
        drop(guard);
        let link_ms = clock.ms();
        Self {
            runtime,
            link,
            shards: all,
            mailboxes: senders,
            counts,
            clock: clock.clone(),
            link_ms,
        }
    }

    /// A logic attaches.
    pub fn attach(&self) -> LinkEnds {
        self.link.attach()
    }

    /// Lets the link's task run up to the present.
    pub fn pump_link(&mut self) {
        let by = Duration::from_millis(self.clock.ms() - self.link_ms);
        self.link_ms = self.clock.ms();
        self.runtime.block_on(async {
            if !by.is_zero() {
                tokio::time::advance(by).await;
            }
            for _ in 0..LINK_ROUNDS {
                tokio::task::yield_now().await;
            }
        });
    }

    /// One turn of a shard.
    pub fn turn(&mut self, shard: usize) {
        self.shards[shard].turn();
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Mail that no shard has read.
    pub fn mail(&self) -> usize {
        self.mailboxes.iter().map(Sender::len).sum()
    }

    /// A value of all shards together.
    pub fn sum(&self, what: ShardCount) -> u64 {
        self.counts.iter().map(|counts| counts.get(what)).sum()
    }
}

fn shard_config(gateway: u32, epoch: u64, dates: &Arc<LoginDates>) -> ShardConfig {
    ShardConfig {
        gateway,
        dates: dates.clone(),
        first_generation: epoch as u32,
        connections_max: 24,
        outbox: OUTBOX,
        outbox_bytes_max: OUTBOX_BYTES_MAX,
        slice: Slice {
            mail_max: 8,
            unicasts_max: 3,
            sends_max: 3,
            sends_beside_unicasts_max: 3,
            joined_bytes_max: 700,
            reports_max: 16,
            announced_max: 2,
        },
        ..ShardConfig::default()
    }
}
