//! Commands of logic into mail for shards: at most one mail per shard for each command. Pure; the order in which commands are
//! split is the order in which each connection sees them.

use crate::mail::{Audience, Job, LinkId, RecallJob, ToShard};
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::gateway::{
    ChannelKind, Delivery, Drain, Position, Recall, command, delivery, recall,
};
use gpusher_proto::wire::{self, EncodedPush, tombstone};
use std::sync::Arc;

/// Which connections are here: those of this gateway number with a shard below the count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// This gateway's number.
    pub gateway: u32,
    /// How many shards it has.
    pub shards: u32,
}

/// What a command comes to.
#[derive(Debug, Default)]
pub(crate) struct Split {
    /// Mail and the shard it goes to; shards are distinct.
    pub mails: Vec<(u32, ToShard)>,
    /// For deliveries: what must be joined into one Outcome.
    pub job: Option<JobParts>,
}

/// A delivery's share of the outcome that is known before any shard has seen it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct JobParts {
    /// Number given by logic.
    pub job: u64,
    /// Shards that will report.
    pub shards: u32,
    /// Connections that cannot be here.
    pub absent: Vec<u64>,
    /// Memory that the job keeps until all shards have reported.
    pub bytes: usize,
}

/// A command that says nothing or names a connection of somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsplittable {
    /// A oneof was left out.
    #[error("a field is missing")]
    Incomplete,
    /// The connection was never one of ours.
    #[error("no such connection")]
    NotHere,
}

impl Layout {
    /// The shard that holds the connection, if it is one of ours.
    pub(crate) fn shard_of(self, conn: u64) -> Option<u32> {
        let conn = ConnId::from_raw(conn);
        (conn.gateway() == self.gateway && conn.shard() < self.shards).then(|| conn.shard())
    }

    /// Splits a command for shards. `Apps`, `MembershipAck` and `AnnounceAgain` are the link's own: they come to nothing here.
    pub(crate) fn split(self, link: LinkId, kind: command::Kind) -> Result<Split, Unsplittable> {
        use command::Kind;
        match kind {
            Kind::Delivery(delivery) => self.split_delivery(link, delivery),
            Kind::Recall(recall) => self.split_recall(recall),
            Kind::Admit(admit) => self.one(admit.conn, ToShard::Admit(link, admit)),
            Kind::SyncStart(start) => self.one(start.conn, ToShard::SyncStart(link, start)),
            Kind::SyncDone(done) => self.one(done.conn, ToShard::SyncDone(link, done)),
            Kind::Kick(kick) => self.one(kick.conn, ToShard::Kick(kick)),
            Kind::Answer(answer) => self.one(answer.conn, ToShard::Answer(answer)),
            Kind::Drain(drain) => Ok(self.split_drain(&drain)),
            Kind::Apps(_) | Kind::MembershipAck(_) | Kind::AnnounceAgain(_) => Ok(Split::default()),
        }
    }

    fn one(self, conn: u64, mail: ToShard) -> Result<Split, Unsplittable> {
        let shard = self.shard_of(conn).ok_or(Unsplittable::NotHere)?;
        Ok(Split { mails: vec![(shard, mail)], job: None })
    }

    fn split_delivery(self, link: LinkId, delivery: Delivery) -> Result<Split, Unsplittable> {
        let message = delivery.message.ok_or(Unsplittable::Incomplete)?;
        let bytes = message.content.len() + size_of::<EncodedPush>();
        let (audiences, absent) = match delivery.audience.ok_or(Unsplittable::Incomplete)? {
            delivery::Audience::Connections(connections) => self.by_shard(connections.ids),
            delivery::Audience::AppId(app_id) => self.each(Audience::App(app_id)),
            delivery::Audience::Everyone(_) => self.each(Audience::Everyone),
            delivery::Audience::Topic(topic) => {
                self.each(Audience::Topic { app_id: topic.app_id, name: topic.name.into() })
            }
        };
        let push = Arc::new(EncodedPush::new(message));
        let (job, replay) = (delivery.job, delivery.replay);
        let shards = audiences.len() as u32;
        let mails = audiences.into_iter().map(|(shard, audience)| {
            let push = Arc::clone(&push);
            (shard, ToShard::Deliver(Job { link, job, audience, push, replay }))
        });
        let mails = mails.collect();
        Ok(Split { mails, job: Some(JobParts { job, shards, absent, bytes }) })
    }

    /// To all shards, whoever is to be told: another logic may have sent the message to others, and it leaves their outboxes, too.
    fn split_recall(self, recall: Recall) -> Result<Split, Unsplittable> {
        let (audiences, _) = match recall.audience {
            None => self.each(Audience::Connections(Vec::new())),
            Some(recall::Audience::Connections(connections)) => {
                let (mut audiences, absent) = self.by_shard(connections.ids);
                let told: Vec<u32> = audiences.iter().map(|&(shard, _)| shard).collect();
                let others = (0..self.shards).filter(|shard| !told.contains(shard));
                audiences.extend(others.map(|shard| (shard, Audience::Connections(Vec::new()))));
                (audiences, absent)
            }
            Some(recall::Audience::AppId(app_id)) => self.each(Audience::App(app_id)),
            Some(recall::Audience::Everyone(_)) => self.each(Audience::Everyone),
            Some(recall::Audience::Topic(topic)) => {
                self.each(Audience::Topic { app_id: topic.app_id, name: topic.name.into() })
            }
        };
        let kind = ChannelKind::try_from(recall.channel).map_err(|_| Unsplittable::Incomplete)?;
        let message_id = recall.message_id;
        let tombstone = tombstone(message_id, wire::Position { kind, seq: recall.seq });
        let position = Position { channel: recall.channel, seq: recall.seq };
        let mails = audiences.into_iter().map(|(shard, audience)| {
            let tombstone = tombstone.clone();
            (shard, ToShard::Recall(RecallJob { message_id, position, audience, tombstone }))
        });
        Ok(Split { mails: mails.collect(), job: None })
    }

    /// Each shard takes its share of the rate, rounded up.
    fn split_drain(self, drain: &Drain) -> Split {
        let mail = |shard| {
            let drain = ToShard::Drain {
                rate: drain.rate.div_ceil(self.shards),
                reason: drain.reason.try_into().unwrap_or(u16::MAX),
                grace_ms: drain.grace_ms,
                target: drain.target.clone(),
            };
            (shard, drain)
        };
        Split { mails: (0..self.shards).map(mail).collect(), job: None }
    }

    fn each(self, audience: Audience) -> (Vec<(u32, Audience)>, Vec<u64>) {
        ((0..self.shards).map(|shard| (shard, audience.clone())).collect(), Vec::new())
    }

    /// Sorts connections by shard, keeping their order; what cannot be here comes second.
    fn by_shard(self, ids: Vec<u64>) -> (Vec<(u32, Audience)>, Vec<u64>) {
        let mut lists: Vec<Vec<ConnId>> = vec![Vec::new(); self.shards as usize];
        let mut absent = Vec::new();
        for id in ids {
            match self.shard_of(id) {
                Some(shard) => lists[shard as usize].push(ConnId::from_raw(id)),
                None => absent.push(id),
            }
        }
        let lists = (0..).zip(lists).filter(|(_, list)| !list.is_empty());
        (lists.map(|(shard, list)| (shard, Audience::Connections(list))).collect(), absent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gpusher_proto::gateway::{Admit, Connections, Message, Topic};

    const HERE: Layout = Layout { gateway: 3, shards: 2 };
    const LINK: LinkId = LinkId(9);

    fn conn(shard: u32, slot: u32) -> u64 {
        ConnId::new(HERE.gateway, shard, slot, 1).raw()
    }

    fn to(audience: delivery::Audience) -> command::Kind {
        command::Kind::Delivery(Delivery {
            job: 5,
            message: Some(Message { id: 7, ..Message::default() }),
            audience: Some(audience),
            replay: true,
        })
    }

    fn to_connections(ids: Vec<u64>) -> command::Kind {
        to(delivery::Audience::Connections(Connections { ids }))
    }

    fn delivered(split: &Split) -> Vec<(u32, Audience)> {
        let jobs = split.mails.iter().map(|(shard, mail)| match mail {
            ToShard::Deliver(job) => {
                assert_eq!((job.link, job.job, job.replay), (LINK, 5, true));
                (*shard, job.audience.clone())
            }
            other => panic!("not a delivery: {other:?}"),
        });
        jobs.collect()
    }

    #[test]
    fn connections_are_sorted_by_shard_in_their_order() {
        let ids = vec![conn(1, 8), conn(0, 2), conn(1, 4)];
        let split = HERE.split(LINK, to_connections(ids)).unwrap();
        let list = |ids: &[u64]| {
            Audience::Connections(ids.iter().map(|&id| ConnId::from_raw(id)).collect())
        };
        let expected = [(0, list(&[conn(0, 2)])), (1, list(&[conn(1, 8), conn(1, 4)]))];
        assert_eq!(delivered(&split), expected);
        let parts = split.job.unwrap();
        assert_eq!((parts.job, parts.shards, parts.absent), (5, 2, vec![]));
    }

    #[test]
    fn connections_of_another_gateway_or_layout_are_absent() {
        let elsewhere = ConnId::new(4, 0, 1, 1).raw();
        let shard_gone = ConnId::new(3, 2, 1, 1).raw();
        let split = HERE.split(LINK, to_connections(vec![elsewhere, shard_gone])).unwrap();
        let parts = split.job.unwrap();
        assert_eq!((parts.shards, parts.absent), (0, vec![elsewhere, shard_gone]));
        assert!(split.mails.is_empty());
    }

    #[test]
    fn a_fan_out_is_one_mail_per_shard_sharing_one_message() {
        let topic = Topic { app_id: 1, name: "news".into() };
        let audience = Audience::Topic { app_id: 1, name: "news".into() };
        let split = HERE.split(LINK, to(delivery::Audience::Topic(topic))).unwrap();
        assert_eq!(delivered(&split), [(0, audience.clone()), (1, audience)]);
        let pushes = split.mails.iter().map(|(_, mail)| match mail {
            ToShard::Deliver(job) => Arc::as_ptr(&job.push),
            other => panic!("not a delivery: {other:?}"),
        });
        let pushes: Vec<_> = pushes.collect();
        assert_eq!(pushes[0], pushes[1]);
        assert_eq!(split.job.unwrap().shards, 2);
        let everyone = HERE.split(LINK, to(delivery::Audience::Everyone(true))).unwrap();
        assert_eq!(delivered(&everyone), [(0, Audience::Everyone), (1, Audience::Everyone)]);
    }

    #[test]
    fn a_command_for_one_connection_goes_to_its_shard() {
        let admit = Admit { conn: conn(1, 3), ..Admit::default() };
        let split = HERE.split(LINK, command::Kind::Admit(admit)).unwrap();
        assert!(matches!(&split.mails[..], [(1, ToShard::Admit(LINK, _))]));
        assert_eq!(split.job, None);
        let stranger = Admit { conn: ConnId::new(9, 0, 0, 0).raw(), ..Admit::default() };
        let refused = HERE.split(LINK, command::Kind::Admit(stranger)).unwrap_err();
        assert_eq!(refused, Unsplittable::NotHere);
    }

    #[test]
    fn what_is_left_out_is_refused() {
        for delivery in [
            Delivery {
                message: None,
                audience: Some(delivery::Audience::AppId(1)),
                ..Delivery::default()
            },
            Delivery { message: Some(Message::default()), audience: None, ..Delivery::default() },
        ] {
            let refused = HERE.split(LINK, command::Kind::Delivery(delivery)).unwrap_err();
            assert_eq!(refused, Unsplittable::Incomplete);
        }
    }

    #[test]
    fn a_recall_goes_where_the_message_went_with_one_tombstone() {
        let recall = Recall {
            message_id: 7,
            channel: ChannelKind::App as i32,
            seq: 5,
            audience: Some(recall::Audience::AppId(1000)),
        };
        let split = HERE.split(LINK, command::Kind::Recall(recall)).unwrap();
        for (index, (shard, mail)) in split.mails.iter().enumerate() {
            let ToShard::Recall(recall) = mail else { panic!("not a recall: {mail:?}") };
            assert_eq!((*shard as usize, recall.message_id, recall.position.seq), (index, 7, 5));
            assert_eq!(recall.audience, Audience::App(1000));
            assert_eq!(recall.tombstone.len(), 8 + 17);
        }
        assert_eq!(split.mails.len(), 2);
    }

    #[test]
    fn a_recall_from_connections_goes_to_all_shards() {
        let audience = recall::Audience::Connections(Connections { ids: vec![conn(1, 4)] });
        let recall = Recall { message_id: 7, audience: Some(audience), ..Recall::default() };
        let split = HERE.split(LINK, command::Kind::Recall(recall)).unwrap();
        let told = split.mails.iter().map(|(shard, mail)| match mail {
            ToShard::Recall(recall) => (*shard, recall.audience.clone()),
            other => panic!("not a recall: {other:?}"),
        });
        let one = Audience::Connections(vec![ConnId::from_raw(conn(1, 4))]);
        let none = Audience::Connections(Vec::new());
        assert_eq!(told.collect::<Vec<_>>(), [(1, one), (0, none)]);
    }

    #[test]
    fn a_drain_is_shared_out_and_never_becomes_all_at_once() {
        for (rate, each) in [(0, 0), (1, 1), (10, 5), (11, 6)] {
            let split = HERE.split(LINK, command::Kind::Drain(Drain { rate, ..Drain::default() }));
            for (_, mail) in split.unwrap().mails {
                assert!(matches!(mail, ToShard::Drain { rate, .. } if rate == each), "{mail:?}");
            }
        }
    }
}
