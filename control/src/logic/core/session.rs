//! One connection as logic sees it: what it acknowledged, what it was handed, and where its replay stands.

use super::cursor::Positions;
use super::redeliver::{Redelivery, Schedule, Verdict};
use super::replay::{Replay, Walk};
use crate::device::Device;
use gpusher_proto::data::Head;
use gpusher_proto::gateway::{Opened, Resumed};
use std::collections::VecDeque;
use std::mem::take;

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its route is being bound, its cursors read.
    Opening,
    /// It gets messages as they come.
    Live,
    /// Its replay waits for a free place.
    Queued,
    /// Its replay waits for a page.
    Reading,
    /// A page of its replay is on the way.
    Sent,
    /// Its replay waits for the socket; it takes no place meanwhile.
    Draining,
    /// Its replay is complete; the end is told when the batch being prepared has gone out.
    Finishing,
    /// The gateway said that the connection is not there; its `Closed` is on the way.
    Gone,
}

/// Kept messages of the own channel without an acknowledgement that are remembered by id; beyond it their acknowledgement is not counted.
const UNACKED_MAX: usize = 64;

/// A connection. Millions of them are held: what most of them do not have most of the time is in [`Rare`].
#[derive(Debug)]
pub struct Session {
    /// Its id.
    pub conn: u64,
    /// Whose it is.
    pub device: Device,
    /// When it logged in, Unix ms.
    pub since_ms: i64,
    /// Which report of its login this is about: answers to earlier ones are void.
    pub login: u32,
    /// The gateway's number for that report.
    pub announcement: u32,
    /// Cursor: received up to here.
    pub acked: Positions,
    /// Kept messages were given to the connection up to here.
    pub handed: Positions,
    /// The replay under way.
    pub replay: Option<Box<Replay>>,
    rare: Option<Box<Rare>>,
    /// Of the wire.
    pub version: u8,
    /// Where it stands.
    pub phase: Phase,
    /// It ended while its route was being bound.
    pub closed: bool,
    /// It has no part any more in what its gateway's members are given; its end is on the way.
    pub leaving: bool,
    /// Its gateway's routes were lost while its own was being bound: once more.
    pub rebind: bool,
}

// Logic, routes and the names together stay below 300 bytes a connection.
const _: () = assert!(size_of::<Option<Session>>() <= 120);

/// What a session has while something is under way for it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rare {
    /// It was live before, and had acknowledged this much: more than the cursor says, or less, if it shares that with others.
    pub known: Option<Positions>,
    /// Own channel: the gateway has reported on everything up to here (version 0's cursor at the end).
    pub reported_own: u64,
    /// Own channel: (sequence, message) without an acknowledgement.
    pub unacked: VecDeque<(u64, u64)>,
    /// When to send again.
    pub redelivery: Redelivery,
    /// Its dead letters are being filed.
    pub filing: bool,
    /// Topics to replay after the replay under way.
    pub joins: Vec<Walk>,
    /// Sync requests that came before the cursors were known.
    pub early_requests: Vec<u64>,
    /// The last gap of which the gateway told before the cursors were known.
    pub early_gap: u32,
}

impl Session {
    /// A connection whose login has been reported.
    pub fn new(opened: &Opened, login: u32) -> Self {
        Self {
            login,
            announcement: opened.announcement,
            conn: opened.conn,
            device: Device::new(opened.app_id, &opened.user, &opened.device),
            since_ms: opened.at_ms,
            acked: [0; 3],
            handed: [0; 3],
            replay: None,
            rare: None,
            version: u8::try_from(opened.version).unwrap_or(u8::MAX),
            phase: Phase::Opening,
            closed: false,
            leaving: false,
            rebind: false,
        }
    }

    /// What of its report is still known.
    pub fn opened(&self) -> Opened {
        Opened {
            conn: self.conn,
            app_id: self.device.app_id,
            user: self.device.user().to_owned(),
            device: self.device.device().to_owned(),
            version: self.version.into(),
            at_ms: self.since_ms,
            announcement: self.announcement,
            ..Opened::default()
        }
    }

    /// What is under way, if anything is.
    pub fn rare(&self) -> Option<&Rare> {
        self.rare.as_deref()
    }

    /// What is under way, to change; [`Session::settle`] gives it back when nothing is left.
    pub fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Frees what says nothing any more.
    pub fn settle(&mut self) {
        let acked = self.acked[0];
        self.rare.take_if(|rare| {
            // What was reported has been acknowledged.
            **rare == Rare { reported_own: rare.reported_own.min(acked), ..Rare::default() }
        });
    }

    /// What it had acknowledged before it was announced again.
    pub fn take_known(&mut self) -> Option<Positions> {
        let known = self.rare.as_mut().and_then(|rare| rare.known.take());
        self.settle();
        known
    }

    /// Topics that waited for the replay's end.
    pub fn take_joins(&mut self) -> Vec<Walk> {
        let joins = self.rare.as_mut().map(|rare| std::mem::take(&mut rare.joins));
        self.settle();
        joins.unwrap_or_default()
    }

    /// What the replay of its login has to answer: sync requests, and a gap, that came before the cursors were known.
    pub fn take_early(&mut self) -> (Vec<u64>, u32) {
        let rare = self.rare.as_mut();
        let early = rare.map(|it| (take(&mut it.early_requests), take(&mut it.early_gap)));
        self.settle();
        early.unwrap_or_default()
    }

    /// Whether it is due for a look at what it has not acknowledged: version 0 acknowledges by taking, and a session in a replay or with
    /// dead letters under way is not due.
    pub fn is_redeliverable(&self) -> bool {
        let filing = self.rare().is_some_and(|rare| rare.filing);
        self.version > 0 && self.phase == Phase::Live && !filing
    }

    /// Looks at what it was handed and has not acknowledged.
    pub fn check_redelivery(
        &mut self,
        now_ms: u64,
        handed: &Positions,
        schedule: Schedule,
    ) -> Verdict {
        let acked = self.acked;
        if self.rare.is_none()
            && std::iter::zip(&acked, handed).all(|(acked, handed)| acked >= handed)
        {
            return Verdict::Wait;
        }
        let verdict = self.rare_mut().redelivery.check(now_ms, &acked, handed, schedule);
        self.settle();
        verdict
    }

    /// Own channel: the gateway has reported on everything up to here.
    pub fn reported_own(&self) -> u64 {
        self.rare().map_or(0, |rare| rare.reported_own)
    }

    /// The gateway has reported on a message of the own channel. Only version 0's cursor goes by it. Once the connection is on its way out, it is not there
    /// for what comes, and a later message that has expired says nothing of one before it.
    pub fn report_own(&mut self, seq: u64) {
        if self.version == 0 && !self.leaving && seq > self.acked[0] {
            let reported = &mut self.rare_mut().reported_own;
            *reported = (*reported).max(seq);
        }
    }

    /// The connection did not get a message of the own channel.
    pub fn forget_own(&mut self, seq: u64) {
        if let Some(rare) = &mut self.rare {
            rare.unacked.retain(|&(unacked, _)| unacked != seq);
        }
    }

    /// A kept message of the own channel goes to the connection.
    pub fn hand_own(&mut self, seq: u64, message: u64) {
        self.handed[0] = self.handed[0].max(seq);
        if self.version == 0 {
            return;
        }
        let unacked = self.rare().map(|rare| &rare.unacked);
        let newest = unacked.and_then(|it| it.back()).map_or(self.acked[0], |&(seq, _)| seq);
        if seq > newest && unacked.map_or(0, VecDeque::len) < UNACKED_MAX {
            self.rare_mut().unacked.push_back((seq, message));
        }
    }

    /// Moves a cursor; the messages of the own channel that are received by it. Empty and false if it does not move.
    pub fn acknowledge(&mut self, channel: usize, seq: u64) -> (bool, Vec<u64>) {
        if seq <= self.acked[channel] {
            return (false, Vec::new());
        }
        self.acked[channel] = seq;
        let mut received = Vec::new();
        if let Some(rare) = &mut self.rare {
            rare.redelivery.progressed();
            while channel == 0 && rare.unacked.front().is_some_and(|&(own, _)| own <= seq) {
                received.extend(rare.unacked.pop_front().map(|(_, message)| message));
            }
            self.settle();
        }
        (true, received)
    }
}

/// Where a login's replay begins, per channel, and what the client is told about the positions it named.
pub fn resume(
    opened: &Opened,
    epoch: u64,
    cursors: &Positions,
    heads: &[Head; 3],
) -> (Positions, Vec<Resumed>) {
    let mut from = *cursors;
    let mut answers = Vec::new();
    for named in &opened.resume {
        let channel = named.channel as usize;
        let Some(head) = heads.get(channel) else { continue };
        let (result, seq) = if opened.epoch != epoch {
            (1, from[channel])
        } else if named.seq.saturating_add(1) < head.first {
            // Not from `first` on: where a clock was set back, some that are older may be left, and the client has had nothing behind what it names.
            (2, named.seq)
        } else {
            (0, named.seq.min(head.last))
        };
        from[channel] = seq;
        answers.push(Resumed { channel: named.channel, result, seq });
    }
    (from, answers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gpusher_proto::gateway::Position;

    const EPOCH: u64 = 77;

    fn opened(epoch: u64, resume: &[(i32, u64)]) -> Opened {
        let resume = resume.iter().map(|&(channel, seq)| Position { channel, seq }).collect();
        Opened { conn: 1, version: 1, epoch, resume, ..Opened::default() }
    }

    fn heads(own: (u64, u64)) -> [Head; 3] {
        [Head { first: own.0, last: own.1 }, Head { first: 1, last: 50 }, Head::default()]
    }

    #[test]
    fn a_named_position_wins_when_the_epoch_is_the_same() {
        let (from, told) = resume(&opened(EPOCH, &[(0, 7)]), EPOCH, &[9, 40, 0], &heads((1, 20)));
        assert_eq!(from, [7, 40, 0]);
        assert_eq!(told, [Resumed { channel: 0, result: 0, seq: 7 }]);
    }

    #[test]
    fn another_epoch_begins_where_the_server_knows() {
        let (from, told) = resume(&opened(5, &[(0, 7)]), EPOCH, &[3, 40, 0], &heads((1, 20)));
        assert_eq!(from, [3, 40, 0]);
        assert_eq!(told, [Resumed { channel: 0, result: 1, seq: 3 }]);
    }

    #[test]
    fn a_log_that_was_cut_says_so() {
        let (from, told) = resume(&opened(EPOCH, &[(0, 7)]), EPOCH, &[7, 0, 0], &heads((15, 20)));
        assert_eq!(from[0], 7, "what is left of it comes, wherever that begins");
        assert_eq!(told, [Resumed { channel: 0, result: 2, seq: 7 }]);
    }

    #[test]
    fn a_position_beyond_the_head_or_of_no_channel_is_harmless() {
        let asked = opened(EPOCH, &[(0, u64::MAX), (3, 5), (-1, 5)]);
        let (from, told) = resume(&asked, EPOCH, &[0; 3], &heads((1, 20)));
        assert_eq!((from[0], told.len()), (20, 1));
    }

    #[test]
    fn acknowledgements_are_cumulative_and_name_what_they_cover() {
        let mut session = Session::new(&opened(0, &[]), 1);
        [(3, 30), (5, 50), (9, 90)].iter().for_each(|&(seq, id)| session.hand_own(seq, id));
        assert_eq!(session.acknowledge(0, 5), (true, vec![30, 50]));
        assert_eq!(session.acknowledge(0, 4), (false, vec![]));
        session.hand_own(5, 50);
        assert_eq!(session.acknowledge(0, 9), (true, vec![90]));
    }
}
