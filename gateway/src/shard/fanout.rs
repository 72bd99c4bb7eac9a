//! A message for an app, a topic or everyone: a cursor over the members, moved on by a bounded slice a turn.
//!
//! What waits for one audience goes out in one pass, joined in one buffer per encoding. Memory does not grow with the audience. A member that
//! has nothing waiting costs one byte of the table and one send; every other one goes by way of its outbox.

use super::deliver::has_expired;
use super::jobs::JobKey;
use super::line::{Line, Load, Pass};
use super::members::{Group, Members};
use super::parcel::Content;
use super::table::{Hot, Table};
use super::transmit::{Lent, Outgoing};
use super::{Clock, Shard};
use crate::metrics::ShardCount;
use bytes::Bytes;
use gpusher_proto::gateway::ChannelKind;
use gpusher_proto::wire::Encoding;
use gpusher_session::Lane;
use gpusher_sys::driver::Driver;

/// Looking at a member that is sent nothing costs this much less than a send.
const LOOKS_PER_SEND: usize = 32;

/// After a unicast, more of them are expected for this long.
const UNICASTS_FOR_MS: u64 = 200;

/// Why a message leaves a pass, or never enters one.
#[derive(Debug, Clone, Copy)]
enum Stop {
    Expired,
    Recalled,
}

/// What is left of a turn's slice.
#[derive(Debug)]
struct Budget {
    sends: usize,
    looks: usize,
}

impl<D: Driver, C: Clock> Shard<D, C> {
    pub(super) fn begin_fan_out(&mut self, job: JobKey, group: Group) {
        self.members.pin(group);
        let push = self.jobs.get(job).push.clone();
        self.lines.add(group, Load::Push(job, push));
    }

    pub(super) fn begin_tombstone(&mut self, frame: Bytes, group: Group) {
        self.members.pin(group);
        self.lines.add(group, Load::Tombstone(frame));
    }

    /// One slice. The audience that used it up goes behind the others, so that a small one never waits for the whole of a large one.
    pub(super) fn fan_out(&mut self) {
        let sends = self.sends_max();
        let mut budget = Budget { sends, looks: sends * LOOKS_PER_SEND };
        // Each audience once: in a second pass, all would be busy.
        for _ in 0..self.lines.len() {
            if budget.sends == 0 || budget.looks == 0 {
                return;
            }
            let Some((group, mut line)) = self.lines.take_next() else { return };
            self.work_off(group, &mut line, &mut budget);
            if !line.is_empty() {
                self.lines.give_back(group, line);
            }
        }
    }

    fn sends_max(&self) -> usize {
        let slice = &self.config.slice;
        let unicasts_end_ms = self.last_unicast_ms + UNICASTS_FOR_MS;
        match self.now.monotonic_ms < unicasts_end_ms {
            true => slice.sends_max.min(slice.sends_beside_unicasts_max),
            false => slice.sends_max,
        }
    }

    fn work_off(&mut self, group: Group, line: &mut Line, budget: &mut Budget) {
        self.begin_pass(group, line);
        let Some(pass) = &mut line.pass else { return };
        let now_ms = self.now.unix_ms;
        let jobs = &self.jobs;
        let expired = pass.take(|job| has_expired(jobs.get(job).push.message(), now_ms));
        expired.into_iter().for_each(|job| self.stop_in_pass(group, pass, job, Stop::Expired));
        if !pass.is_over() {
            self.walk(group, pass, budget);
        }
        if pass.is_over() {
            self.end_pass(group, line);
        }
    }

    /// Starts a pass with what waits, unless one is under way. What has expired while it waited does not enter.
    fn begin_pass(&mut self, group: Group, line: &mut Line) {
        if line.pass.is_some() || !line.is_waiting() {
            return;
        }
        let loads = line.next_loads(self.config.slice.joined_bytes_max);
        let end = match group {
            Group::Everyone => self.table.len(),
            group => self.members.begin_walk(group),
        };
        // All its messages may be stopped before it is over, and all members gone.
        self.members.pin(group);
        line.begin(loads, end);
    }

    fn end_pass(&mut self, group: Group, line: &mut Line) {
        let pass = line.pass.take().expect("a pass is under way");
        if group != Group::Everyone {
            self.members.end_walk(group);
        }
        for load in pass.loads {
            if let Load::Push(job, _) = load {
                self.jobs.get_mut(job).written += i64::from(pass.cast);
                self.finish_walked(group, job);
            }
            self.members.unpin(group);
        }
        self.members.unpin(group);
    }

    /// All who were members throughout have been given the message, and what went before it.
    fn finish_walked(&mut self, group: Group, job: JobKey) {
        let message = self.jobs.get(job).push.message();
        let own_channel = match group {
            Group::Everyone => ChannelKind::Everyone,
            Group::App(_) => ChannelKind::App,
            Group::Topic(_) => ChannelKind::Topic,
        };
        if message.kept && message.channel == own_channel as i32 {
            self.members.set_through(group, message.seq);
        }
        self.jobs.finish(job);
    }

    /// A message leaves the pass: who has not been reached does not get it.
    fn stop_in_pass(&mut self, group: Group, pass: &Pass, job: JobKey, why: Stop) {
        let missed = match group {
            Group::Everyone => self.members_by_slot(pass.cursor, pass.end),
            group => self.members.roll(group).members(pass.cursor, pass.end).count() as u32,
        };
        self.jobs.get_mut(job).written += i64::from(pass.cast);
        self.stop(group, job, missed, why);
    }

    fn members_by_slot(&self, from: u32, end: u32) -> u32 {
        let slots = &self.table.hot[from as usize..end as usize];
        slots.iter().filter(|hot| hot.has(Hot::MEMBER)).count() as u32
    }

    fn stop(&mut self, group: Group, job: JobKey, missed: u32, why: Stop) {
        let tally = self.jobs.get_mut(job);
        let (count, dropped) = match why {
            Stop::Expired => (&mut tally.expired, ShardCount::DroppedExpired),
            Stop::Recalled => (&mut tally.recalled, ShardCount::DroppedRecalled),
        };
        *count += missed;
        self.counts.add(dropped, u64::from(missed));
        // Nobody was given it, and what waits before it has not reached everybody.
        self.jobs.finish(job);
        self.members.unpin(group);
    }

    /// Stops every fan-out of the message.
    pub(super) fn recall_fan_out(&mut self, message_id: u64) {
        let jobs: Vec<JobKey> = self.jobs.of_message(message_id).collect();
        for job in jobs {
            let Some(group) = self.jobs.get(job).group else { continue };
            if self.lines.remove_waiting(group, job) {
                let missed = self.members.count(group);
                self.stop(group, job, missed, Stop::Recalled);
                continue;
            }
            let line = self.lines.get_mut(group);
            let Some(mut pass) = line.and_then(|line| line.pass.take()) else { continue };
            if !pass.take(|other| other == job).is_empty() {
                self.stop_in_pass(group, &pass, job, Stop::Recalled);
            }
            let line = self.lines.get_mut(group).expect("it was there");
            line.pass = Some(pass);
        }
    }

    fn walk(&mut self, group: Group, pass: &mut Pass, budget: &mut Budget) {
        let slow = {
            let Self { members, table, driver, outgoing, .. } = self;
            let mut cast = Cast { driver, outgoing, table, lent: [None; 3], slow: Vec::new() };
            cast.slice(members, group, pass, budget);
            cast.slow
        };
        for slot in slow {
            for load in &pass.loads {
                match load {
                    Load::Push(job, _) => self.deliver_slow(slot, *job),
                    Load::Tombstone(frame) => self.queue_tombstone(slot, frame),
                }
            }
        }
    }

    fn queue_tombstone(&mut self, slot: u32, frame: &Bytes) {
        if self.table.hot[slot as usize].encoding() != Encoding::V0 {
            let content = Content::control(frame.clone());
            let _ = self.queue(slot, &content, Lane::Pass);
        }
    }
}

/// The inner loop, and what it needs.
struct Cast<'a, D> {
    driver: &'a mut D,
    outgoing: &'a mut Outgoing,
    table: &'a mut Table,
    lent: [Option<Option<Lent>>; 3],
    /// Members that cannot be sent to at once.
    slow: Vec<u32>,
}

impl<D: Driver> Cast<'_, D> {
    fn slice(&mut self, members: &Members, group: Group, pass: &mut Pass, budget: &mut Budget) {
        let limit = u32::try_from(budget.looks).unwrap_or(u32::MAX);
        let end = pass.end.min(pass.cursor.saturating_add(limit));
        budget.looks -= (end - pass.cursor) as usize;
        match group {
            Group::Everyone => {
                self.each((pass.cursor..end).map(|slot| (slot, slot)), end, pass, budget)
            }
            group => self.each(members.roll(group).members(pass.cursor, end), end, pass, budget),
        }
    }

    fn each(
        &mut self,
        members: impl Iterator<Item = (u32, u32)>,
        end: u32,
        pass: &mut Pass,
        budget: &mut Budget,
    ) {
        for (position, slot) in members {
            if budget.sends == 0 {
                pass.cursor = position;
                return;
            }
            let hot = self.table.hot[slot as usize];
            if hot.is_clear_member() {
                budget.sends -= 1;
                self.send(slot, hot.encoding(), pass);
            } else if hot.has(Hot::MEMBER) {
                budget.sends -= 1;
                self.slow.push(slot);
            }
        }
        pass.cursor = end;
    }

    fn send(&mut self, slot: u32, encoding: Encoding, pass: &mut Pass) {
        let Self { driver, outgoing, table, lent, .. } = self;
        let lent = lent[encoding as usize].get_or_insert_with(|| {
            pass.parcel(encoding).map(|parcel| outgoing.lend(*driver, parcel))
        });
        pass.cast += 1;
        if let Some(lent) = *lent {
            outgoing.send(*driver, &mut table.hot[slot as usize], slot, lent);
        }
    }
}
