//! What became of deliveries.

use super::plan::{PushPart, Target};
use super::*;
use gpusher_proto::gateway::{ChannelKind, Outcome};
use link::Part;
use rustc_hash::FxHashSet;

impl Core {
    pub(super) fn on_outcome(&mut self, key: LinkKey, outcome: Outcome) {
        match self.link(key).parts.remove(&outcome.job) {
            Some(Part::Push(part)) => self.on_push_outcome(key, part, &outcome),
            Some(Part::Replay(part)) => self.on_replay_outcome(part, &outcome),
            None => self.count(Count::EventsForeign, 1),
        }
    }

    fn on_push_outcome(&mut self, key: LinkKey, part: PushPart, outcome: &Outcome) {
        self.add_outcome(part.message, outcome);
        self.statuses.add(part.message, |row| row.done += u64::from(part.closes));
        let clean = went_straight(outcome);
        if let Some(tail) = consume::tail_key(part.kind as usize, part.app_id)
            && part.kept
            && clean
        {
            // Every member's outbox was empty, so their sockets have all that went before, too.
            let taken = self.link(key).taken.entry(tail).or_default();
            *taken = part.seq.max(*taken);
        }
        match &part.unicast {
            Some((_, targets)) => {
                let missing = self.settle(&part, targets, outcome);
                self.on_missing(&part, missing);
            }
            None => self.progress.finish_part(part.offset),
        }
    }

    pub(super) fn add_outcome(&mut self, message: u64, outcome: &Outcome) {
        self.statuses.add(message, |row| {
            row.written += u64::from(outcome.written);
            row.queued += u64::from(outcome.queued);
            row.expired += u64::from(outcome.expired);
            row.overflowed += u64::from(outcome.overflowed);
            row.withdrawn += u64::from(outcome.recalled);
        });
    }

    /// Notes per connection what it was handed; who was not there is returned.
    fn settle(&mut self, part: &PushPart, targets: &[Target], outcome: &Outcome) -> Vec<Target> {
        let absent: FxHashSet<u64> = outcome.absent.iter().copied().collect();
        let waiting: FxHashSet<u64> = outcome.waiting.iter().copied().collect();
        let mut missing = Vec::new();
        for target in targets {
            let conn = target.conn;
            if absent.contains(&conn) {
                missing.push(target.clone());
            }
            let Some(session) = self.sessions.get_mut(conn).filter(|_| part.kept) else { continue };
            if absent.contains(&conn) {
                session.forget_own(part.seq);
                continue;
            }
            // A recall overtakes what was sent before its message.
            if outcome.recalled == 0 {
                session.report_own(part.seq);
            }
            let taken = was_written(outcome) && !waiting.contains(&conn);
            if session.version == 0 && taken && session.phase == Phase::Live {
                self.take_as_read(conn, ChannelKind::Own as usize, part.seq);
            }
        }
        missing
    }

    /// Connections that are not there lose their route; users of a live message are looked up again.
    fn on_missing(&mut self, part: &PushPart, missing: Vec<Target>) {
        self.count(Count::Absent, missing.len() as u64);
        let Some((receivers, _)) = &part.unicast else { return };
        let retry =
            !missing.is_empty() && !part.kept && receivers.retries < self.limits.live_retries;
        if retry {
            self.count(Count::Retries, missing.len() as u64);
            let (offset, receivers) = (part.offset, receivers.clone());
            self.retries.push(RetryAsk { offset, receivers, missing });
            return;
        }
        for target in &missing {
            let user = receivers.users[target.receiver].user.clone();
            self.unbinds.push(ConnKey {
                conn: target.conn,
                app_id: part.app_id,
                user,
                gateway_epoch: target.gateway_epoch,
            });
        }
        if !part.kept {
            self.statuses.add(part.message, |row| row.absent += missing.len() as u64);
        }
        self.progress.finish_part(part.offset);
    }

    /// A link broke: what it was given counts as done. Its connections are gone, or will be announced again and replayed to.
    pub(super) fn finish_parts(&mut self, parts: impl IntoIterator<Item = Part>) {
        for part in parts {
            let Part::Push(part) = part else { continue };
            self.count(Count::Cut, 1);
            self.statuses.add(part.message, |row| row.done += u64::from(part.closes));
            self.progress.finish_part(part.offset);
        }
    }
}

/// Whether what a delivery did not queue was written: what expired or was recalled says nothing of what waits before it.
fn was_written(outcome: &Outcome) -> bool {
    outcome.overflowed == 0 && outcome.expired == 0 && outcome.recalled == 0
}

/// Whether every receiver's socket took it at once.
fn went_straight(outcome: &Outcome) -> bool {
    outcome.queued == 0 && was_written(outcome)
}
