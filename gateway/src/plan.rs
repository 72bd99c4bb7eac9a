//! What is settled before anything runs: driver, shards, sizes, budget.

use crate::boot::BootError;
use crate::budget::{Allowance, Budget, Term};
use crate::config::{Auth, Descriptors, Io, RuntimeConfig};
use crate::host::memory_available;
use crate::mail::{FromShard, ToShard};
use crate::shard::{BYTES_PER_CONNECTION, ShardConfig};
use crate::token::TokenCheck;
use gpusher_proto::conn_id::ConnId;
use gpusher_session::{Limits, OutboxLimits};
use gpusher_sys::choose::{IoChoice, IoDriver, choose};
use gpusher_sys::uring::{self, UringOptions};
use gpusher_sys::{affinity, clock, limits};
use std::sync::Arc;

/// Rings of one shard at most: with the smallest usual descriptor limit of 1,024, a quarter of a million connections.
const RINGS_PER_SHARD_MAX: u32 = 256;

/// A message and its three encodings.
const COPIES_OF_CONTENT: usize = 4;

/// The allocation for a 16-character user without a device, and what a driver keeps per slot, in an array that grows by doubling.
const NAMES_BYTES: u64 = 32;
const DRIVER_BYTES: u64 = 16;

/// Bytes of a submission, a completion, and a receive buffer of a ring.
const SQ_ENTRY_BYTES: u64 = 64;
const CQ_ENTRY_BYTES: u64 = 16;
const SCRATCH_BYTES: u64 = 4096;

/// See the module.
#[derive(Debug)]
pub(crate) struct Plan {
    pub shards: usize,
    /// Of this process: the time of its start.
    pub epoch: u64,
    /// Cores that the process may use.
    pub cores: Vec<usize>,
    pub driver: Arc<IoDriver>,
    pub ring: UringOptions,
    pub budget: Budget,
    /// For every shard but for its number.
    pub shard: ShardConfig,
}

impl Plan {
    /// Raises the descriptor limit, runs the driver's self-test, and weighs the limits.
    pub(crate) fn new(config: &RuntimeConfig) -> Result<Self, BootError> {
        let descriptors = limits::raise_descriptor_limit().map_err(BootError::Descriptors)?.soft;
        let cores = affinity::allowed_cores().map_err(BootError::Cores)?;
        let shards = config.shards.unwrap_or(cores.len()).min(ConnId::SHARDS_MAX as usize);
        let table = direct_table(config, descriptors);
        let rings = table.map_or(1, |entries| rings_per_shard(config, shards, entries));
        let ring = UringOptions { descriptors: place(table), rings, ..UringOptions::default() };
        let driver = choose(choice(config.io), ring.descriptors)?;
        let in_table = matches!(driver, IoDriver::Uring(_)).then_some(table).flatten();
        let allowance = Allowance {
            shards: shards as u64,
            descriptors,
            table: in_table.map(|entries| u64::from(entries) * u64::from(rings)),
            configured: config.connections_max.map(|connections| connections as u64),
            slots_per_shard: u64::from(ConnId::SLOTS_MAX),
            memory_bytes: memory_available(),
            bytes_per_connection: BYTES_PER_CONNECTION as u64 + NAMES_BYTES + DRIVER_BYTES,
        };
        let budget = Budget::new(&allowance, fixed_terms(config, shards, &ring));
        if budget.connections < shards as u64 {
            return Err(BootError::NoRoom(budget.bound));
        }
        let epoch = clock::unix_ms();
        let mut shard = shard_config(config, share(budget.connections, shards));
        shard.first_generation = (epoch % u64::from(ConnId::GENERATIONS)) as u32;
        Ok(Self { shards, epoch, cores, driver: Arc::new(driver), ring, budget, shard })
    }

    /// Why io_uring is not used although it was wished for.
    pub(crate) fn warning(&self) -> Option<String> {
        match &*self.driver {
            IoDriver::Epoll { instead_of } => instead_of.as_ref().map(ToString::to_string),
            IoDriver::Uring(_) => None,
        }
    }
}

fn choice(io: Io) -> IoChoice {
    match io {
        Io::Uring => IoChoice::Uring,
        Io::Epoll => IoChoice::Epoll,
        Io::Auto => IoChoice::Auto,
    }
}

/// Entries of each ring's own table, if there is to be one.
fn direct_table(config: &RuntimeConfig, descriptors: u64) -> Option<u32> {
    let entries = u32::try_from(descriptors).unwrap_or(u32::MAX).min(uring::TABLE_ENTRIES_MAX);
    (config.descriptors == Descriptors::Direct).then_some(entries)
}

/// What one shard may get of so many connections: the kernel spreads them by chance, so that some shard has more than its part. Four times the
/// square root is more than four standard deviations.
fn share(connections: u64, shards: usize) -> u64 {
    let part = connections.div_ceil(shards as u64);
    if shards == 1 { part } else { (part + 4 * part.isqrt()).min(connections) }
}

/// As many as `connections_max` takes; without it, one.
fn rings_per_shard(config: &RuntimeConfig, shards: usize, entries: u32) -> u32 {
    let connections = share(config.connections_max.unwrap_or(0) as u64, shards);
    let rings = connections.div_ceil(u64::from(entries));
    u32::try_from(rings).unwrap_or(u32::MAX).clamp(1, RINGS_PER_SHARD_MAX)
}

fn place(table: Option<u32>) -> uring::Descriptors {
    table.map_or(uring::Descriptors::Plain, |table| uring::Descriptors::Direct { table })
}

/// What does not depend on the number of connections.
fn fixed_terms(config: &RuntimeConfig, shards: usize, ring: &UringOptions) -> Vec<Term> {
    let limits = &config.limits;
    let term = |name, bytes: usize| Term { name, bytes: bytes as u64 };
    let mail = limits.mail_per_shard * size_of::<ToShard>()
        + ShardConfig::default().slice.reports_max * size_of::<FromShard>();
    let rings = u64::from(ring.rings);
    let scratch = shards as u64 * u64::from(ring.scratch_buffers) * SCRATCH_BYTES;
    let ring =
        u64::from(ring.sq_entries) * SQ_ENTRY_BYTES + u64::from(ring.cq_entries) * CQ_ENTRY_BYTES;
    vec![
        term("outboxes", shards * limits.outbox_bytes_per_shard),
        term("frames received in part", shards * limits.partial_bytes_per_shard),
        term("messages under way", config.link.jobs_bytes_max * COPIES_OF_CONTENT),
        term("mail and reports", shards * mail),
        Term { name: "rings", bytes: shards as u64 * rings * ring + scratch },
    ]
}

fn shard_config(config: &RuntimeConfig, connections_max: u64) -> ShardConfig {
    let RuntimeConfig { limits, deadlines, .. } = config;
    let millis = |duration: std::time::Duration| duration.as_millis() as u64;
    let token = match &config.auth {
        Auth::Any => TokenCheck::AcceptAny,
        Auth::Jwt { secret } => TokenCheck::jwt(secret.as_bytes()),
    };
    ShardConfig {
        gateway: config.id,
        connections_max: connections_max as usize,
        session: Limits {
            body_bytes_max: limits.frame_bytes,
            login_body_bytes_max: limits.frame_bytes_before_admission,
            frames_per_second: limits.frames_per_second,
            frames_burst: limits.frames_burst,
            heartbeat_interval_s: deadlines.heartbeat.as_secs().try_into().unwrap_or(u16::MAX),
            ack_delay_ms: deadlines.ack_delay.as_millis() as u32,
            ..Limits::default()
        },
        token: Arc::new(token),
        outbox: OutboxLimits {
            bytes_max: limits.outbox_bytes,
            entries_max: limits.outbox_frames,
            ..OutboxLimits::default()
        },
        outbox_bytes_max: limits.outbox_bytes_per_shard,
        outbox_age_ms_max: millis(deadlines.slow),
        partial_bytes_max: limits.partial_bytes_per_shard,
        topics_max: limits.topics_per_connection,
        login_deadline_ms: millis(deadlines.login),
        idle_timeout_ms: millis(deadlines.idle),
        admit_alone_ms: millis(deadlines.admit_alone),
        ..ShardConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Bound;

    fn plan(change: impl FnOnce(&mut RuntimeConfig)) -> Result<Plan, BootError> {
        let mut config = RuntimeConfig::embedded();
        config.io = Io::Epoll;
        change(&mut config);
        Plan::new(&config)
    }

    #[test]
    fn a_configured_maximum_is_shared_out_with_room_for_chance() {
        let plan = plan(|config| {
            config.shards = Some(3);
            config.connections_max = Some(300);
        });
        let plan = plan.unwrap();
        assert_eq!((plan.budget.connections, plan.budget.bound), (300, Bound::Configured));
        assert_eq!((plan.shards, plan.shard.connections_max), (3, 140));
        assert_eq!((share(1_000_000, 2), share(5, 1), share(4, 2)), (502_828, 5, 4));
    }

    #[test]
    fn without_room_for_one_connection_a_shard_it_is_refused() {
        let error = plan(|config| {
            config.shards = Some(3);
            config.connections_max = Some(2);
        });
        let error = error.unwrap_err();
        assert!(matches!(error, BootError::NoRoom(Bound::Configured)), "{error}");
        assert_eq!(error.key(), "connections_max");
    }

    #[test]
    fn epoll_has_no_direct_descriptors() {
        let plan = plan(|config| config.descriptors = Descriptors::Direct).unwrap();
        assert_ne!(plan.budget.bound, Bound::DirectTable);
    }

    #[test]
    fn a_shard_has_as_many_rings_as_its_connections_take() {
        let rings = |connections_max, entries| {
            let config = RuntimeConfig { connections_max, ..RuntimeConfig::embedded() };
            rings_per_shard(&config, 2, entries)
        };
        assert_eq!(rings(None, 20_000), 1);
        assert_eq!(rings(Some(20_000), 20_000), 1);
        assert_eq!(rings(Some(40_000), 20_000), 2);
        assert_eq!(rings(Some(2_000_000), 20_000), 51);
        assert_eq!(rings(Some(1 << 40), 20_000), RINGS_PER_SHARD_MAX);
    }

    #[test]
    fn limits_reach_the_shards() {
        let plan = plan(|config| {
            config.limits.outbox_frames = 7;
            config.limits.frames_burst = 9;
            config.deadlines.idle = std::time::Duration::from_millis(1234);
        });
        let shard = plan.unwrap().shard;
        assert_eq!((shard.outbox.entries_max, shard.session.frames_burst), (7, 9));
        assert_eq!(shard.idle_timeout_ms, 1234);
    }
}
