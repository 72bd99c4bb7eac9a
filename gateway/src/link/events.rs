//! What shards send.

use super::barrier::Addressed;
use super::hub::Hub;
use super::joins::LOGIN;
use crate::mail::{FromShard, LinkId};
use crate::metrics::LinkCount;
use gpusher_proto::gateway::{Opened, event};

impl Hub {
    /// One message of a shard.
    pub(super) fn on_shard(&mut self, message: FromShard) {
        match message {
            FromShard::Opened { link, opened } => self.on_opened(link, opened),
            FromShard::Event { link, app_id, event } => self.on_event(link, app_id, event),
            FromShard::Done(done) => {
                if let Some((link, outcome)) = self.collector.done(done) {
                    self.finish_job(link, outcome);
                }
            }
            FromShard::Members { shard, app_id, topic, members } => {
                let change = self.memberships.set(shard, (app_id, topic), members);
                self.inform_all(change);
            }
            FromShard::Announced { shard, revision } => self.announced(shard, revision),
            FromShard::Stopped(shard, error) => self.stopped(shard, error),
        }
    }

    /// Every logic knows that the app (and the topic that a version 0 login names) has members here before one of them learns of the login.
    fn on_opened(&mut self, link: LinkId, opened: Opened) {
        if self.logic(link).is_none() {
            return self.counts.add(LinkCount::EventsOrphaned, 1);
        }
        let app = (opened.app_id, self.no_topic.clone());
        let change = self.memberships.expect_always(&app);
        self.inform_all(change);
        let mut revision = self.memberships.revision_of(&app);
        if opened.version == 0 && !opened.again && !self.is_tag(opened.app_id, &opened.key) {
            let topic = (opened.app_id, opened.key.as_str().into());
            let change = self.memberships.expect(&topic);
            self.inform_all(change);
            revision = revision.max(self.memberships.revision_of(&topic));
            self.joins.ask(link, opened.conn, LOGIN, topic);
        }
        self.send_known(opened.conn, revision, (link, event::Kind::Opened(opened)));
    }

    fn is_tag(&self, app_id: u32, key: &str) -> bool {
        let found = self.apps.apps.binary_search_by_key(&app_id, |app| app.0);
        found.is_ok_and(|index| self.apps.apps[index].1 == key)
    }

    fn on_event(&mut self, link: LinkId, app_id: u32, event: event::Kind) {
        if let event::Kind::Closed(closed) = &event {
            for key in self.joins.forget_conn(closed.conn) {
                self.settle(&key);
            }
        }
        if self.logic(link).is_none() {
            return self.counts.add(LinkCount::EventsOrphaned, 1);
        }
        if let event::Kind::Join(join) = &event {
            let topic = (app_id, join.topic.as_str().into());
            let change = self.memberships.expect(&topic);
            self.inform_all(change);
            let (conn, revision) = (join.conn, self.memberships.revision_of(&topic));
            self.joins.ask(link, conn, join.request, topic);
            return self.send_known(conn, revision, (link, event));
        }
        let waits = self.barrier.len() > 0;
        match conn_of(&event).filter(|_| waits) {
            Some(conn) => {
                if let Some((link, event)) = self.barrier.follow(conn, (link, event)) {
                    self.send(link, event);
                }
            }
            None => self.send(link, event),
        }
    }

    /// Sends an event when every logic knows of a membership.
    fn send_known(&mut self, conn: u64, revision: u64, (link, event): Addressed) {
        if self.attached() > 1 && revision > self.acknowledged_by_all() {
            return self.barrier.hold(conn, revision, (link, event));
        }
        if let Some((link, event)) = self.barrier.follow(conn, (link, event)) {
            self.send(link, event);
        }
    }

    pub(super) fn send(&mut self, link: LinkId, event: event::Kind) {
        if let Some(logic) = self.logic(link) {
            logic.outgoing.push(event);
        }
    }
}

/// The connection whose events keep their order.
fn conn_of(event: &event::Kind) -> Option<u64> {
    match event {
        event::Kind::Closed(event) => Some(event.conn),
        event::Kind::Ack(event) => Some(event.conn),
        event::Kind::Upstream(event) => Some(event.conn),
        event::Kind::Leave(event) => Some(event.conn),
        event::Kind::SyncRequest(event) => Some(event.conn),
        event::Kind::Drained(event) => Some(event.conn),
        event::Kind::Farewell(event) => Some(event.conn),
        event::Kind::Moved(event) => Some(event.conn),
        event::Kind::Handed(event) => Some(event.conn),
        event::Kind::Opened(_)
        | event::Kind::Join(_)
        | event::Kind::Outcome(_)
        | event::Kind::Membership(_)
        | event::Kind::Announced(_)
        | event::Kind::Logics(_)
        | event::Kind::Load(_) => None,
    }
}
