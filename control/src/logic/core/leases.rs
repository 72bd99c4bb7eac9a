//! Leases of gateways and what they have members of.

use super::*;
use crate::error::Result;
use gpusher_proto::data::{GatewayLease, GatewayMembership, Route};
use gpusher_proto::gateway::{Apps, Load, Membership, MembershipAck, SyncStart};

/// Connections whose routes are looked for, and sessions looked at to find them.
const CANARIES: usize = 4;
const CANARY_SLOTS: usize = 256;

impl Core {
    pub(super) fn attach_lease(&mut self, key: LinkKey) {
        let lease = self.lease(key);
        let link = self.link(key);
        link.leasing = true;
        let (gateway, epoch) = (link.gateway, link.epoch);
        // After a lost lease, everything that hung on it is told again.
        let memberships = link
            .members
            .iter()
            .map(|((app_id, topic), &members)| GatewayMembership {
                gateway,
                epoch,
                app_id: *app_id,
                topic: topic.to_string(),
                members,
            })
            .collect();
        // After a lost lease they are bound by the logins that follow their announcement.
        let by_login = link.lost_lease;
        let bound = |session: &&Session| {
            let is_there = ConnId::from_raw(session.conn).gateway() == gateway;
            is_there && !session.closed && !by_login
        };
        let route = |session: &Session| route_of(session, gateway, epoch);
        let routes = self.sessions.iter().filter(bound).map(route).collect();
        self.leases.push_back(LeaseAsk::Attach { link: key, lease, routes, memberships });
    }

    fn lease(&mut self, key: LinkKey) -> GatewayLease {
        let lease_ms = self.limits.lease_ms as i64;
        let link = self.link(key);
        GatewayLease {
            gateway: link.gateway,
            epoch: link.epoch,
            client_addr: link.client_addr.clone(),
            lease_ms,
            load: Some(link.load),
        }
    }

    pub(super) fn on_lease_attached(&mut self, key: LinkKey, result: Result<Vec<Route>>) {
        // They have lost their routes, whatever has become of the link meanwhile.
        result.iter().flatten().for_each(|route| self.kick_replaced(route));
        let renew_at_ms = self.now.mono_ms + self.limits.renew_ms;
        let Some(link) = self.links.get_mut(&key) else { return };
        link.leasing = false;
        link.renew_at_ms = renew_at_ms;
        if result.is_err() {
            self.count(Count::LinksClosed, 1);
            self.on_link_down(key, false);
            return self.closing.push(key);
        }
        link.leased = true;
        if std::mem::take(&mut link.lost_lease) {
            self.announce_again(key);
        }
        let Some(link) = self.links.get_mut(&key) else { return };
        self.logins.extend(std::mem::take(&mut link.early));
    }

    /// The table of apps is another.
    pub fn on_apps(&mut self, apps: Vec<App>) {
        self.apps = apps;
        for key in self.link_keys() {
            self.send_apps(key);
        }
    }

    pub(super) fn send_apps(&mut self, key: LinkKey) {
        let apps = self.apps.clone();
        self.link(key).push(command::Kind::Apps(Apps { apps }), None);
    }

    /// Renews at once, so that whoever chooses a gateway by its load sees this one. Gateways report at most five times a second.
    pub(super) fn on_load(&mut self, key: LinkKey, load: Load) {
        let renew_at_ms = self.now.mono_ms;
        let link = self.link(key);
        link.load = load;
        link.renew_at_ms = renew_at_ms;
    }

    pub(super) fn renew_leases(&mut self) {
        let now_ms = self.now.mono_ms;
        let due = |link: &Link| link.leased && !link.leasing && now_ms >= link.renew_at_ms;
        let keys: Vec<LinkKey> =
            self.links.iter().filter(|(_, link)| due(link)).map(|(&key, _)| key).collect();
        for key in keys {
            let lease = self.lease(key);
            let canaries = self.canaries(key);
            self.link(key).leasing = true;
            self.leases.push_back(LeaseAsk::Renew { link: key, lease, canaries });
        }
    }

    /// A few connections of a gateway whose routes are bound, now and then. Alone, the lease says it all.
    fn canaries(&mut self, key: LinkKey) -> Vec<Route> {
        let is_alone = self.is_alone();
        let (now_ms, renew_ms) = (self.now.mono_ms, self.limits.renew_ms);
        let begin = self.sweep_slot;
        let link = self.link(key);
        if is_alone || now_ms < link.canaries_at_ms {
            return Vec::new();
        }
        link.canaries_at_ms = now_ms + renew_ms;
        let (gateway, epoch) = (link.gateway, link.epoch);
        link.asked_again = std::mem::take(&mut link.suspects);
        let suspects = link.asked_again.clone();
        let should_be_bound = |session: &Session| {
            let is_there = ConnId::from_raw(session.conn).gateway() == gateway;
            is_there && session.phase == Phase::Live && !session.leaving
        };
        let suspected = suspects.iter().filter_map(|&conn| self.sessions.get(conn));
        let mut canaries: Vec<Route> = suspected
            .filter(|session| should_be_bound(session))
            .map(|session| route_of(session, gateway, epoch))
            .collect();
        let slots = self.sessions.slots().max(1);
        for slot in (begin..begin + CANARY_SLOTS.min(slots)).map(|slot| slot % slots) {
            if canaries.len() >= CANARIES {
                break;
            }
            let session = self.sessions.in_slot(slot).filter(|session| should_be_bound(session));
            canaries.extend(session.map(|session| route_of(session, gateway, epoch)));
        }
        canaries
    }

    pub(super) fn on_lease_renewed(&mut self, key: LinkKey, held: bool, missing: Vec<u64>) {
        let renew_at_ms = self.now.mono_ms + self.limits.renew_ms;
        let Some(link) = self.links.get_mut(&key) else { return };
        link.leasing = false;
        link.renew_at_ms = renew_at_ms;
        // One that had none a while ago was not just replaced.
        let lost = missing.iter().any(|conn| link.asked_again.contains(conn));
        link.asked_again.clear();
        if !missing.is_empty() && !lost {
            link.suspects = missing;
        }
        if !held || lost {
            self.on_lease_lost(key);
        }
    }

    /// The routes of a gateway's sessions are lost, and what was pushed meanwhile did not find them: it is only in the logs.
    fn on_lease_lost(&mut self, key: LinkKey) {
        self.count(Count::LeasesLost, 1);
        let is_alone = self.is_alone();
        let link = self.link(key);
        link.leased = false;
        // Others would send to a session as soon as it is bound, so it has to hold first: that is certain when the gateway announces it again.
        link.lost_lease = !is_alone;
        if is_alone {
            self.log_in_again(key);
        }
        self.attach_lease(key);
    }

    /// Each session holds, is bound again and replayed to, as if the gateway had announced it again.
    fn log_in_again(&mut self, key: LinkKey) {
        let link = self.link(key);
        let (gateway, taken) = (link.gateway, link.taken.clone());
        let of_gateway = |it: &&Session| ConnId::from_raw(it.conn).gateway() == gateway;
        let conns: Vec<u64> = self.sessions.iter().filter(of_gateway).map(|it| it.conn).collect();
        for conn in conns {
            let Some(session) = self.sessions.get_mut(conn) else { continue };
            match session.phase {
                Phase::Opening => session.rebind = true,
                Phase::Gone => {}
                _ => self.log_in_one_again(key, conn, &taken),
            }
        }
    }

    fn log_in_one_again(&mut self, key: LinkKey, conn: u64, taken: &FxHashMap<(usize, u32), u64>) {
        self.take_shared_as_read(conn, taken);
        let Some(session) = self.sessions.get_mut(conn) else { return };
        let opened = Opened { again: true, ..session.opened() };
        let acked = session.acked;
        let replay = session.replay.take().unwrap_or_default();
        let mut joins = session.take_joins();
        joins.extend(replay.walks.into_iter().filter(|walk| walk.join.is_some()));
        self.command(conn, command::Kind::SyncStart(SyncStart { conn, announcement: 0 }));
        self.on_opened(key, opened);
        if let Some(session) = self.sessions.get_mut(conn) {
            let rare = session.rare_mut();
            rare.known = Some(acked);
            rare.joins = joins;
            (rare.early_requests, rare.early_gap) = (replay.requests, replay.gap);
        }
    }

    pub(super) fn on_membership(&mut self, key: LinkKey, membership: Membership) {
        let Membership { revision, app_id, topic, members } = membership;
        let link = self.link(key);
        let name = (app_id, Arc::from(topic.as_str()));
        match members {
            0 => link.members.remove(&name),
            _ => link.members.insert(name, members),
        };
        let (gateway, epoch) = (link.gateway, link.epoch);
        let membership = GatewayMembership { gateway, epoch, app_id, topic, members };
        self.announcements.push(Announcement { link: key, membership, revision });
    }

    /// Memberships of gateways whose lease is registered; the others wait for that.
    pub(super) fn take_announcements(&mut self) -> Option<Work> {
        let links = &self.links;
        let ready = |announcement: &mut Announcement| {
            links.get(&announcement.link).is_none_or(|link| link.leased)
        };
        let mut due: Vec<Announcement> = self.announcements.extract_if(.., ready).collect();
        due.retain(|announcement| links.contains_key(&announcement.link));
        (!due.is_empty()).then_some(Work::Announce(due))
    }

    pub(super) fn on_announced(&mut self, announced: Vec<Announcement>) {
        for Announcement { link, revision, .. } in announced {
            if let Some(link) = self.links.get_mut(&link) {
                link.push(command::Kind::MembershipAck(MembershipAck { revision }), None);
            }
        }
    }
}

/// Where a session is.
fn route_of(session: &Session, gateway: u32, gateway_epoch: u64) -> Route {
    Route {
        conn: session.conn,
        app_id: session.device.app_id,
        user: session.device.user().to_owned(),
        device: session.device.device().to_owned(),
        gateway,
        gateway_epoch,
        version: session.version.into(),
        since_ms: session.since_ms,
    }
}
