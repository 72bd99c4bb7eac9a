//! Which apps and topics have members here: sums over shards, announced to every logic by numbered changes.
//!
//! # Invariant
//! An app or topic is announced before any logic learns of its first member: the link *expects* it when it sees a login or
//! join, ahead of the shard's own count.

use gpusher_proto::gateway::Membership;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// An app (empty topic) or a topic of an app.
pub(crate) type Key = (u32, Arc<str>);

/// The sums, and what logic was told.
#[derive(Debug, Default)]
pub(crate) struct Memberships {
    audiences: FxHashMap<Key, Members>,
    revision: u64,
}

#[derive(Debug, Default)]
struct Members {
    /// Shard and count, non-zero ones only.
    by_shard: Vec<(u32, u32)>,
    /// Joins on their way.
    expected: u32,
    /// Number of the change that logic was told last.
    revision: u64,
    announced: bool,
}

impl Members {
    fn wanted(&self) -> bool {
        self.expected > 0 || !self.by_shard.is_empty()
    }

    fn count(&self) -> u32 {
        self.by_shard.iter().map(|&(_, count)| count).sum::<u32>().max(u32::from(self.announced))
    }
}

impl Memberships {
    /// A shard's count has become zero or non-zero. Returns what to tell every logic, if anything.
    pub(crate) fn set(&mut self, shard: u32, key: Key, count: u32) -> Option<Membership> {
        let members = self.audiences.entry(key.clone()).or_default();
        members.by_shard.retain(|&(other, _)| other != shard);
        if count > 0 {
            members.by_shard.push((shard, count));
        }
        self.update(&key)
    }

    /// A login of an app was seen: from here on the app stays announced, because logins do not wait for acknowledgements.
    pub(crate) fn expect_always(&mut self, key: &Key) -> Option<Membership> {
        match self.audiences.get(key) {
            Some(members) if members.expected > 0 => None,
            _ => self.expect(key),
        }
    }

    /// A member is about to be counted. Undone by [`Memberships::settle`].
    pub(crate) fn expect(&mut self, key: &Key) -> Option<Membership> {
        self.audiences.entry(key.clone()).or_default().expected += 1;
        self.update(key)
    }

    /// What was expected is counted by its shard, or did not happen.
    pub(crate) fn settle(&mut self, key: &Key) -> Option<Membership> {
        let members = self.audiences.get_mut(key)?;
        members.expected = members.expected.saturating_sub(1);
        self.update(key)
    }

    /// The change by which logic knows of these members; 0 if it does not.
    pub(crate) fn revision_of(&self, key: &Key) -> u64 {
        self.audiences.get(key).map_or(0, |members| members.revision)
    }

    /// How many apps and topics have members.
    pub(crate) fn len(&self) -> usize {
        self.audiences.len()
    }

    /// Everything there is, for a logic that has just attached, in the order of the changes.
    pub(crate) fn all(&self) -> Vec<Membership> {
        let announced = self.audiences.iter().filter(|(_, members)| members.announced);
        let mut all: Vec<_> = announced.map(|(key, members)| membership(key, members)).collect();
        all.sort_unstable_by_key(|membership| membership.revision);
        all
    }

    /// Announces the audience, or takes it back, when that has changed.
    fn update(&mut self, key: &Key) -> Option<Membership> {
        let members = self.audiences.get_mut(key)?;
        let wanted = members.wanted();
        let changed = wanted != members.announced;
        let change = changed.then(|| {
            self.revision += 1;
            members.revision = self.revision;
            members.announced = wanted;
            membership(key, members)
        });
        if !wanted {
            self.audiences.remove(key);
        }
        change
    }
}

fn membership((app_id, topic): &Key, members: &Members) -> Membership {
    Membership {
        revision: members.revision,
        app_id: *app_id,
        topic: topic.to_string(),
        members: members.count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic() -> Key {
        (1000, "news".into())
    }

    #[test]
    fn only_the_first_and_the_last_member_are_announced() {
        let mut memberships = Memberships::default();
        let first = memberships.set(0, topic(), 3).unwrap();
        assert_eq!((first.revision, first.app_id, first.members), (1, 1000, 3));
        assert_eq!(memberships.set(1, topic(), 1), None);
        assert_eq!(memberships.set(0, topic(), 0), None);
        let last = memberships.set(1, topic(), 0).unwrap();
        assert_eq!((last.revision, last.members), (2, 0));
        assert_eq!(memberships.len(), 0);
    }

    #[test]
    fn an_expected_member_is_announced_ahead_of_its_count() {
        let mut memberships = Memberships::default();
        assert_eq!(memberships.expect(&topic()).unwrap().members, 1);
        assert_eq!(memberships.set(2, topic(), 1), None);
        assert_eq!(memberships.settle(&topic()), None);
        assert_eq!(memberships.revision_of(&topic()), 1);
    }

    #[test]
    fn an_expected_member_that_never_came_is_taken_back() {
        let mut memberships = Memberships::default();
        memberships.expect(&topic());
        memberships.expect(&topic());
        assert_eq!(memberships.settle(&topic()), None);
        assert_eq!(memberships.settle(&topic()).unwrap().members, 0);
        assert!(memberships.all().is_empty());
    }

    #[test]
    fn an_app_stays_announced_after_its_first_login() {
        let mut memberships = Memberships::default();
        assert!(memberships.expect_always(&topic()).is_some());
        assert_eq!(memberships.expect_always(&topic()), None);
        assert_eq!(memberships.set(0, topic(), 1), None);
        assert_eq!(memberships.set(0, topic(), 0), None);
        assert_eq!(memberships.all().len(), 1);
    }

    #[test]
    fn counts_of_nobody_leave_nothing_behind() {
        let mut memberships = Memberships::default();
        assert_eq!(memberships.set(0, topic(), 0), None);
        assert_eq!(memberships.settle(&topic()), None);
        assert_eq!(memberships.len(), 0);
    }

    #[test]
    fn a_new_logic_gets_everything_in_the_order_of_the_changes() {
        let mut memberships = Memberships::default();
        for app in [7, 3, 5] {
            memberships.set(0, (app, "".into()), 1);
        }
        memberships.set(0, (3, "".into()), 0);
        let all: Vec<_> = memberships.all().iter().map(|m| (m.revision, m.app_id)).collect();
        assert_eq!(all, [(1, 7), (3, 5)]);
    }
}
