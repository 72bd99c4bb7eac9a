//! Links and connections that come and go, and acknowledgements.

use super::link::Part;
use super::*;
use gpusher_proto::gateway::{Ack, ChannelKind, Closed, Farewell, Moved, Position};

impl Core {
    /// A gateway said hello. A link of the same gateway's older process, or an older link of the same process, ends.
    pub fn on_link_up(&mut self, key: LinkKey, hello: &Hello) {
        if let Some(&other) = self.gateways.get(&hello.gateway) {
            if self.links[&other].epoch > hello.epoch {
                self.count(Count::LinksClosed, 1);
                return self.closing.push(key);
            }
            self.on_link_down(other, false);
            self.closing.push(other);
        }
        self.links.insert(key, Link::new(hello));
        self.gateways.insert(hello.gateway, key);
        // Its table may be from before the last change.
        self.send_apps(key);
        self.tell_missed_recalls(key);
        if self.has_sent || self.owed.contains_key(&hello.gateway) {
            self.announce_again(key);
        }
        self.attach_lease(key);
    }

    /// All sessions of a gateway are known.
    pub(super) fn on_gateway_announced(&mut self, key: LinkKey, again: u32) {
        self.settle_owed(key, again);
        let link = self.link(key);
        link.announced = true;
        link.complete = true;
        let gateway = link.gateway;
        self.unlinked.remove(&gateway);
    }

    /// Every gateway that there is has announced its sessions since this instance began.
    pub fn on_all_announced(&mut self) {
        self.unknown_until_ms = 0;
    }

    /// The gateway takes more commands.
    pub fn on_credit(&mut self, key: LinkKey, commands: u32) {
        if let Some(link) = self.links.get_mut(&key) {
            link.grant(commands);
        }
    }

    /// A link ended. `clean`: the gateway ended it on purpose, and its process is going.
    pub fn on_link_down(&mut self, key: LinkKey, clean: bool) {
        let Some(mut link) = self.links.remove(&key) else { return };
        self.gateways.remove(&link.gateway);
        let parts = std::mem::take(&mut link.parts);
        let unsent = link.drop_backlog();
        if !clean {
            // Without others, it announces everybody in any case.
            let alone = self.is_alone();
            let kept = parts.values().filter_map(Part::kept_offset).filter(|_| !alone);
            let first = kept.chain(unsent.iter().copied()).chain(link.owed).min();
            first.into_iter().for_each(|offset| self.owe(link.gateway, offset));
        }
        self.finish_parts(parts.into_values());
        unsent.into_iter().chain(link.owed).for_each(|offset| self.progress.finish_part(offset));
        let of_gateway =
            |session: &&Session| ConnId::from_raw(session.conn).gateway() == link.gateway;
        let conns: Vec<u64> =
            self.sessions.iter().filter(of_gateway).map(|session| session.conn).collect();
        self.links_lost.insert(link.gateway, (link.epoch, self.now.mono_ms));
        // What is known of its sessions is kept; their cursors are what is left of them. All of it before the first is forgotten: some share a cursor.
        conns.iter().for_each(|&conn| self.take_shared_as_read(conn, &link.taken));
        conns.iter().for_each(|&conn| drop(self.forget_session(conn)));
        if !clean {
            self.unlinked.insert(link.gateway, self.now.mono_ms + self.limits.lease_ms);
        }
        if clean && self.is_alone() && link.leased {
            let (gateway, epoch) = (link.gateway, link.epoch);
            self.leases.push_back(LeaseAsk::Detach { gateway, epoch });
        }
    }

    /// Version 0: what every socket of its gateway has taken of the shared channels, this one's has, too.
    pub(super) fn take_shared_as_read(&mut self, conn: u64, taken: &FxHashMap<(usize, u32), u64>) {
        let Some(session) = self.sessions.get(conn) else { return };
        if session.version != 0 || session.phase != Phase::Live || session.leaving {
            return;
        }
        let app_id = session.device.app_id;
        for channel in 1..3 {
            let tail = consume::tail_key(channel, app_id);
            if let Some(&taken) = tail.and_then(|key| taken.get(&key)) {
                self.take_as_read(conn, channel, taken);
            }
        }
    }

    /// The same from time to time, so that little comes again after a kill.
    pub(super) fn save_shared(&mut self, conn: u64) {
        let gateway = ConnId::from_raw(conn).gateway();
        let Some(link) = self.gateways.get(&gateway).and_then(|key| self.links.get_mut(key)) else {
            return;
        };
        let taken = std::mem::take(&mut link.taken);
        self.take_shared_as_read(conn, &taken);
        if let Some(link) = self.gateways.get(&gateway).and_then(|key| self.links.get_mut(key)) {
            link.taken = taken;
        }
    }

    /// Forgets a session that has ended. Those that it shared a cursor with do not wait for it any more.
    pub(super) fn remove_session(&mut self, conn: u64) {
        let Some(device) = self.forget_session(conn) else { return };
        if let (true, Some(received)) = (device.is_nameless(), self.received_by_all(&device)) {
            for (channel, seq) in received.into_iter().enumerate() {
                self.cursors.advance(&device, channel, seq);
            }
        }
    }

    /// Forgets a session that goes on elsewhere, or under another login.
    pub(super) fn forget_session(&mut self, conn: u64) -> Option<Device> {
        // Gives its place back, if it has one.
        self.set_phase(conn, Phase::Gone);
        let session = self.sessions.remove(conn)?;
        let gateway = ConnId::from_raw(conn).gateway();
        let link = self.gateways.get(&gateway).and_then(|key| self.links.get_mut(key));
        if let Some(count) = link.and_then(|link| link.sessions.get_mut(&session.device.app_id)) {
            *count = count.saturating_sub(1);
        }
        Some(session.device)
    }

    /// A session has received up to here: its device's cursor follows.
    pub(super) fn advance_cursor(&mut self, conn: u64, channel: usize, seq: u64) {
        let Some(session) = self.sessions.get(conn) else { return };
        let device = &session.device;
        let moved = match device.is_nameless() {
            true => self.received_by_all(device).map(|received| received[channel]),
            false => Some(seq),
        };
        if let Some(seq) = moved {
            self.cursors.advance(device, channel, seq);
        }
    }

    /// A cursor that several connections share follows the last of them. It stands still while some of them may be unknown here: those of a gateway
    /// that is to be linked again, or of any at the start.
    fn received_by_all(&self, device: &Device) -> Option<Positions> {
        let unlinked_until_ms = self.unlinked.values().copied().max().unwrap_or(0);
        let all_known = self.now.mono_ms >= unlinked_until_ms.max(self.unknown_until_ms);
        self.sessions.received(device).filter(|_| all_known && self.sees_all_sessions())
    }

    /// What members are given from here on, it is not.
    pub(super) fn on_farewell(&mut self, farewell: &Farewell) {
        if let Some(session) = self.sessions.get_mut(farewell.conn) {
            session.leaving = true;
        }
    }

    /// Another instance has the session. What is known of it here is its cursor.
    pub(super) fn on_moved(&mut self, key: LinkKey, moved: &Moved) {
        self.count(Count::SessionsMoved, 1);
        let link = self.link(key);
        let taken = std::mem::take(&mut link.taken);
        self.take_shared_as_read(moved.conn, &taken);
        self.link(key).taken = taken;
        self.forget_session(moved.conn);
    }

    pub(super) fn on_closed(&mut self, closed: Closed) {
        let conn = closed.conn;
        let Some(session) = self.sessions.get_mut(conn) else { return };
        if session.phase == Phase::Opening {
            // Its route may be on the way: removed when that is known.
            session.closed = true;
            return;
        }
        // In a replay, what came live is ahead of what is still in the log. So it is where some of it has passed the connection by.
        if session.version == 0 && session.phase == Phase::Live && !closed.passed_by {
            let through = taken_at_end(session, &closed);
            for (channel, seq) in through.into_iter().enumerate() {
                self.take_as_read(conn, channel, seq);
            }
        }
        self.unbind_session(conn);
        self.remove_session(conn);
    }

    pub(super) fn on_ack(&mut self, ack: Ack) {
        self.count(Count::Acks, 1);
        let Some(channel) = usize::try_from(ack.channel).ok().filter(|&channel| channel < 3) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(ack.conn) else { return };
        let before = session.acked[channel];
        let (moved, received) = session.acknowledge(channel, ack.seq);
        if !moved {
            return;
        }
        let app_id = session.device.app_id;
        self.advance_cursor(ack.conn, channel, ack.seq);
        for message in received {
            self.statuses.add(message, |row| row.acked += 1);
        }
        if let Some(tail) = consume::tail_key(channel, app_id).and_then(|key| self.tails.get(&key))
        {
            let from = tail.recent.partition_point(|&(seq, _)| seq <= before);
            let covered = tail.recent.range(from..).take_while(|&&(seq, _)| seq <= ack.seq);
            for &(_, message) in covered {
                self.statuses.add(message, |row| row.acked += 1);
            }
        }
    }

    /// Version 0: what its socket took counts as received.
    pub(super) fn take_as_read(&mut self, conn: u64, channel: usize, seq: u64) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        if session.acknowledge(channel, seq).0 {
            self.advance_cursor(conn, channel, seq);
        }
    }
}

/// How far the socket of a connection that ended has got.
fn taken_at_end(session: &Session, closed: &Closed) -> Positions {
    let find = |positions: &[Position], channel: usize| {
        positions.iter().find(|position| position.channel == channel as i32).map(|it| it.seq)
    };
    std::array::from_fn(|channel| {
        let handed = match channel {
            own if own == ChannelKind::Own as usize => session.reported_own(),
            _ => find(&closed.through, channel).unwrap_or(0),
        };
        match find(&closed.unwritten_from, channel) {
            Some(unwritten) => handed.min(unwritten.saturating_sub(1)),
            None => handed,
        }
    })
}
