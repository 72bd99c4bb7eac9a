//! What the link thread and the shards tell each other. One mailbox per shard one way, one shared queue the other way.

use bytes::Bytes;
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::gateway::{Answer, Kick, Position, SyncDone};
use std::sync::Arc;

/// Which of the attached logic instances: index into the link's table, not reused while the process runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LinkId(pub u32);

/// The apps that logic knows, by id; replaced as a whole.
#[derive(Debug, Default)]
pub struct Apps {
    /// (id, tag), sorted by id.
    pub apps: Vec<(u32, String)>,
}

/// To one shard. At most one message per shard for each command of logic.
#[derive(Debug)]
pub enum ToShard {
    /// A message for an audience.
    Deliver(Job),
    /// Verdict on a login.
    Admit(gpusher_proto::gateway::Admit),
    /// Hold: a replay follows.
    SyncStart(ConnId),
    /// The replay is complete.
    SyncDone(SyncDone),
    /// Close with a reason.
    Kick(Kick),
    /// Drop a message wherever it waits, tell those who may have it.
    Recall(RecallJob),
    /// Answer to an Upstream, Join or Leave.
    Answer(Answer),
    /// The app table.
    Apps(Arc<Apps>),
    /// Whether any logic is attached; while none is, the shard admits logins by itself after a while.
    Linked(bool),
    /// Announce all sessions whose user `pick` gives to this link, as `FromShard::Opened {again: true}`, then `Announced`.
    Announce(LinkId),
    /// Ask clients to go: this many per second (0: at once), then close after the grace time.
    Drain {
        /// Connections a second; 0: all at once.
        rate: u32,
        /// Wire code.
        reason: u16,
        /// Between GOAWAY and close.
        grace_ms: u32,
        /// host:port or empty.
        target: String,
    },
    /// Close everything and end the thread.
    Stop,
}

/// A delivery on one shard. The shard reports it finished exactly once, by `FromShard::Done`.
#[derive(Debug)]
pub struct Job {
    /// Whose job it is.
    pub link: LinkId,
    /// The number logic gave it.
    pub job: u64,
    /// Who gets it.
    pub audience: Audience,
    /// What they get: the message and its encodings, shared by all shards.
    pub push: Arc<gpusher_proto::wire::EncodedPush>,
    /// Goes past the hold.
    pub replay: bool,
}

/// Receivers on one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// These connections (all of this shard).
    Connections(Vec<ConnId>),
    /// Members of the app.
    App(u32),
    /// All members.
    Everyone,
    /// Who joined the topic.
    Topic {
        /// Of which app.
        app_id: u32,
        /// Its name.
        name: Arc<str>,
    },
}

/// A recall on one shard.
#[derive(Debug)]
pub struct RecallJob {
    /// Which message.
    pub message_id: u64,
    /// Channel kind and sequence, for the tombstone.
    pub position: Position,
    /// Who had it.
    pub audience: Audience,
    /// The tombstone frame of version 1, encoded once.
    pub tombstone: Bytes,
}

/// From a shard. `Opened`, `Ack`, `Upstream`, `Join`, `Leave`, `SyncRequest`, `Drained` and `Closed` of one connection keep their order.
#[derive(Debug)]
pub enum FromShard {
    /// A login that passed the gateway's checks, or (`again`) an announced session. `link` names the addressee of an announcement; otherwise the link
    /// picks by user.
    Opened {
        /// The login, ready to be sent on.
        opened: gpusher_proto::gateway::Opened,
        /// Addressee, for announcements.
        link: Option<LinkId>,
    },
    /// This shard has announced everything to that link.
    Announced(u32, LinkId),
    /// An event of a connection, to go to the logic that has its user.
    Event {
        /// Which connection.
        conn: ConnId,
        /// Hash of (app, user) as `session_hash` makes it: picks the logic.
        user_hash: u64,
        /// The event.
        event: gpusher_proto::gateway::event::Kind,
    },
    /// A job is finished on this shard.
    Done(JobDone),
    /// Members of an app (name empty) or topic on this shard: sent when it becomes non-zero or zero.
    Members {
        /// Which shard.
        shard: u32,
        /// Of which app.
        app_id: u32,
        /// Topic name, or empty.
        topic: Arc<str>,
        /// How many there are.
        members: u32,
    },
    /// The thread has ended; with the error if it was not asked to.
    Stopped(u32, Option<String>),
}

/// What became of a job on one shard. Sums over shards make the `Outcome`.
#[derive(Debug, Default)]
pub struct JobDone {
    /// Whose.
    pub link: Option<LinkId>,
    /// Number.
    pub job: u64,
    /// Taken whole by sockets.
    pub written: u32,
    /// Put in outboxes.
    pub queued: u32,
    /// Not delivered: expired.
    pub expired: u32,
    /// Not delivered: outbox full (kept ones spill).
    pub overflowed: u32,
    /// Not delivered: recalled.
    pub recalled: u32,
    /// Of `Connections`: not there.
    pub absent: Vec<ConnId>,
    /// Of `Connections`: in an outbox rather than written.
    pub waiting: Vec<ConnId>,
}
