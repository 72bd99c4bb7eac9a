//! The state of the link, and how logics come and go. What they send is handled in `commands`, what shards send in `events`; `run` moves
//! both.

use super::barrier::Barrier;
use super::collect::Collector;
use super::joins::Joins;
use super::load::LoadReport;
use super::logic::Logic;
use super::membership::{Key, Memberships};
use super::postbox::{Mailbox, Postboxes};
use super::recalled::Recalled;
use super::split::Layout;
use super::{LinkEnd, LinkPipe};
use crate::config::LinkConfig;
use crate::mail::{Apps, FromShard, LinkId, LinkSet, ToShard};
use crate::metrics::{Counts, LinkCount, ShardCounts};
use gpusher_proto::gateway::{Announced, Answer, Attach, Hello, Logics, Membership, event};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, watch};

/// Streams open at once.
const LOGICS_MAX: usize = 64;

/// What the rest of the gateway asks of the link.
#[derive(Debug)]
pub(crate) enum Request {
    /// A new stream.
    Attach(LinkPipe),
    /// Ask clients to go.
    Drain(gpusher_proto::gateway::Drain),
    /// End the shards, then the link.
    Stop,
}

/// What others may know of the link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkStatus {
    /// Names of the logics attached.
    pub attached: Vec<String>,
    /// Names that attached logics count among their peers, but that are not attached.
    pub missing: Vec<String>,
    /// Shards that have ended, with the error if they were not asked to.
    pub stopped: Vec<(u32, Option<String>)>,
}

impl LinkStatus {
    /// One sentence for each shard that has ended.
    pub(crate) fn ended_shards(&self) -> Vec<String> {
        let ended = self.stopped.iter().map(|(shard, error)| match error {
            Some(error) => format!("shard {shard} ended: {error}"),
            None => format!("shard {shard} ended"),
        });
        ended.collect()
    }
}

/// What the link connects.
pub struct LinkParts {
    /// How the gateway introduces itself to logic.
    pub hello: Hello,
    /// Limits, times and the secret.
    pub config: LinkConfig,
    /// One mailbox per shard, by number.
    pub mailboxes: Vec<Box<dyn Mailbox>>,
    /// The queue that all shards share.
    pub from_shards: mpsc::Receiver<Vec<FromShard>>,
    /// What the shards count: the load is made of it.
    pub shard_counts: Vec<Arc<ShardCounts>>,
    /// What the link counts itself.
    pub counts: Arc<Counts<LinkCount>>,
}

/// The link's state.
pub(crate) struct Hub {
    pub(super) hello: Hello,
    pub(super) config: LinkConfig,
    pub(super) layout: Layout,
    pub(super) logics: Vec<Logic>,
    pub(super) postboxes: Postboxes,
    pub(super) collector: Collector,
    pub(super) memberships: Memberships,
    pub(super) joins: Joins,
    pub(super) barrier: Barrier,
    pub(super) recalled: Recalled,
    pub(super) load: LoadReport,
    pub(super) apps: Arc<Apps>,
    pub(super) counts: Arc<Counts<LinkCount>>,
    pub(super) no_topic: Arc<str>,
    /// Of the present round.
    pub(super) now: Instant,
    status: watch::Sender<LinkStatus>,
    links_made: u32,
    /// Several logics were attached at the last change, and know it.
    shared: bool,
    revision: u64,
    shard_revisions: Vec<u64>,
}

impl Hub {
    /// The hub, and what it reads from.
    pub(crate) fn new(
        parts: LinkParts,
        status: watch::Sender<LinkStatus>,
        now: Instant,
    ) -> (Self, mpsc::Receiver<Vec<FromShard>>) {
        let shards = parts.mailboxes.len();
        let hub = Self {
            layout: Layout { gateway: parts.hello.gateway, shards: shards as u32 },
            logics: Vec::new(),
            postboxes: Postboxes::new(parts.mailboxes),
            collector: Collector::default(),
            memberships: Memberships::default(),
            joins: Joins::new(parts.config.join_wait),
            barrier: Barrier::default(),
            recalled: Recalled::new(parts.config.recalled_max),
            load: LoadReport::new(parts.shard_counts, parts.hello.connections_max, now),
            apps: Arc::default(),
            counts: parts.counts,
            no_topic: "".into(),
            now,
            status,
            links_made: 0,
            shared: false,
            revision: 0,
            shard_revisions: vec![0; shards],
            hello: parts.hello,
            config: parts.config,
        };
        (hub, parts.from_shards)
    }

    /// A new stream; it is nobody until its Attach.
    pub(crate) fn open(&mut self, pipe: LinkPipe) {
        if self.logics.len() >= LOGICS_MAX {
            return pipe.end.set(LinkEnd::Violation("too many logics attached"));
        }
        let id = LinkId(self.links_made);
        self.links_made += 1;
        self.logics.push(Logic::new(id, pipe, self.config.commands_max, self.now));
    }

    /// A stream has said who it is: it replaces an older one of the same name, and gets what it needs to know.
    pub(super) fn attach(&mut self, id: LinkId, attach: Attach) {
        let replaced = |logic: &&Logic| logic.name.as_ref() == Some(&attach.logic);
        if let Some(older) = self.logics.iter().find(replaced).map(|logic| logic.id) {
            self.remove(older, LinkEnd::Replaced);
        }
        self.set_apps(attach.apps);
        let all = self.memberships.all();
        let hello = self.hello.clone();
        self.revision += 1;
        let (revision, now) = (self.revision, self.now);
        let Some(logic) = self.logic(id) else { return };
        tracing::info!(logic = attach.logic, peers = ?attach.peers, "logic attached");
        logic.name = Some(attach.logic);
        logic.peers = attach.peers;
        logic.announce_due = Some(revision);
        logic.outgoing.greet(hello);
        for membership in all {
            logic.inform(membership, now);
        }
        logic.knows_all();
        self.counts.add(LinkCount::Attaches, 1);
        self.publish_links();
    }

    /// Ends a stream. The jobs it started are finished for nobody; its sessions go to the others.
    pub(super) fn end(&mut self, id: LinkId, why: LinkEnd) {
        if self.remove(id, why) {
            self.revision += 1;
            self.publish_links();
        }
    }

    /// Returns whether it was attached.
    fn remove(&mut self, id: LinkId, why: LinkEnd) -> bool {
        let Some(index) = self.logics.iter().position(|logic| logic.id == id) else { return false };
        let logic = self.logics.remove(index);
        let attached = logic.name.is_some();
        match why {
            LinkEnd::Violation(_) => self.counts.add(LinkCount::Violations, 1),
            LinkEnd::Stalled => self.counts.add(LinkCount::Stalls, 1),
            LinkEnd::Closed | LinkEnd::Replaced | LinkEnd::Shutdown => {}
        }
        tracing::info!(logic = logic.name.as_deref().unwrap_or("unnamed"), %why, "link ended");
        logic.finish(why);
        for key in self.joins.forget_link(id) {
            self.settle(&key);
        }
        self.release_acknowledged();
        attached
    }

    /// Tells shards and the rest of the gateway who is attached.
    fn publish_links(&mut self) {
        let attached = || self.logics.iter().filter_map(|l| Some((l.id, l.name.as_deref()?)));
        let set = Arc::new(LinkSet::new(self.revision, attached()));
        let names: Vec<_> = attached().map(|(_, name)| name.to_owned()).collect();
        let peers = self.logics.iter().flat_map(|logic| &logic.peers);
        let mut missing: Vec<_> = peers.filter(|peer| !names.contains(peer)).cloned().collect();
        missing.sort_unstable();
        missing.dedup();
        self.counts.set(LinkCount::Attached, names.len() as u64);
        self.tell_logics(&names);
        self.status.send_modify(|status| {
            status.attached = names;
            status.missing = missing;
        });
        self.post_to_all(|| ToShard::Links(Arc::clone(&set)));
    }

    /// Logics hear of each other, and when the sessions that have moved because of that are announced.
    fn tell_logics(&mut self, names: &[String]) {
        let were_shared = std::mem::replace(&mut self.shared, names.len() > 1);
        if !self.shared && !were_shared {
            return;
        }
        let mut names = names.to_vec();
        names.sort_unstable();
        for logic in self.logics.iter_mut().filter(|logic| logic.name.is_some()) {
            logic.announce_due = Some(self.revision);
            logic.outgoing.push(event::Kind::Logics(Logics { names: names.clone() }));
        }
    }

    /// Something may have passed sessions by, whoever's they are: all are announced again, and the logic that asks hears when they have been.
    pub(super) fn announce_again(&mut self, id: LinkId) {
        let is_alone = self.attached() == 1;
        // Who has attached alone is told of everybody in any case, or has been.
        self.revision += u64::from(!is_alone);
        let revision = self.revision;
        let Some(logic) = self.logic(id) else { return };
        logic.asked_again += 1;
        let again = logic.asked_again;
        match (is_alone, logic.announce_due) {
            (true, Some(_)) => {}
            (true, None) => logic.outgoing.push(event::Kind::Announced(Announced { again })),
            (false, _) => {
                logic.announce_due = Some(revision);
                self.post_to_all(|| ToShard::AnnounceAgain(revision));
            }
        }
    }

    /// How many logics there are.
    pub(super) fn attached(&self) -> usize {
        self.logics.iter().filter(|logic| logic.name.is_some()).count()
    }

    /// Replaces the table of apps in all shards.
    pub(super) fn set_apps(&mut self, apps: Vec<gpusher_proto::gateway::App>) {
        let mut apps: Vec<_> = apps.into_iter().map(|app| (app.id, app.tag)).collect();
        apps.sort_unstable();
        let apps = Arc::new(Apps { apps });
        self.apps = Arc::clone(&apps);
        self.post_to_all(|| ToShard::Apps(Arc::clone(&apps)));
    }

    /// Mail of the link itself: no credit is due for it.
    pub(super) fn post_to_all(&mut self, mail: impl Fn() -> ToShard) {
        for shard in 0..self.layout.shards {
            self.postboxes.post(shard, mail(), None);
        }
    }

    /// The logic of that number, if it is still there.
    pub(super) fn logic(&mut self, id: LinkId) -> Option<&mut Logic> {
        self.logics.iter_mut().find(|logic| logic.id == id)
    }

    /// Tells every logic of a change.
    pub(super) fn inform_all(&mut self, change: Option<Membership>) {
        let Some(membership) = change else { return };
        for logic in self.logics.iter_mut().filter(|logic| logic.name.is_some()) {
            logic.inform(membership.clone(), self.now);
        }
    }

    /// A join is over, or its member is counted.
    pub(super) fn settle(&mut self, key: &Key) {
        let change = self.memberships.settle(key);
        self.inform_all(change);
    }

    /// Membership changes up to here every logic has acknowledged or was never told of.
    pub(super) fn acknowledged_by_all(&self) -> u64 {
        let attached = self.logics.iter().filter(|logic| logic.name.is_some());
        attached.map(Logic::knows_up_to).min().unwrap_or(u64::MAX)
    }

    /// Lets on what waited for memberships that every logic has now acknowledged.
    pub(super) fn release_acknowledged(&mut self) {
        if self.joins.held() == 0 && self.barrier.len() == 0 {
            return;
        }
        let acknowledged = self.acknowledged_by_all();
        for (link, event) in self.barrier.release(acknowledged) {
            self.send(link, event);
        }
        for held in self.joins.take_acknowledged(acknowledged) {
            self.send_answer(held.answer);
            self.joins.settle_later(held.key, self.now);
        }
    }

    /// Sends a join's answer; its credit was given back when it was held.
    pub(super) fn send_answer(&mut self, answer: Answer) {
        if let Some(shard) = self.layout.shard_of(answer.conn) {
            self.postboxes.post(shard, ToShard::Answer(answer), None);
        }
    }

    /// A shard has announced everything of a link set; logics that came with it or earlier may be done.
    pub(super) fn announced(&mut self, shard: u32, revision: u64) {
        self.shard_revisions[shard as usize] = revision;
        let reached = self.shard_revisions.iter().copied().min().unwrap_or(revision);
        for logic in &mut self.logics {
            if logic.announce_due.is_some_and(|due| due <= reached) {
                logic.announce_due = None;
                let again = logic.asked_again;
                logic.outgoing.push(event::Kind::Announced(Announced { again }));
            }
        }
    }

    /// A shard's thread has ended.
    pub(super) fn stopped(&mut self, shard: u32, error: Option<String>) {
        if let Some(error) = &error {
            tracing::error!(shard, error, "shard ended");
        }
        self.status.send_modify(|status| status.stopped.push((shard, error)));
    }

    /// Whether all shards have ended.
    pub(super) fn all_stopped(&self) -> bool {
        self.status.borrow().stopped.len() >= self.layout.shards as usize
    }
}
