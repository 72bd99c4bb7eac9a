//! What the link thread and the shards tell each other. One mailbox per shard one way, one shared queue the other way.

use bytes::Bytes;
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::gateway::{Answer, Kick, Position, SyncDone};
use std::sync::Arc;

pub use crate::links::{LinkId, LinkSet};

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
    /// Verdict on a login. This and the ends of a replay count only from the logic that has the session.
    Admit(LinkId, gpusher_proto::gateway::Admit),
    /// Hold: a replay follows.
    SyncStart(LinkId, gpusher_proto::gateway::SyncStart),
    /// The replay is complete.
    SyncDone(LinkId, SyncDone),
    /// Close with a reason.
    Kick(Kick),
    /// Drop a message wherever it waits, tell those who may have it.
    Recall(RecallJob),
    /// Answer to an Upstream, Join or Leave.
    Answer(Answer),
    /// The app table.
    Apps(Arc<Apps>),
    /// Who is attached from now on; replaces the last set. The shard announces every session whose link is another than before, as
    /// `FromShard::Opened` (`again`, or not if its verdict is still out), and as `Moved` to the one that had it, then reports `FromShard::Announced`. While the set is empty, events
    /// of connections are not reported, and logins are admitted by the shard itself after a while.
    Links(Arc<LinkSet>),
    /// Every session is announced again, whoever's it is; then the shard reports `FromShard::Announced` of this revision.
    AnnounceAgain(u64),
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

/// From a shard. `Opened`, `Ack`, `Upstream`, `Join`, `Leave`, `SyncRequest`, `Drained`, `Farewell` and `Closed` of one connection keep their order.
#[derive(Debug)]
pub enum FromShard {
    /// A login that passed the gateway's checks, or (`again`) an announced session.
    Opened {
        /// Addressee: what `LinkSet::pick` gave for the session.
        link: LinkId,
        /// The login, ready to be sent on.
        opened: gpusher_proto::gateway::Opened,
    },
    /// This shard has announced everything that the set of this revision asked for.
    Announced {
        /// Which shard.
        shard: u32,
        /// `LinkSet::revision`.
        revision: u64,
    },
    /// An event of a connection.
    Event {
        /// Addressee: what `LinkSet::pick` gave for the session.
        link: LinkId,
        /// App of the session.
        app_id: u32,
        /// The event.
        event: gpusher_proto::gateway::event::Kind,
    },
    /// A job is finished on this shard.
    Done(JobDone),
    /// Members of an app (name empty) or topic on this shard: sent when it becomes non-zero or zero. A connection is a member of a topic from its
    /// JOIN frame on, before the `Join` event; an `Answer` that refuses takes it back.
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

/// A shard's way to the link. What a turn has produced goes as one batch; order is kept.
#[derive(Clone, Debug)]
pub struct ToLink {
    batches: tokio::sync::mpsc::Sender<Vec<FromShard>>,
}

impl ToLink {
    /// The queue that all shards share, bounded in batches, and the link's end of it.
    pub fn queue(batches: usize) -> (Self, tokio::sync::mpsc::Receiver<Vec<FromShard>>) {
        let (sender, receiver) = tokio::sync::mpsc::channel(batches);
        (Self { batches: sender }, receiver)
    }

    /// Hands the batch over and leaves it empty, without waiting. False when the queue is full: the shard keeps the batch, adds to it, tries again
    /// next turn, and reads less from its clients meanwhile. A batch for a link that has ended is dropped.
    pub fn try_send(&self, batch: &mut Vec<FromShard>) -> bool {
        use tokio::sync::mpsc::error::TrySendError;
        if batch.is_empty() {
            return true;
        }
        match self.batches.try_send(std::mem::take(batch)) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => true,
            Err(TrySendError::Full(unsent)) => {
                *batch = unsent;
                false
            }
        }
    }
}
