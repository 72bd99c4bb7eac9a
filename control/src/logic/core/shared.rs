//! What several instances on the same gateways owe each other.
//!
//! A session belongs to one of them, the same for all of its user's; a channel is numbered and sent by one at a time, since its records are in one part of the
//! queue. So what a session gets comes from others, too: the gateway tells its owner (`Handed`). What an instance could not send to a
//! gateway is missed by sessions that are not its own: once it is linked again, it has everybody announced again, to whoever's they are.

use super::*;
use gpusher_proto::gateway::{AnnounceAgain, ChannelKind, Handed, Logics};

/// In the place of gateways that an earlier process was linked to, and this one not yet.
const UNKNOWN: u32 = u32::MAX;

impl Core {
    /// Whether no other instance shares the gateways.
    pub(super) fn is_alone(&self) -> bool {
        self.alone && self.links.values().all(|link| link.logics.is_empty())
    }

    /// Other instances have come or gone, and sessions move.
    pub(super) fn on_logics(&mut self, key: LinkKey, logics: Logics) {
        let link = self.link(key);
        link.announced = false;
        link.logics = if logics.names.len() > 1 { logics.names } else { Vec::new() };
    }

    /// Whether every gateway has the same instances and has announced who is whose. Else a user's sessions may be shared out, and no instance knows all.
    pub(super) fn sees_all_sessions(&self) -> bool {
        let mut links = self.links.values();
        let Some(first) = links.next() else { return true };
        first.announced && links.all(|link| link.announced && link.logics == first.logics)
    }

    /// Another instance has sent a kept message.
    pub(super) fn on_handed(&mut self, handed: &Handed) {
        let Handed { conn, channel, app_id, seq, message_id, taken } = *handed;
        if channel != ChannelKind::Own as i32 {
            let channel = usize::try_from(channel).unwrap_or(usize::MAX);
            return self.extend_tail(channel, app_id, seq, message_id);
        }
        let Some(session) = self.sessions.get_mut(conn) else { return };
        session.hand_own(seq, message_id);
        session.report_own(seq);
        if session.version == 0 && session.phase == Phase::Live && taken {
            self.take_as_read(conn, ChannelKind::Own as usize, seq);
        }
    }

    /// A gateway is linked. What went out before, it did not get from here; without others, everybody is announced in any case.
    pub(super) fn announce_again(&mut self, key: LinkKey) {
        let gateway = self.link(key).gateway;
        let owed = self.owed.remove(&gateway);
        let link = self.link(key);
        let both = link.owed.zip(owed);
        link.owed = both.map(|(one, two)| one.min(two)).or(link.owed).or(owed);
        link.announcements_asked += 1;
        link.push(command::Kind::AnnounceAgain(AnnounceAgain {}), None);
        both.into_iter().for_each(|(one, two)| self.progress.finish_part(one.max(two)));
    }

    /// A gateway has announced everybody as often as it was asked to: what it missed before is replayed.
    pub(super) fn settle_owed(&mut self, key: LinkKey, again: u32) {
        let link = self.link(key);
        let owed = if again >= link.announcements_asked { link.owed.take() } else { None };
        owed.into_iter().for_each(|offset| self.progress.finish_part(offset));
    }

    /// Whether records are held back for gateways that may have missed them.
    pub(super) fn holds_back(&self) -> bool {
        !self.owed.is_empty() || self.links.values().any(|link| link.owed.is_some())
    }

    /// A kept push or a recall has not reached a gateway for certain: keeps a part of its record, if that is the first.
    pub(super) fn owe(&mut self, gateway: u32, offset: u64) {
        let first = *self.owed.get(&gateway).unwrap_or(&u64::MAX);
        if offset >= first {
            return;
        }
        self.progress.add_part(offset);
        self.owed.insert(gateway, offset);
        if first != u64::MAX {
            self.progress.finish_part(first);
        }
    }

    /// A shared kept push misses gateways that were lost a moment ago.
    pub(super) fn owe_unlinked(&mut self, offset: u64) {
        if !self.unlinked.is_empty() && !self.is_alone() {
            self.owe_lost(offset);
        }
    }

    /// Gateways that are not linked have to be told when they are, by whichever process runs then.
    pub(super) fn owe_recall(&mut self, offset: u64) {
        self.owe_lost(offset);
        if self.now.mono_ms < self.unknown_until_ms {
            self.owe(UNKNOWN, offset);
        }
    }

    fn owe_lost(&mut self, offset: u64) {
        let is_lost = |gateway: &u32| !self.gateways.contains_key(gateway);
        let lost: Vec<u32> = self.unlinked.keys().copied().filter(is_lost).collect();
        lost.into_iter().for_each(|gateway| self.owe(gateway, offset));
    }

    /// Gateways that do not come back do not hold the queue up: nor do many records.
    pub(super) fn give_up_owed(&mut self) {
        let crowded = self.progress.len() >= self.limits.held_back;
        let now_ms = self.now.mono_ms;
        if now_ms >= self.unknown_until_ms
            && let Some(offset) = self.owed.remove(&UNKNOWN)
        {
            self.progress.finish_part(offset);
        }
        let unlinked = &self.unlinked;
        let over = |gateway: &u32| {
            *gateway != UNKNOWN && unlinked.get(gateway).is_none_or(|&until_ms| now_ms >= until_ms)
        };
        let over: Vec<u32> = self.owed.keys().copied().filter(|it| crowded || over(it)).collect();
        let mut given_up: Vec<u64> = over.iter().filter_map(|it| self.owed.remove(it)).collect();
        if crowded {
            given_up.extend(self.links.values_mut().filter_map(|link| link.owed.take()));
        }
        for offset in given_up {
            self.count(Count::OwedGivenUp, 1);
            self.progress.finish_part(offset);
        }
    }
}
