//! One connection as logic sees it: what it acknowledged, what it was handed, and where its replay stands.

use super::cursor::Positions;
use super::redeliver::Redelivery;
use super::replay::{Replay, Walk};
use gpusher_proto::data::{DeviceKey, Head};
use gpusher_proto::gateway::{Opened, Resumed};
use rustc_hash::FxHashMap;
use slab::Slab;
use std::collections::VecDeque;
use std::sync::Arc;

/// A device of a user of an app: who has cursors.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Device {
    /// The app.
    pub app_id: u32,
    /// The user.
    pub user: Arc<str>,
    /// The device, which may be empty.
    pub device: Arc<str>,
}

impl Device {
    /// A device.
    pub fn new(app_id: u32, user: &str, device: &str) -> Self {
        Self { app_id, user: user.into(), device: device.into() }
    }

    /// As the store names it.
    pub fn key(&self) -> DeviceKey {
        let (user, device) = (self.user.to_string(), self.device.to_string());
        DeviceKey { app_id: self.app_id, user, device }
    }
}

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

/// A connection.
#[derive(Debug)]
pub struct Session {
    /// Its id.
    pub conn: u64,
    /// Whose it is.
    pub device: Device,
    /// Of the wire.
    pub version: u32,
    /// When it logged in, Unix ms.
    pub since_ms: i64,
    /// Where it stands.
    pub phase: Phase,
    /// Which report of its login this is about: answers to earlier ones are void.
    pub login: u64,
    /// It ended while its route was being bound.
    pub closed: bool,
    /// Its gateway's routes were lost while its own was being bound: once more.
    pub rebind: bool,
    /// It was live before, and had acknowledged this much: more than the cursor says, or less, if it shares that with others.
    pub known: Option<Positions>,
    /// Cursor: received up to here.
    pub acked: Positions,
    /// Kept messages were given to the connection up to here.
    pub handed: Positions,
    /// Own channel: the gateway has reported on everything up to here (version 0's cursor at the end).
    pub reported_own: u64,
    /// Own channel: (sequence, message) without an acknowledgement.
    pub unacked: VecDeque<(u64, u64)>,
    /// When to send again.
    pub redelivery: Redelivery,
    /// Its dead letters are being filed.
    pub filing: bool,
    /// The replay under way.
    pub replay: Option<Box<Replay>>,
    /// Topics to replay after the replay under way.
    pub joins: Vec<Walk>,
    /// Sync requests that came before the cursors were known.
    pub early_requests: Vec<u64>,
}

impl Session {
    /// A connection whose login has been reported.
    pub fn new(opened: &Opened, login: u64) -> Self {
        Self {
            login,
            conn: opened.conn,
            device: Device::new(opened.app_id, &opened.user, &opened.device),
            version: opened.version,
            since_ms: opened.at_ms,
            phase: Phase::Opening,
            closed: false,
            rebind: false,
            known: None,
            acked: [0; 3],
            handed: [0; 3],
            reported_own: 0,
            unacked: VecDeque::new(),
            redelivery: Redelivery::default(),
            filing: false,
            replay: None,
            joins: Vec::new(),
            early_requests: Vec::new(),
        }
    }

    /// A kept message of the own channel goes to the connection.
    pub fn hand_own(&mut self, seq: u64, message: u64) {
        let newest = self.unacked.back().map_or(self.acked[0], |&(seq, _)| seq);
        if self.version > 0 && seq > newest && self.unacked.len() < UNACKED_MAX {
            self.unacked.push_back((seq, message));
        }
        self.handed[0] = self.handed[0].max(seq);
    }

    /// Moves a cursor; the messages of the own channel that are received by it. Empty and false if it does not move.
    pub fn acknowledge(&mut self, channel: usize, seq: u64) -> (bool, Vec<u64>) {
        if seq <= self.acked[channel] {
            return (false, Vec::new());
        }
        self.acked[channel] = seq;
        self.redelivery.progressed();
        let mut received = Vec::new();
        while channel == 0 && self.unacked.front().is_some_and(|&(own, _)| own <= seq) {
            received.extend(self.unacked.pop_front().map(|(_, message)| message));
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
            (2, head.first - 1)
        } else {
            (0, named.seq.min(head.last))
        };
        from[channel] = seq;
        answers.push(Resumed { channel: named.channel, result, seq });
    }
    (from, answers)
}

/// All sessions: by connection, and in a stable order to be swept in slices.
#[derive(Debug, Default)]
pub struct Sessions {
    slots: Slab<Session>,
    by_conn: FxHashMap<u64, usize>,
}

impl Sessions {
    /// Adds a session, replacing one of the same connection.
    pub fn insert(&mut self, session: Session) {
        let conn = session.conn;
        self.remove(conn);
        let slot = self.slots.insert(session);
        self.by_conn.insert(conn, slot);
    }

    /// Takes a session out.
    pub fn remove(&mut self, conn: u64) -> Option<Session> {
        self.by_conn.remove(&conn).map(|slot| self.slots.remove(slot))
    }

    /// A session.
    pub fn get(&self, conn: u64) -> Option<&Session> {
        self.by_conn.get(&conn).map(|&slot| &self.slots[slot])
    }

    /// A session, to change.
    pub fn get_mut(&mut self, conn: u64) -> Option<&mut Session> {
        self.by_conn.get(&conn).map(|&slot| &mut self.slots[slot])
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// All sessions.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.slots.iter().map(|(_, session)| session)
    }

    /// The session in a slot, if any: for sweeps.
    pub fn in_slot(&mut self, slot: usize) -> Option<&mut Session> {
        self.slots.get_mut(slot)
    }

    /// Slots are below this.
    pub fn slots(&self) -> usize {
        self.slots.capacity()
    }
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
        assert_eq!(from[0], 14);
        assert_eq!(told, [Resumed { channel: 0, result: 2, seq: 14 }]);
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
