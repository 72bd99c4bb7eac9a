//! Joins between the client's frame and its answer. The answer is held until every attached logic has acknowledged the topic's
//! membership: whoever pushes to the topic after the client has its answer finds this gateway.

use super::membership::Key;
use crate::mail::LinkId;
use gpusher_proto::gateway::Answer;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// In place of a request number: the topic of a version 0 login, joined with the admission.
pub(crate) const LOGIN: u64 = u64::MAX;

/// How long after its answer a join is expected to show in its shard's count; mailboxes are emptied within milliseconds.
const SETTLE: Duration = Duration::from_secs(1);

/// Joins under way and answers held.
#[derive(Debug)]
pub(crate) struct Joins {
    asked: FxHashMap<u64, Vec<Asked>>,
    /// By the revision that must be acknowledged.
    held: BTreeMap<u64, Vec<Held>>,
    held_count: usize,
    settling: VecDeque<(Instant, Key)>,
    wait: Duration,
}

#[derive(Debug)]
struct Asked {
    link: LinkId,
    request: u64,
    key: Key,
}

/// An answer that waits for acknowledgements.
#[derive(Debug)]
pub(crate) struct Held {
    /// What to send.
    pub answer: Answer,
    /// Whose topic.
    pub key: Key,
    deadline: Instant,
}

impl Joins {
    /// `wait`: how long an answer is held at most.
    pub(crate) fn new(wait: Duration) -> Self {
        Self {
            asked: FxHashMap::default(),
            held: BTreeMap::new(),
            held_count: 0,
            settling: VecDeque::new(),
            wait,
        }
    }

    /// A client has asked; the question goes to this link.
    pub(crate) fn ask(&mut self, link: LinkId, conn: u64, request: u64, key: Key) {
        self.asked.entry(conn).or_default().push(Asked { link, request, key });
    }

    /// The topic this answers the join of, if it does answer a join.
    pub(crate) fn answered(&mut self, conn: u64, request: u64) -> Option<Key> {
        let asked = self.asked.get_mut(&conn)?;
        let index = asked.iter().position(|join| join.request == request)?;
        let join = asked.remove(index);
        if asked.is_empty() {
            self.asked.remove(&conn);
        }
        Some(join.key)
    }

    /// Keeps an answer until `revision` is acknowledged.
    pub(crate) fn hold(&mut self, answer: Answer, key: Key, revision: u64, now: Instant) {
        let deadline = now + self.wait;
        self.held.entry(revision).or_default().push(Held { answer, key, deadline });
        self.held_count += 1;
    }

    /// Answers whose change everybody has acknowledged.
    pub(crate) fn take_acknowledged(&mut self, acknowledged: u64) -> Vec<Held> {
        let mut taken = Vec::new();
        while let Some(first) = self.held.first_entry().filter(|e| *e.key() <= acknowledged) {
            taken.append(&mut first.remove());
        }
        self.held_count -= taken.len();
        taken
    }

    /// Answers that have waited too long.
    pub(crate) fn take_overdue(&mut self, now: Instant) -> Vec<Held> {
        let mut taken = Vec::new();
        self.held.retain(|_, held| {
            taken.extend(held.extract_if(.., |held| held.deadline <= now));
            !held.is_empty()
        });
        self.held_count -= taken.len();
        taken
    }

    /// The join is answered; its member is expected a little longer, so that the topic is not taken back before the shard has counted it.
    pub(crate) fn settle_later(&mut self, key: Key, now: Instant) {
        self.settling.push_back((now + SETTLE, key));
    }

    /// Topics to settle now.
    pub(crate) fn take_settled(&mut self, now: Instant) -> Vec<Key> {
        let due = self.settling.partition_point(|&(at, _)| at <= now);
        self.settling.drain(..due).map(|(_, key)| key).collect()
    }

    /// The connection is gone; returns the topics it was joining. Answers held for it go out in their time, and find nobody.
    pub(crate) fn forget_conn(&mut self, conn: u64) -> impl Iterator<Item = Key> + use<> {
        self.asked.remove(&conn).into_iter().flatten().map(|join| join.key)
    }

    /// The link is gone, and nobody will answer what it was asked; returns the topics.
    pub(crate) fn forget_link(&mut self, link: LinkId) -> Vec<Key> {
        let mut keys = Vec::new();
        self.asked.retain(|_, asked| {
            keys.extend(asked.extract_if(.., |join| join.link == link).map(|join| join.key));
            !asked.is_empty()
        });
        keys
    }

    /// Answers held.
    pub(crate) fn held(&self) -> usize {
        self.held_count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: LinkId = LinkId(1);

    fn key(topic: &str) -> Key {
        (1000, topic.into())
    }

    fn answer(conn: u64) -> Answer {
        Answer { conn, request: 5, code: 0, value: 0 }
    }

    #[test]
    fn an_answer_finds_its_join_once() {
        let mut joins = Joins::new(Duration::from_secs(5));
        joins.ask(LINK, 3, 5, key("a"));
        joins.ask(LINK, 3, 6, key("b"));
        assert_eq!(joins.answered(3, 7), None);
        assert_eq!(joins.answered(3, 6), Some(key("b")));
        assert_eq!(joins.answered(3, 6), None);
        assert!(joins.forget_conn(3).eq([key("a")]));
        assert!(joins.asked.is_empty());
    }

    #[test]
    fn held_answers_leave_by_revision_or_by_time() {
        let start = Instant::now();
        let mut joins = Joins::new(Duration::from_secs(5));
        joins.hold(answer(1), key("a"), 10, start);
        joins.hold(answer(2), key("b"), 12, start + Duration::from_secs(1));
        assert!(joins.take_acknowledged(9).is_empty());
        assert_eq!(joins.take_acknowledged(11)[0].answer.conn, 1);
        assert!(joins.take_overdue(start + Duration::from_secs(5)).is_empty());
        assert_eq!(joins.take_overdue(start + Duration::from_secs(6))[0].answer.conn, 2);
        assert_eq!(joins.held(), 0);
    }

    #[test]
    fn an_answered_join_is_expected_a_little_longer() {
        let start = Instant::now();
        let mut joins = Joins::new(Duration::from_secs(5));
        joins.settle_later(key("a"), start);
        assert!(joins.take_settled(start).is_empty());
        assert_eq!(joins.take_settled(start + SETTLE), [key("a")]);
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut joins = Joins::new(Duration::from_secs(5));
        joins.ask(LINK, 3, 5, key("a"));
        joins.ask(LinkId(2), 3, 6, key("b"));
        assert_eq!(joins.forget_link(LINK), [key("a")]);
        assert!(joins.forget_conn(3).eq([key("b")]));
        assert!(joins.asked.is_empty());
    }
}
