//! Mail from the link, in order.

use super::{Clock, Shard};
use crate::mail::{Audience, Job, LinkId, RecallJob, ToShard};
use crate::metrics::ShardCount;
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::gateway::{Answer, Kick};
use gpusher_proto::wire::Advice;
use gpusher_proto::wire::v1::Close;
use gpusher_sys::driver::Driver;

impl<D: Driver, C: Clock> Shard<D, C> {
    /// Takes a bounded number of messages. One that names many connections is resumed in the next turn, and nothing passes it.
    pub(super) fn read_mail(&mut self) {
        let mut unicasts = self.config.slice.unicasts_max;
        for _ in 0..self.config.slice.mail_max {
            self.deliver_to_connections(&mut unicasts);
            if unicasts == 0 {
                return;
            }
            let Some(mail) = self.mailbox.pop() else { return };
            self.obey(mail);
        }
        self.deliver_to_connections(&mut unicasts);
    }

    fn obey(&mut self, mail: ToShard) {
        match mail {
            ToShard::Deliver(job) => self.on_deliver(job),
            ToShard::Admit(link, admit) => self.on_admit(link, admit),
            ToShard::SyncStart(link, start) => self.on_sync_start(link, &start),
            ToShard::SyncDone(link, done) => self.on_sync_done(link, &done),
            ToShard::Kick(kick) => self.on_kick(&kick),
            ToShard::Recall(recall) => self.on_recall(&recall),
            ToShard::Answer(Answer { conn, request, code, value }) => {
                let code = u16::try_from(code).unwrap_or(u16::MAX);
                if let Some(slot) = self.find(ConnId::from_raw(conn)) {
                    self.on_answer(slot, request, code, value);
                }
            }
            ToShard::Apps(apps) => self.apps = Some(apps),
            ToShard::Links(links) => self.on_links(links),
            ToShard::AnnounceAgain(revision) => self.announce_all(revision),
            ToShard::Drain { rate, reason, grace_ms, target } => {
                self.on_drain(rate, reason, grace_ms, target);
            }
            ToShard::Stop => self.on_stop(),
        }
    }

    /// The slot of a connection that logic names, unless it is gone.
    pub(super) fn find(&mut self, conn: ConnId) -> Option<u32> {
        let slot = self.table.find(conn);
        if slot.is_none() {
            self.counts.add(ShardCount::Absent, 1);
        }
        slot
    }

    /// The same, if the session is that logic's: another one's word about it is from before it moved.
    pub(super) fn find_of(&mut self, link: LinkId, conn: ConnId) -> Option<u32> {
        self.find(conn).filter(|&slot| self.is_owner(link, slot))
    }

    /// Whether a logic has the session.
    pub(super) fn is_owner(&self, link: LinkId, slot: u32) -> bool {
        self.links.is_owner(link, || self.session_hash(slot))
    }

    fn on_deliver(&mut self, Job { link, job, audience, push, replay }: Job) {
        let message = push.message();
        if message.kept && !replay {
            self.members.note_sent(&audience, message.seq);
        }
        let group = self.members.group(&audience);
        let key = self.jobs.add((link, job), push, group, replay);
        match (audience, group) {
            (Audience::Connections(ids), _) => self.begin_unicast(key, ids),
            (_, Some(group)) => self.begin_fan_out(key, group),
            // Nobody is a member here.
            (_, None) => self.jobs.finish(key),
        }
    }

    fn on_kick(&mut self, kick: &Kick) {
        let Some(slot) = self.find(ConnId::from_raw(kick.conn)) else { return };
        self.leave(
            slot,
            Close {
                reason: u16::try_from(kick.reason).unwrap_or(u16::MAX),
                advice: Advice::from_number(u8::try_from(kick.advice).unwrap_or(u8::MAX)),
                delay_ms: kick.delay_ms,
                target: "",
                text: &kick.text,
            },
        );
    }

    /// Stops the message wherever it waits, then tells version 1 members of its audience, who may have it.
    fn on_recall(&mut self, recall: &RecallJob) {
        self.recall_staged(recall.message_id);
        self.recall_from_backlogs(recall.message_id);
        self.recall_unicast(recall.message_id);
        self.recall_fan_out(recall.message_id);
        match &recall.audience {
            Audience::Connections(ids) => {
                for &id in ids {
                    if let Some(slot) = self.find(id) {
                        self.stage_tombstone(slot, recall.tombstone.clone());
                    }
                }
            }
            audience => {
                if let Some(group) = self.members.group(audience) {
                    self.begin_tombstone(recall.tombstone.clone(), group);
                }
            }
        }
    }
}
