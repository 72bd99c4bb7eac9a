//! Another set of logics is attached: sessions whose logic is another than before are told to it.

use super::table::{Flags, Phase};
use super::{Clock, Shard};
use crate::links::LinkSet;
use crate::mail::{FromShard, LinkId};
use gpusher_proto::gateway::{Moved, Opened, event::Kind};
use gpusher_proto::wire::Encoding;
use gpusher_sys::driver::Driver;
use std::sync::Arc;

/// A walk over the table.
#[derive(Debug)]
pub(super) struct Announcing {
    /// Who may have been told of sessions that the walk has not come to.
    before: Vec<Arc<LinkSet>>,
    /// Those whose logic is the same are told again, too.
    all: bool,
    cursor: u32,
}

/// Sets that a walk remembers while it is started over; an older one's logics forget the sessions when they hear of them otherwise.
const BEFORE_MAX: usize = 8;

impl<D: Driver, C: Clock> Shard<D, C> {
    /// All sessions hold at once, so that nothing from a new logic passes what it has yet to replay; those whose logic is the same are
    /// let go when the walk comes to them.
    pub(super) fn on_links(&mut self, links: Arc<LinkSet>) {
        let before = std::mem::replace(&mut self.links, links);
        // What a walk under way has not told is told to whoever has it now, and the rest again: being told twice does no harm.
        let all = self.announcing.is_some();
        self.begin_walk(before, all);
    }

    /// Something may have passed all sessions by.
    pub(super) fn announce_all(&mut self, revision: u64) {
        let before = self.links.clone();
        self.links = Arc::new(before.at(revision));
        self.begin_walk(before, true);
    }

    fn begin_walk(&mut self, last: Arc<LinkSet>, all: bool) {
        let mut before = self.announcing.take().map(|walk| walk.before).unwrap_or_default();
        before.truncate(BEFORE_MAX - 1);
        before.insert(0, last);
        if self.links.is_empty() {
            return self.end_announcement();
        }
        for slot in 0..self.table.len() {
            // Who logs in from here on is told to whoever has it now, and is not marked.
            let phase = self.table.phase[slot as usize];
            if matches!(phase, Phase::Pending | Phase::Member | Phase::Leaving) {
                self.hold(slot, Flags::HOLD_LINK);
            }
        }
        self.announcing = Some(Announcing { before, all, cursor: 0 });
    }

    /// A slice of the walk, unless the link is behind.
    pub(super) fn announce_some(&mut self) {
        let Some(mut walk) = self.announcing.take() else { return };
        if self.reports.len() > self.config.slice.reports_max {
            self.announcing = Some(walk);
            return;
        }
        let slice = u32::try_from(self.config.slice.announced_max).unwrap_or(u32::MAX);
        let end = self.table.len().min(walk.cursor.saturating_add(slice));
        for slot in walk.cursor..end {
            if self.table.flags[slot as usize].any(Flags::HOLD_LINK) {
                self.announce(slot, &walk);
            }
        }
        walk.cursor = end;
        if end == self.table.len() {
            self.end_announcement();
        } else {
            self.announcing = Some(walk);
        }
    }

    fn end_announcement(&mut self) {
        self.announcing = None;
        let (shard, revision) = (self.config.shard, self.links.revision);
        self.reports.push(FromShard::Announced { shard, revision });
    }

    fn announce(&mut self, slot: u32, walk: &Announcing) {
        let opened = match self.table.phase[slot as usize] {
            Phase::Leaving => {
                self.announce_end(slot, walk);
                None
            }
            Phase::Pending => self.logins.0.get(&slot).map(|login| Opened::clone(&login.opened)),
            Phase::Member => Some(self.opened_again(slot)),
            _ => None,
        };
        let hash = self.session_hash(slot);
        let same =
            !walk.all && walk.before.iter().all(|set| set.pick(hash) == self.links.pick(hash));
        if let (Some(opened), false) = (opened, same) {
            // It holds until the new logic has replayed, from where it knows the client to be: nothing kept that waits is needed for that, and what was
            // recalled meanwhile must not go out.
            self.hold(slot, Flags::HOLD_SYNC);
            self.backlogs.update(slot, |backlog| {
                backlog.outbox.forget_kept();
                backlog.gap_told = 0;
            });
            self.outgoing.to_check.push(slot);
            let conn = opened.conn;
            for link in self.owners_before(slot, walk) {
                self.tell(slot, link, Kind::Moved(Moved { conn }));
            }
            let announcement = self.expect_word(slot, walk);
            self.report_opened(slot, Opened { announcement, ..opened });
            self.abandon_joins(slot);
        }
        self.end_hold(slot, Flags::HOLD_LINK);
    }

    /// A logic that may have had the session before may have something about it on the way: it does not count. The number by which the first
    /// word that does is known; 0 if any word does.
    fn expect_word(&mut self, slot: u32, walk: &Announcing) -> u32 {
        let owner = self.links.pick(self.session_hash(slot));
        let knew = owner.is_some_and(|owner| walk.before.iter().any(|set| set.contains(owner)));
        if !knew {
            self.expected_words.remove(&slot);
            return 0;
        }
        self.announcements = self.announcements.checked_add(1).unwrap_or(1);
        self.expected_words.insert(slot, self.announcements);
        self.announcements
    }

    /// A logic's word about a session. False if it does not count, because it is from before the last announcement.
    pub(super) fn counts_word(&mut self, slot: u32, announcement: u32) -> bool {
        match self.expected_words.get(&slot) {
            Some(&expected) if expected == announcement => {
                self.expected_words.remove(&slot);
                true
            }
            Some(_) => false,
            None => true,
        }
    }

    /// A connection on its way out: its new logic need not know of it, and the old one hears of the end at once.
    fn announce_end(&mut self, slot: u32, walk: &Announcing) {
        let index = slot as usize;
        let owners = self.owners_before(slot, walk);
        if owners.is_empty() || !self.table.flags[index].any(Flags::OPENED) {
            return;
        }
        // A walk that was started over may have told the present one already: then it hears of the end in its time.
        let hash = self.session_hash(slot);
        let present = self.links.pick(hash);
        let told = walk.before.iter().any(|set| set.pick(hash) == present);
        self.table.flags[index].set(Flags::OPENED, told);
        let closed = self.closed_so_far(slot);
        owners.into_iter().for_each(|link| self.tell(slot, link, Kind::Closed(closed.clone())));
    }

    /// The same while a walk is under way that has not come to the connection: nobody has told them yet.
    pub(super) fn owners_not_told(&self, slot: u32) -> Vec<LinkId> {
        match &self.announcing {
            Some(walk) if slot >= walk.cursor => self.owners_before(slot, walk),
            _ => Vec::new(),
        }
    }

    /// Other logics than the present one that may take the session for theirs, and are still attached.
    fn owners_before(&self, slot: u32, walk: &Announcing) -> Vec<LinkId> {
        let hash = self.session_hash(slot);
        let present = self.links.pick(hash);
        let mut owners: Vec<_> = walk.before.iter().filter_map(|set| set.pick(hash)).collect();
        owners.retain(|&owner| Some(owner) != present && self.links.contains(owner));
        owners.sort_unstable();
        owners.dedup();
        owners
    }

    fn opened_again(&self, slot: u32) -> Opened {
        let identity = &self.table.identity[slot as usize];
        let version = match self.table.hot[slot as usize].encoding() {
            Encoding::V0 => 0,
            Encoding::V1 | Encoding::V1Zlib => 1,
        };
        Opened {
            conn: self.table.id(slot).raw(),
            app_id: self.table.app[slot as usize],
            user: identity.user().to_owned(),
            device: identity.device().to_owned(),
            version,
            key: String::new(),
            epoch: 0,
            resume: Vec::new(),
            at_ms: self.now.unix_ms_of(self.table.since[slot as usize]),
            again: true,
            announcement: 0,
        }
    }
}
