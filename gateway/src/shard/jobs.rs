//! Deliveries under way, and what has become of them: each ends in exactly one [`JobDone`].

use super::members::Group;
use crate::mail::{JobDone, LinkId};
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::gateway::Handed;
use gpusher_proto::wire::EncodedPush;
use rustc_hash::FxHashSet;
use slab::Slab;
use std::sync::Arc;

/// Names a job while it is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct JobKey(u32);

/// One delivery.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) link: LinkId,
    number: u64,
    pub(crate) push: Arc<EncodedPush>,
    /// Goes past the hold.
    pub(crate) replay: bool,
    /// The audience that is walked; none for named connections.
    pub(crate) group: Option<Group>,
    /// Increases with every job.
    serial: u64,
    /// May be below zero while a walk is under way: what it has reached is added at its end.
    pub(crate) written: i64,
    pub(crate) queued: u32,
    pub(crate) expired: u32,
    pub(crate) overflowed: u32,
    pub(crate) recalled: u32,
    pub(crate) absent: Vec<ConnId>,
    pub(crate) waiting: Vec<ConnId>,
    /// Connections that are to be reported to their own logic: they were given a kept message by another.
    pub(crate) foreign: Vec<(ConnId, LinkId)>,
}

/// All jobs of a shard.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    jobs: Slab<Job>,
    serial: u64,
    /// Complete but for the sends of the present turn, of which the driver has not told yet.
    finished: Vec<JobKey>,
}

impl Jobs {
    pub(crate) fn add(
        &mut self,
        (link, number): (LinkId, u64),
        push: Arc<EncodedPush>,
        group: Option<Group>,
        replay: bool,
    ) -> JobKey {
        self.serial += 1;
        let key = self.jobs.insert(Job {
            link,
            number,
            push,
            replay,
            group,
            serial: self.serial,
            written: 0,
            queued: 0,
            expired: 0,
            overflowed: 0,
            recalled: 0,
            absent: Vec::new(),
            waiting: Vec::new(),
            foreign: Vec::new(),
        });
        JobKey(u32::try_from(key).expect("jobs are bounded by the link's credit"))
    }

    pub(crate) fn get(&self, key: JobKey) -> &Job {
        &self.jobs[key.0 as usize]
    }

    pub(crate) fn get_mut(&mut self, key: JobKey) -> &mut Job {
        &mut self.jobs[key.0 as usize]
    }

    /// Nothing more will be sent for the job. It is reported once the driver has told what became of the present turn's sends.
    pub(crate) fn finish(&mut self, key: JobKey) {
        self.finished.push(key);
    }

    /// What the logics of other connections are to be told of the jobs that are over; before [`Jobs::take_done`].
    pub(crate) fn take_handed(&mut self) -> Vec<(LinkId, Handed)> {
        let mut handed = Vec::new();
        for key in &self.finished {
            let job = &mut self.jobs[key.0 as usize];
            let clean = job.overflowed == 0 && job.expired == 0 && job.recalled == 0;
            let (seq, message_id) = (job.push.message().seq, job.push.message().id);
            let foreign = std::mem::take(&mut job.foreign);
            let waiting: FxHashSet<ConnId> = match foreign.is_empty() {
                true => continue,
                false => job.waiting.iter().copied().collect(),
            };
            for (conn, owner) in foreign {
                let taken = clean && !waiting.contains(&conn);
                let conn = conn.raw();
                handed.push((owner, Handed { conn, seq, message_id, taken, ..Handed::default() }));
            }
        }
        handed
    }

    /// The jobs that are over, to be called when a turn's sends are settled.
    pub(crate) fn take_done(&mut self) -> impl Iterator<Item = JobDone> {
        self.finished.drain(..).map(|key| {
            let job = self.jobs.remove(key.0 as usize);
            JobDone {
                link: Some(job.link),
                job: job.number,
                written: u32::try_from(job.written).expect("every send was counted once"),
                queued: job.queued,
                expired: job.expired,
                overflowed: job.overflowed,
                recalled: job.recalled,
                absent: job.absent,
                waiting: job.waiting,
            }
        })
    }

    /// Jobs under way.
    pub(crate) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Serial of the youngest job there was.
    pub(crate) fn youngest(&self) -> u64 {
        self.serial
    }

    /// Serial of the oldest fan-out job under way; none if there is none.
    pub(crate) fn oldest_walk(&self) -> Option<u64> {
        let walks = self.jobs.iter().filter(|(_, job)| job.group.is_some());
        walks.map(|(_, job)| job.serial).min()
    }

    /// Jobs that deliver this message.
    pub(crate) fn of_message(&self, message_id: u64) -> impl Iterator<Item = JobKey> {
        let jobs = self.jobs.iter();
        jobs.filter(move |(_, job)| job.push.message().id == message_id)
            .map(|(key, _)| JobKey(key as u32))
    }
}
