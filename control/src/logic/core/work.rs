//! What the core asks of the store, the routes and the queue, and what they answered. The shell performs it; a simulation may
//! perform it in any order that the lanes allow.

use super::plan::{Prepared, Receivers, Target};
use super::sequence::Blocks;
use super::{Device, LinkKey, Now, Positions};
use crate::error::Result;
use gpusher_proto::data::*;
use gpusher_proto::gateway::Opened;
use std::sync::Arc;

/// Work of one kind. Each lane has a few works under way at most; what comes meanwhile makes the next batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Records: append, locate, reserve.
    Prepare,
    /// Logins: bind, then read cursors and heads.
    Login,
    /// Routes of connections that ended.
    Unbind,
    /// Pages of logs.
    Read,
    /// Cursor moves.
    Cursor,
    /// Status deltas.
    Status,
    /// Memberships.
    Announce,
    /// Clients' messages to users and topics.
    Publish,
    /// Clients' messages to applications.
    File,
    /// Messages given up.
    Dead,
    /// Receivers of live messages that were not where they should be.
    Retry,
    /// Heads of topics for joins.
    Join,
    /// Leases of gateways.
    Lease,
}

impl Lane {
    /// All lanes.
    pub const ALL: [Self; 13] = [
        Self::Prepare,
        Self::Login,
        Self::Unbind,
        Self::Read,
        Self::Cursor,
        Self::Status,
        Self::Announce,
        Self::Publish,
        Self::File,
        Self::Dead,
        Self::Retry,
        Self::Join,
        Self::Lease,
    ];

    /// Works under way at once. Where order matters it is one.
    pub fn width(self) -> usize {
        match self {
            Self::Read => 4,
            _ => 1,
        }
    }
}

/// A login to be bound.
#[derive(Debug)]
pub struct LoginAsk {
    /// As reported.
    pub opened: Opened,
    /// What is bound.
    pub route: Route,
    /// Which report of the login this is.
    pub login: u32,
    /// Cursor moves that the store may not know yet when it is asked.
    pub pending: Positions,
}

/// A login with all that is known about it.
#[derive(Debug)]
pub struct LoginAnswer {
    /// As reported.
    pub opened: Opened,
    /// Which report of the login this is.
    pub login: u32,
    /// Connections of the same device that it replaced.
    pub replaced: Vec<Route>,
    /// Cursors of the device.
    pub cursors: Positions,
    /// Heads of own, app and everyone.
    pub heads: [Head; 3],
}

/// A login of which too little is known to admit it.
#[derive(Debug)]
pub struct LoginFailure {
    /// As asked.
    pub ask: LoginAsk,
    /// Connections that lost their routes to it all the same, if it was bound.
    pub replaced: Vec<Route>,
}

/// A page for some sessions that stand at the same place of the same log.
#[derive(Debug)]
pub struct ReadAsk {
    /// Which page.
    pub request: ReadRequest,
    /// For whom.
    pub readers: Vec<Reader>,
}

/// A replay that waits for a page.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    /// Of which connection.
    pub conn: u64,
    /// [`Replay::read`](super::replay::Replay::read) at the time.
    pub read: u64,
}

/// A move of a cursor that connections without a device share. Another instance may have one of them, of which this one has not heard for want of a link:
/// then the cursor stands still.
#[derive(Debug)]
pub struct SharedMove {
    /// The move.
    pub update: CursorUpdate,
    /// Connections that have received as much.
    pub known: Vec<u64>,
}

/// A membership to be announced, and the acknowledgement that it is then due.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// Whose.
    pub link: LinkKey,
    /// What.
    pub membership: GatewayMembership,
    /// Of the gateway's announcement.
    pub revision: u64,
}

/// A client's message under way to the queue or the store.
#[derive(Debug, Clone)]
pub struct UpstreamAsk<T> {
    /// Who sent it.
    pub conn: u64,
    /// Its number for the request; none: no answer wanted.
    pub request: Option<u64>,
    /// Its id.
    pub id: u64,
    /// Bytes it takes.
    pub bytes: usize,
    /// What to write.
    pub what: T,
}

/// Messages of one session to be given up.
#[derive(Debug)]
pub struct DeadAsk {
    /// The session.
    pub conn: u64,
    /// Its device.
    pub device: Device,
    /// After these positions...
    pub after: Positions,
    /// ...up to these.
    pub through: Positions,
}

/// What was given up.
#[derive(Debug)]
pub struct DeadAnswer {
    /// The session.
    pub conn: u64,
    /// Its device, whose cursor moves even if the session has ended.
    pub device: Device,
    /// Filed up to here.
    pub through: Positions,
    /// The messages.
    pub messages: Vec<u64>,
}

/// Users of a live message to be looked up again.
#[derive(Debug)]
pub struct RetryAsk {
    /// The queue's record, which waits for this.
    pub offset: u64,
    /// All its users.
    pub receivers: Arc<Receivers>,
    /// Connections that were not there.
    pub missing: Vec<Target>,
}

/// Where the missing users of a live message are.
#[derive(Debug)]
pub struct RetryAnswer {
    /// What was asked.
    pub ask: RetryAsk,
    /// Index of a user among the receivers, and its routes.
    pub located: Vec<(usize, Vec<Route>)>,
}

/// A join to be answered.
#[derive(Debug)]
pub struct JoinAsk {
    /// Who joins.
    pub conn: u64,
    /// Number of the request.
    pub request: u64,
    /// The topic's log.
    pub channel: Channel,
    /// Replay after this.
    pub since: Option<u64>,
}

/// A change of a gateway's lease.
#[derive(Debug)]
pub enum LeaseAsk {
    /// Register the process, then bind and announce what is known of it.
    Attach {
        /// Whose.
        link: LinkKey,
        /// The lease.
        lease: GatewayLease,
        /// Routes to bind again after a lease was lost.
        routes: Vec<Route>,
        /// Memberships to announce again.
        memberships: Vec<GatewayMembership>,
    },
    /// Extend it.
    Renew {
        /// Whose.
        link: LinkKey,
        /// The lease, with the load.
        lease: GatewayLease,
        /// Some connections that should have routes there: if one has none for long, routes were lost, and another instance has registered the lease again.
        canaries: Vec<Route>,
    },
    /// End it.
    Detach {
        /// Which gateway.
        gateway: u32,
        /// Of which epoch.
        epoch: u64,
    },
}

/// Something to perform.
#[derive(Debug)]
pub enum Work {
    /// Ask about records, in order. Carries the block cache there and back.
    Prepare {
        /// The records.
        records: Vec<Record>,
        /// Numbers at hand.
        blocks: Blocks,
        /// Size of a block.
        block: u32,
        /// The time.
        now: Now,
        /// No earlier process can have had them: what is recalled of them, the core knows.
        known_recalls: bool,
    },
    /// Bind routes, then read cursors and heads.
    Login(Vec<LoginAsk>),
    /// Unbind.
    Unbind(Vec<ConnKey>),
    /// Read pages.
    Read(Vec<ReadAsk>),
    /// Write cursors, and shared ones whose connections are all known.
    Cursor {
        /// Of devices that one connection has at a time, or that only this instance can have a connection of.
        updates: Vec<CursorUpdate>,
        /// The others.
        shared: Vec<SharedMove>,
    },
    /// Write statuses.
    Status(Vec<Status>),
    /// Announce memberships.
    Announce(Vec<Announcement>),
    /// Publish to the queue.
    Publish(Vec<UpstreamAsk<Record>>),
    /// File for the application.
    File(Vec<UpstreamAsk<UpstreamMessage>>),
    /// Move to the dead letters.
    Dead {
        /// Whose and which.
        asks: Vec<DeadAsk>,
        /// Messages in a page.
        page_messages: u32,
        /// Bytes in a page.
        page_bytes: u32,
        /// The time.
        now: Now,
    },
    /// Unbind who is missing, locate again.
    Retry(Vec<RetryAsk>),
    /// Read heads of topics.
    Join(Vec<JoinAsk>),
    /// Change a lease.
    Lease(LeaseAsk),
}

/// What came of it. What can fail for good says so; all else was repeated until it worked.
#[derive(Debug)]
pub enum Done {
    /// Offsets and what is known about their records, in order.
    Prepare {
        /// Per record.
        prepared: Vec<(u64, Prepared)>,
        /// The numbers left.
        blocks: Blocks,
    },
    /// Per login; on failure the logins, and what they replaced.
    Login(std::result::Result<Vec<LoginAnswer>, Vec<LoginFailure>>),
    /// Routes are removed, or it failed: they go with their lease.
    Unbind,
    /// Per page.
    Read(Vec<(ReadAsk, Result<ReadPage>)>),
    /// Whether the cursors are written.
    Cursor(bool),
    /// On failure, the deltas.
    Status(std::result::Result<(), Vec<Status>>),
    /// They are announced.
    Announce(Vec<Announcement>),
    /// Whether they are in the queue.
    Publish(Vec<UpstreamAsk<Record>>, Result<()>),
    /// Whether they are in the store.
    File(Vec<UpstreamAsk<UpstreamMessage>>, Result<()>),
    /// Per session; an error leaves it for the next sweep.
    Dead(Vec<(u64, Result<DeadAnswer>)>),
    /// Where missing users are.
    Retry(Vec<RetryAnswer>),
    /// Heads, or none.
    Join(Vec<JoinAsk>, Result<Vec<Head>>),
    /// The lease was registered, and what lost its route to those that were bound again; an error is a conflict: the process is outdated.
    Attached(LinkKey, Result<Vec<Route>>),
    /// The lease was extended, or had run out; connections asked about that have no route.
    Renewed(LinkKey, bool, Vec<u64>),
    /// The lease is gone.
    Detached,
}

impl Done {
    /// The lane it was done in.
    pub fn lane(&self) -> Lane {
        match self {
            Self::Prepare { .. } => Lane::Prepare,
            Self::Login(_) => Lane::Login,
            Self::Unbind => Lane::Unbind,
            Self::Read(_) => Lane::Read,
            Self::Cursor(_) => Lane::Cursor,
            Self::Status(_) => Lane::Status,
            Self::Announce(_) => Lane::Announce,
            Self::Publish(..) => Lane::Publish,
            Self::File(..) => Lane::File,
            Self::Dead(_) => Lane::Dead,
            Self::Retry(_) => Lane::Retry,
            Self::Join(..) => Lane::Join,
            Self::Attached(..) | Self::Renewed(..) | Self::Detached => Lane::Lease,
        }
    }
}
