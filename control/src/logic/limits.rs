//! What logic takes on at once, and how long it waits.

use serde::Deserialize;

/// Limits of the logic role. Each has a counter in [`crate::logic::Count`] that moves when it is hit.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Records taken from the queue at once.
    pub batch_records: usize,
    /// Bytes of content in one prepared batch.
    pub batch_bytes: usize,
    /// Records taken and not committed.
    pub jobs_open: usize,
    /// The same while records are held back that a gateway whose link broke has yet to hear of: those that are done behind them count only here. Beyond
    /// it they are given up.
    pub held_back: usize,
    /// Commands waiting for one gateway's credit; more than that, and the queue is not read.
    pub backlog_commands: usize,
    /// Bytes waiting for one gateway's credit.
    pub backlog_bytes: usize,
    /// A gateway that gives no credit for this long while commands wait is cut off.
    pub stall_ms: u64,
    /// Logins taken a second, a second's worth of them at once; the others are told when to come back, at this rate. 0: as many as come.
    pub logins_per_s: u32,
    /// Logins waiting to be bound; beyond it they are refused as overloaded.
    pub logins_waiting: usize,
    /// Logins bound at once.
    pub login_batch: usize,
    /// Sessions that replay at once; others queue.
    pub replays: usize,
    /// Messages in a page of a replay.
    pub page_messages: u32,
    /// Bytes in a page of a replay.
    pub page_bytes: u32,
    /// A kept message that is not acknowledged for this long is sent again.
    pub redeliver_ms: u64,
    /// So often, then it goes to the dead letters.
    pub redeliver_attempts: u8,
    /// All sessions are looked at once in this time.
    pub sweep_ms: u64,
    /// Cursors and statuses are written this often.
    pub flush_ms: u64,
    /// Rows of status deltas in memory.
    pub status_rows: usize,
    /// Sequence blocks of own channels in memory.
    pub sequence_blocks: usize,
    /// Numbers in such a block.
    pub sequence_block: u32,
    /// Recent messages whose audience is remembered for a recall.
    pub recallable: usize,
    /// How often the receivers of a live message are looked up again when a connection was not there.
    pub live_retries: u8,
    /// Clients' messages waiting for the queue or the store.
    pub upstream_waiting: usize,
    /// Bytes of clients' messages waiting.
    pub upstream_bytes: usize,
    /// Largest content of a client's message.
    pub content_bytes: usize,
    /// Whether a client's message to a user or topic is kept for who is away.
    pub upstream_kept: bool,
    /// Replacements of one device within a minute; beyond it the newcomer is refused as a kick loop.
    pub replaced_per_minute: u32,
    /// Devices watched for kick loops.
    pub replaced_devices: usize,
    /// A client in a kick loop is told to stay away for this long.
    pub kick_loop_delay_ms: u32,
    /// A gateway's routes outlive its link by this.
    pub lease_ms: u64,
    /// A lease is renewed this often.
    pub renew_ms: u64,
    /// At start the queue is not read before all known gateways are linked, but no longer than this.
    pub start_wait_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_records: 512,
            batch_bytes: 8 << 20,
            jobs_open: 8_192,
            held_back: 65_536,
            backlog_commands: 16_384,
            backlog_bytes: 64 << 20,
            stall_ms: 30_000,
            logins_per_s: 0,
            logins_waiting: 200_000,
            login_batch: 512,
            replays: 256,
            page_messages: 128,
            page_bytes: 256 << 10,
            redeliver_ms: 30_000,
            redeliver_attempts: 5,
            sweep_ms: 5_000,
            flush_ms: 200,
            status_rows: 65_536,
            sequence_blocks: 131_072,
            sequence_block: 16,
            recallable: 16_384,
            live_retries: 2,
            upstream_waiting: 8_192,
            upstream_bytes: 64 << 20,
            content_bytes: 1 << 20,
            upstream_kept: true,
            replaced_per_minute: 6,
            replaced_devices: 65_536,
            kick_loop_delay_ms: 60_000,
            lease_ms: 15_000,
            renew_ms: 5_000,
            start_wait_ms: 2_000,
        }
    }
}
