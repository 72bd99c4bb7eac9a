//! Another set of logics is attached: sessions whose logic is another than before are told to it.

use super::table::{Flags, Phase};
use super::{Clock, Shard};
use crate::links::LinkSet;
use crate::mail::FromShard;
use gpusher_proto::gateway::Opened;
use gpusher_proto::wire::Encoding;
use gpusher_sys::driver::Driver;
use std::sync::Arc;

/// A walk over the table.
#[derive(Debug)]
pub(super) struct Announcing {
    /// Who had the sessions before.
    before: Arc<LinkSet>,
    cursor: u32,
}

impl<D: Driver, C: Clock> Shard<D, C> {
    /// All sessions hold at once, so that nothing from a new logic passes what it has yet to replay; those whose logic is the same are
    /// let go when the walk comes to them.
    pub(super) fn on_links(&mut self, links: Arc<LinkSet>) {
        let before = std::mem::replace(&mut self.links, links);
        // What a walk under way has not told is told to whoever has it now, and the rest again: being told twice does no harm.
        let before = if self.announcing.is_some() { Arc::default() } else { before };
        if self.links.is_empty() {
            return self.end_announcement();
        }
        for slot in 0..self.table.len() {
            if matches!(self.table.phase[slot as usize], Phase::Pending | Phase::Member) {
                self.hold(slot, Flags::HOLD_LINK);
            }
        }
        self.announcing = Some(Announcing { before, cursor: 0 });
    }

    /// A slice of the walk, unless the link is behind.
    pub(super) fn announce_some(&mut self) {
        let Some(Announcing { before, cursor }) = self.announcing.take() else { return };
        if self.reports.len() > self.config.slice.reports_max {
            self.announcing = Some(Announcing { before, cursor });
            return;
        }
        let slice = u32::try_from(self.config.slice.announced_max).unwrap_or(u32::MAX);
        let end = self.table.len().min(cursor.saturating_add(slice));
        for slot in cursor..end {
            if self.table.flags[slot as usize].any(Flags::HOLD_LINK) {
                self.announce(slot, &before);
            }
        }
        if end == self.table.len() {
            self.end_announcement();
        } else {
            self.announcing = Some(Announcing { before, cursor: end });
        }
    }

    fn end_announcement(&mut self) {
        self.announcing = None;
        let (shard, revision) = (self.config.shard, self.links.revision);
        self.reports.push(FromShard::Announced { shard, revision });
    }

    fn announce(&mut self, slot: u32, before: &LinkSet) {
        let index = slot as usize;
        let hash = self.table.identity[index].session_hash(self.table.app[index]);
        let same = before.pick(hash) == self.links.pick(hash);
        let opened = match self.table.phase[index] {
            Phase::Pending => self.logins.0.get(&slot).map(|login| Opened::clone(&login.opened)),
            Phase::Member => Some(self.opened_again(slot)),
            _ => None,
        };
        if let (Some(opened), false) = (opened, same) {
            // It holds until the new logic has replayed, from where it knows the client to be: nothing kept that waits is needed for that, and what was
            // recalled meanwhile must not go out.
            self.hold(slot, Flags::HOLD_SYNC);
            self.backlogs.update(slot, |backlog| backlog.outbox.forget_kept());
            self.outgoing.to_check.push(slot);
            self.report_opened(slot, opened);
            self.abandon_joins(slot);
        }
        self.end_hold(slot, Flags::HOLD_LINK);
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
            at_ms: i64::try_from(self.now.unix_ms).unwrap_or(i64::MAX),
            again: true,
        }
    }
}
