//! Joins what the shards report of a job into one Outcome.

use super::split::JobParts;
use crate::mail::{JobDone, LinkId};
use gpusher_proto::gateway::Outcome;
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;

/// Jobs under way.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    jobs: FxHashMap<(LinkId, u64), Pending>,
    bytes: usize,
}

#[derive(Debug)]
struct Pending {
    shards_left: u32,
    bytes: usize,
    outcome: Outcome,
}

/// The number is taken by a job under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DuplicateJob;

impl Collector {
    /// Notes a job; its Outcome comes back at once when no shard is concerned.
    pub(crate) fn begin(
        &mut self,
        link: LinkId,
        parts: JobParts,
    ) -> Result<Option<Outcome>, DuplicateJob> {
        let outcome = Outcome { job: parts.job, absent: parts.absent, ..Outcome::default() };
        if self.jobs.contains_key(&(link, parts.job)) {
            return Err(DuplicateJob);
        }
        if parts.shards == 0 {
            return Ok(Some(outcome));
        }
        self.bytes += parts.bytes;
        let pending = Pending { shards_left: parts.shards, bytes: parts.bytes, outcome };
        self.jobs.insert((link, parts.job), pending);
        Ok(None)
    }

    /// Adds one shard's report; the Outcome when it was the last.
    pub(crate) fn done(&mut self, done: JobDone) -> Option<(LinkId, Outcome)> {
        let link = done.link?;
        let Entry::Occupied(mut entry) = self.jobs.entry((link, done.job)) else { return None };
        let pending = entry.get_mut();
        let outcome = &mut pending.outcome;
        outcome.written += done.written;
        outcome.queued += done.queued;
        outcome.expired += done.expired;
        outcome.overflowed += done.overflowed;
        outcome.recalled += done.recalled;
        outcome.absent.extend(done.absent.iter().map(|conn| conn.raw()));
        outcome.waiting.extend(done.waiting.iter().map(|conn| conn.raw()));
        pending.shards_left -= 1;
        if pending.shards_left > 0 {
            return None;
        }
        let pending = entry.remove();
        self.bytes -= pending.bytes;
        Some((link, pending.outcome))
    }

    /// Jobs under way, those of ended links too: the shards still hold them.
    pub(crate) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Memory kept by jobs under way.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gpusher_proto::conn_id::ConnId;

    const LINK: LinkId = LinkId(4);

    fn parts(job: u64, shards: u32) -> JobParts {
        JobParts { job, shards, absent: vec![9], bytes: 100 }
    }

    fn done(job: u64) -> JobDone {
        JobDone { link: Some(LINK), job, written: 2, queued: 1, ..JobDone::default() }
    }

    #[test]
    fn sums_over_shards_make_the_outcome() {
        let mut collector = Collector::default();
        assert_eq!(collector.begin(LINK, parts(7, 2)), Ok(None));
        assert_eq!(collector.bytes(), 100);
        let conn = ConnId::new(1, 0, 5, 1);
        let first = JobDone { absent: vec![conn], waiting: vec![conn], ..done(7) };
        assert_eq!(collector.done(first), None);
        let (link, outcome) = collector.done(done(7)).unwrap();
        assert_eq!((link, outcome.job, outcome.written, outcome.queued), (LINK, 7, 4, 2));
        assert_eq!(outcome.absent, [9, conn.raw()]);
        assert_eq!(outcome.waiting, [conn.raw()]);
        assert_eq!((collector.bytes(), collector.len()), (0, 0));
    }

    #[test]
    fn a_job_without_shards_is_answered_at_once() {
        let mut collector = Collector::default();
        let outcome = collector.begin(LINK, parts(7, 0)).unwrap().unwrap();
        assert_eq!((outcome.job, outcome.absent), (7, vec![9]));
        assert_eq!(collector.bytes(), 0);
    }

    #[test]
    fn numbers_are_per_link_and_unknown_jobs_are_ignored() {
        let mut collector = Collector::default();
        assert_eq!(collector.begin(LINK, parts(7, 1)), Ok(None));
        assert_eq!(collector.begin(LINK, parts(7, 1)), Err(DuplicateJob));
        assert_eq!(collector.begin(LinkId(5), parts(7, 1)), Ok(None));
        assert_eq!(collector.done(done(8)), None);
        assert_eq!(collector.done(JobDone { link: None, ..done(7) }), None);
        assert!(collector.done(done(7)).is_some());
        assert_eq!(collector.len(), 1);
    }
}
