//! A queue in memory: what is in it is durable, whoever crashes. It passes the suite that every queue passes.

use crate::gate::Gates;
use async_trait::async_trait;
use gpusher_control::error::{Code, Error, Result};
use gpusher_control::queue::{Consumer, Queue};
use gpusher_proto::data::{Job, Push, Record, job};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Notify;

#[derive(Debug, Default)]
struct Inner {
    records: BTreeMap<u64, Record>,
    last: u64,
    committed: BTreeMap<String, u64>,
    /// By part: the records in it.
    parts: Vec<BTreeSet<u64>>,
    /// By part: done up to here.
    done: Vec<u64>,
    consumed: BTreeSet<String>,
    /// By message and part: how often it was handed out.
    handed: BTreeMap<(u64, usize), usize>,
}

/// The queue. Clones share their records.
#[derive(Clone, Default)]
pub struct MemoryQueue {
    inner: Arc<Mutex<Inner>>,
    gates: Gates,
    published: Arc<Notify>,
    /// Answers and keeps nothing: a bug to be found.
    pub loses_publishes: bool,
}

impl MemoryQueue {
    /// An empty queue; publishing waits at the gates.
    pub fn new(gates: Gates) -> Self {
        Self { gates, ..Self::default() }
    }

    /// The same in so many parts: what has to keep its order is in one.
    pub fn in_parts(gates: Gates, parts: usize) -> Self {
        let queue = Self::new(gates);
        let mut inner = queue.inner.lock();
        inner.parts = vec![BTreeSet::new(); parts];
        inner.done = vec![0; parts];
        drop(inner);
        queue
    }

    /// How many parts there are.
    pub fn parts(&self) -> usize {
        self.inner.lock().parts.len()
    }

    /// Appends records, past the gates.
    pub fn put(&self, records: Vec<Record>) {
        let mut inner = self.inner.lock();
        let parts = inner.parts.len();
        for (part, record) in records.into_iter().flat_map(|record| place(record, parts)) {
            inner.last += 1;
            let offset = inner.last;
            inner.records.insert(offset, Record { offset, ..record });
            if let Some(part) = inner.parts.get_mut(part) {
                part.insert(offset);
            }
        }
        self.published.notify_waiters();
    }

    /// Records after an offset.
    pub fn after(&self, offset: u64, limit: usize) -> Vec<Record> {
        let inner = self.inner.lock();
        inner.records.range(offset + 1..).take(limit).map(|(_, record)| record.clone()).collect()
    }

    /// Records of a part after an offset.
    pub fn of_part(&self, part: usize, offset: u64, limit: usize) -> Vec<Record> {
        let inner = self.inner.lock();
        let offsets = inner.parts[part].range(offset + 1..).take(limit);
        offsets.map(|offset| inner.records[offset].clone()).collect()
    }

    /// A record of a part is handed to a member.
    pub fn hand_out(&self, part: usize, record: &Record) {
        if let Some(job::Kind::Push(push)) = record.job.as_ref().and_then(|job| job.kind.as_ref()) {
            *self.inner.lock().handed.entry((push.id, part)).or_default() += 1;
        }
    }

    /// How often a message was handed out at most, of any part.
    pub fn handed(&self, message: u64) -> usize {
        let inner = self.inner.lock();
        inner
            .handed
            .range((message, 0)..=(message, usize::MAX))
            .map(|(_, &times)| times)
            .max()
            .unwrap_or(0)
    }

    /// How far a part is done.
    pub fn done_of(&self, part: usize) -> u64 {
        self.inner.lock().done[part]
    }

    /// A part is done up to there; forward only.
    pub fn set_done(&self, part: usize, offset: u64) {
        let done = &mut self.inner.lock().done[part];
        *done = offset.max(*done);
    }

    /// Records of all parts that are not done.
    pub fn not_done(&self) -> usize {
        let inner = self.inner.lock();
        let parts = inner.parts.iter().zip(&inner.done);
        parts.map(|(part, done)| part.range(done + 1..).count()).sum()
    }

    /// Messages of records that are not done.
    pub fn messages_not_done(&self) -> BTreeSet<u64> {
        let inner = self.inner.lock();
        let parts = inner.parts.iter().zip(&inner.done);
        let open = parts.flat_map(|(part, done)| part.range(done + 1..));
        let message = |offset: &u64| match inner.records[offset].job.as_ref()?.kind.as_ref()? {
            job::Kind::Push(push) => Some(push.id),
            _ => None,
        };
        open.filter_map(message).collect()
    }

    /// A group's position.
    pub fn committed(&self, group: &str) -> u64 {
        self.inner.lock().committed.get(group).copied().unwrap_or(0)
    }

    /// Moves a group's position, past the gates; forward only.
    pub fn set_committed(&self, group: &str, offset: u64) {
        let mut inner = self.inner.lock();
        let committed = inner.committed.entry(group.to_owned()).or_default();
        *committed = offset.max(*committed);
    }

    /// The last offset given.
    pub fn last(&self) -> u64 {
        self.inner.lock().last
    }
}

/// Where a record goes: each channel is in one part, a recall in all, behind what it recalls; a list of users is taken apart.
fn place(record: Record, parts: usize) -> Vec<(usize, Record)> {
    let of = |key: &str| match parts {
        0 => 0,
        parts => {
            key.bytes().fold(7, |sum: usize, byte| sum * 31 % 65_521 + usize::from(byte)) % parts
        }
    };
    let kind = record.job.as_ref().and_then(|job| job.kind.as_ref());
    let key = match kind {
        Some(job::Kind::Push(push)) if push.r#type == 5 && parts > 1 => {
            let mut lists: BTreeMap<usize, Vec<String>> = BTreeMap::new();
            for user in &push.users {
                lists
                    .entry(of(&format!("user/{}/{user}", push.app_id)))
                    .or_default()
                    .push(user.clone());
            }
            let list = |(part, users)| {
                let push = Push { users, ..push.clone() };
                let job = Some(Job { kind: Some(job::Kind::Push(push)) });
                (part, Record { job, ..record.clone() })
            };
            return lists.into_iter().map(list).collect();
        }
        Some(job::Kind::Recall(_)) => {
            return (0..parts.max(1)).map(|part| (part, record.clone())).collect();
        }
        Some(job::Kind::Push(push)) => match push.r#type {
            1 => format!("user/{}/{}", push.app_id, push.users[0]),
            2 => format!("app/{}", push.app_id),
            4 => format!("topic/{}/{}", push.app_id, push.topic),
            _ => "everyone".to_owned(),
        },
        Some(job::Kind::Kick(kick)) => format!("user/{}/{}", kick.app_id, kick.user),
        None => String::new(),
    };
    vec![(of(&key), record)]
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn publish(&self, records: Vec<Record>) -> Result<()> {
        self.gates.pass("publish").await;
        self.gates.fails("publish")?;
        if !self.loses_publishes {
            self.put(records);
        }
        self.gates.pass("publish").await;
        self.gates.fails("publish")
    }

    async fn consume(&self, group: &str) -> Result<Box<dyn Consumer>> {
        let mut inner = self.inner.lock();
        if !inner.consumed.insert(group.to_owned()) {
            return Err(Error::new(Code::Conflict, "the group has a consumer"));
        }
        let read = inner.committed.get(group).copied().unwrap_or(0);
        Ok(Box::new(MemoryConsumer { queue: self.clone(), group: group.to_owned(), read }))
    }

    async fn depth(&self, group: &str) -> Result<u64> {
        let after = self.committed(group);
        Ok(self.inner.lock().records.range(after + 1..).count() as u64)
    }
}

struct MemoryConsumer {
    queue: MemoryQueue,
    group: String,
    read: u64,
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next(&mut self, limit: usize) -> Result<Vec<Record>> {
        loop {
            let published = self.queue.published.clone();
            let mut waiting = std::pin::pin!(published.notified());
            waiting.as_mut().enable();
            let records = self.queue.after(self.read, limit);
            if let Some(last) = records.last() {
                self.read = last.offset;
                return Ok(records);
            }
            waiting.await;
        }
    }

    async fn commit(&mut self, offset: u64) -> Result<()> {
        if offset > self.read {
            return Err(Error::new(Code::Invalid, "not read so far"));
        }
        self.queue.set_committed(&self.group, offset);
        Ok(())
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        self.queue.inner.lock().consumed.remove(&self.group);
    }
}
