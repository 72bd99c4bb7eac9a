//! What a shard is told at its start.

use super::dates::LoginDates;
use crate::token::TokenCheck;
use gpusher_session::{Limits, OutboxLimits};
use std::sync::Arc;

/// Names, limits and times of one shard. The limits on memory are terms of the gateway's budget.
#[derive(Debug, Clone)]
pub struct ShardConfig {
    /// Number of the gateway, in every connection's id.
    pub gateway: u32,
    /// Number of the shard.
    pub shard: u32,
    /// Generation of every slot's first connection. From the time of the start: a slot is used again less than once a millisecond, so that ids of
    /// the process before are stale in this one.
    pub first_generation: u32,
    /// More are closed as soon as they are accepted.
    pub connections_max: usize,
    /// What one client may do, and what it is told.
    pub session: Limits,
    /// How logins are checked.
    pub token: Arc<TokenCheck>,
    /// Dates logins; one for all shards of the gateway.
    pub dates: Arc<LoginDates>,
    /// What may wait for one connection.
    pub outbox: OutboxLimits,
    /// What may wait for all connections, as if nothing were shared between them. Beyond it, an outbox takes one message and no more.
    pub outbox_bytes_max: usize,
    /// A socket that takes nothing for this long while something waits belongs to a slow consumer: it is closed.
    pub outbox_age_ms_max: u64,
    /// Of frames received in part, all connections together. The connection that goes beyond it is closed.
    pub partial_bytes_max: usize,
    /// Topics one connection may have joined.
    pub topics_max: usize,
    /// From the accept to the complete login, and again from there to the verdict.
    pub login_deadline_ms: u64,
    /// Silence after which a client is taken to be gone.
    pub idle_timeout_ms: u64,
    /// While no logic is attached, a login is admitted by the shard after this long.
    pub admit_alone_ms: u64,
    /// How long a connection that is told to go may take to read its last frames.
    pub farewell_ms: u64,
    /// Work in one turn.
    pub slice: Slice,
}

/// How much is done before the kernel is entered again: the longest that one thing delays another.
#[derive(Debug, Clone, Copy)]
pub struct Slice {
    /// Messages taken from the mailbox.
    pub mail_max: usize,
    /// Sends to named connections.
    pub unicasts_max: usize,
    /// Sends of fan-out.
    pub sends_max: usize,
    /// The same while there are unicasts every now and then: they, and the processes that they come through and go to, wait for the core meanwhile.
    pub sends_beside_unicasts_max: usize,
    /// Frames of waiting messages joined into one write, in bytes.
    pub joined_bytes_max: usize,
    /// Events that wait for the link; with more, clients are read no further.
    pub reports_max: usize,
    /// Sessions announced to a link.
    pub announced_max: usize,
}

impl Default for Slice {
    fn default() -> Self {
        Self {
            mail_max: 1_024,
            unicasts_max: 1_024,
            // At 5 to 13 microseconds a send, less than two milliseconds before the next unicast goes out; a turn's own cost is a hundredth of it.
            sends_max: 128,
            // A few tenths of a millisecond, for some percent more of the broadcast's CPU.
            sends_beside_unicasts_max: 32,
            joined_bytes_max: 64 << 10,
            reports_max: 8_192,
            announced_max: 1_024,
        }
    }
}

impl Default for ShardConfig {
    fn default() -> Self {
        Self {
            gateway: 0,
            shard: 0,
            first_generation: 0,
            connections_max: 1 << 20,
            session: Limits::default(),
            token: Arc::new(TokenCheck::AcceptAny),
            dates: Arc::default(),
            outbox: OutboxLimits::default(),
            outbox_bytes_max: 256 << 20,
            outbox_age_ms_max: 60_000,
            partial_bytes_max: 64 << 20,
            topics_max: 32,
            login_deadline_ms: 10_000,
            idle_timeout_ms: 90_000,
            admit_alone_ms: 2_000,
            farewell_ms: 1_000,
            slice: Slice::default(),
        }
    }
}
