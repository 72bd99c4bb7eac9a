//! What logic counts. The documentation of each is its help text at `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counts {
    ($($(#[doc = $help:literal])+ $variant:ident = $kind:literal $name:literal,)+) => {
        /// One number of the logic role.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Count { $($(#[doc = $help])+ $variant,)+ }

        impl Count {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Name at `/metrics`, without the prefix `gpusher_logic_`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Help text at `/metrics`.
            pub fn help(self) -> &'static str {
                match self { $(Self::$variant => concat!($($help),+).trim_ascii(),)+ }
            }

            /// Prometheus type: counter or gauge.
            pub fn kind(self) -> &'static str {
                match self { $(Self::$variant => $kind,)+ }
            }
        }
    };
}

counts! {
    /// Records taken from the queue.
    Records = "counter" "records",
    /// Records of the queue that are of no known kind or out of order; they are skipped.
    RecordsSkipped = "counter" "records_skipped",
    /// Pushes that the store refused for good; they went to the dead letters.
    PushesFailed = "counter" "pushes_failed",
    /// Pushes that expired in the queue.
    Expired = "counter" "expired",
    /// Pushes not delivered because they were recalled first.
    Withdrawn = "counter" "withdrawn",
    /// Deliveries sent to gateways, replays included.
    Deliveries = "counter" "deliveries",
    /// Connections that a gateway said are not there; their routes are removed.
    Absent = "counter" "absent",
    /// Users of live messages looked up again because a connection was not there.
    Retries = "counter" "retries",
    /// Deliveries given up because the gateway's link broke.
    Cut = "counter" "cut",
    /// Gateways that stayed away for too long for a record to wait for them; when they come back, all their sessions are replayed to.
    OwedGivenUp = "counter" "owed_given_up",
    /// Routes to gateways that are not linked.
    Unlinked = "counter" "unlinked",
    /// Logins reported by gateways.
    Logins = "counter" "logins",
    /// Logins refused: too many waiting.
    LoginsOverloaded = "counter" "logins_overloaded",
    /// Logins told when to come back: more at once than the set rate.
    LoginsDeferred = "counter" "logins_deferred",
    /// Logins refused: the store or the routes did not answer.
    LoginsUnavailable = "counter" "logins_unavailable",
    /// Logins refused: their device is in a kick loop.
    KickLoops = "counter" "kick_loops",
    /// Sessions that are another instance's from then on.
    SessionsMoved = "counter" "sessions_moved",
    /// Connections replaced by a newer one of the same device.
    Replaced = "counter" "replaced",
    /// Messages replayed from logs.
    Replayed = "counter" "replayed",
    /// Replays ended without reading a log.
    ReplaysSkipped = "counter" "replays_skipped",
    /// Sessions whose unacknowledged messages were sent again.
    Redelivered = "counter" "redelivered",
    /// Dead letters filed for want of an acknowledgement.
    Dead = "counter" "dead",
    /// Spills reported, by connection.
    Spills = "counter" "spills",
    /// Acknowledgements received.
    Acks = "counter" "acks",
    /// Clients' messages.
    Upstream = "counter" "upstream",
    /// Clients' messages refused: too many or too large, a wrong target, or the queue or the store did not take them.
    UpstreamRefused = "counter" "upstream_refused",
    /// Status changes lost because the table was full.
    StatusDropped = "counter" "status_dropped",
    /// Events of connections that a gateway does not have, or without meaning.
    EventsForeign = "counter" "events_foreign",
    /// Links cut because the gateway gave no credit for too long, or was outdated.
    LinksClosed = "counter" "links_closed",
    /// Leases that ran out or were forgotten; the sessions of their gateways are bound and replayed to again.
    LeasesLost = "counter" "leases_lost",
    /// Calls to the store, the routes or the queue that failed and were made again.
    CallsRepeated = "counter" "calls_repeated",
    /// Gateways linked.
    Links = "gauge" "links",
    /// Sessions.
    Sessions = "gauge" "sessions",
    /// Sessions that replay.
    Replaying = "gauge" "replaying",
    /// Sessions that wait for a place to replay.
    ReplaysQueued = "gauge" "replays_queued",
    /// Records taken and not committed.
    JobsOpen = "gauge" "jobs_open",
    /// Commands waiting for credit.
    Backlog = "gauge" "backlog",
}

/// All numbers of a logic instance.
#[derive(Debug)]
pub struct Counters {
    values: Vec<AtomicU64>,
}

impl Default for Counters {
    fn default() -> Self {
        Self { values: Count::ALL.iter().map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Counters {
    /// Adds to a counter.
    pub fn add(&self, count: Count, by: u64) {
        self.values[count as usize].fetch_add(by, Relaxed);
    }

    /// Sets a gauge.
    pub fn set(&self, count: Count, value: usize) {
        self.values[count as usize].store(value as u64, Relaxed);
    }

    /// The present value.
    pub fn get(&self, count: Count) -> u64 {
        self.values[count as usize].load(Relaxed)
    }
}
