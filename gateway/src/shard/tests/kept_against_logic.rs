//! Kept messages under random stalls, spills, ends and logins, with a logic that replays as the real one does.
//!
//! Every connection gets each of its channels from where its client resumes, without a gap and in order. Nothing comes twice but to a
//! connection that has spilled, and there hardly ever: when copies of what a replay brings find no room while the replay waits itself. What the shard says was written has reached the client's socket: outcomes, and the positions that it names at the end of a connection.

use super::random::Random;
use super::rig::*;
use crate::mail::{Audience, JobDone};
use crate::shard::ShardConfig;
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::gateway::{Closed, Drained, Position, event::Kind};
use gpusher_proto::wire::ChannelKind::{self, App, Own};
use gpusher_session::OutboxLimits;
use std::collections::{BTreeSet, HashMap, VecDeque};

const USERS: usize = 6;
const PAGE: u64 = 3;
const CHANNELS: [ChannelKind; 2] = [Own, App];

/// A connection as client and logic see it.
struct Conn {
    peer: usize,
    user: usize,
    /// Last kept sequence received in own and app: from the login on, without a gap.
    received: [u64; 2],
    replay: Option<Replay>,
    has_spilled: bool,
}

/// Per channel: replayed up to, and whether that was the log's end.
struct Replay {
    after: [u64; 2],
    ended: [bool; 2],
    /// Only these are named at its end.
    walks: [bool; 2],
    /// Sequences of the page without an outcome.
    open: BTreeSet<u64>,
    /// Names the page, and its channel.
    page: (u64, usize),
    waiting: bool,
}

/// A command on its way: the link may bring a page in pieces, and what logic sent before it heard of a spill.
enum Sent {
    Page {
        conn: u64,
        page: u64,
        channel: usize,
        seq: u64,
    },
    Start(u64),
    /// With the last gap that logic had heard of.
    Done(u64, Vec<(ChannelKind, u64)>, u32),
}

/// A delivery under way.
struct Delivered {
    conn: Option<u64>,
    /// Page of a replay.
    page: Option<u64>,
    seq: u64,
}

struct World {
    rig: Rig,
    random: Random,
    /// Last sequence of each user's own log, and of the app's.
    own: [u64; USERS],
    app: u64,
    live: u64,
    conns: HashMap<u64, Conn>,
    /// What clients had when their last connection ended.
    resume: [[u64; 2]; USERS],
    jobs: HashMap<u64, Delivered>,
    sent: VecDeque<Sent>,
    pages: u64,
    tally: Tally,
}

/// That the test is about something.
#[derive(Debug, Default)]
struct Tally {
    received: u32,
    duplicates: u32,
    spills: u32,
    /// Ends of connections that said how far they had come.
    claims: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let outbox = OutboxLimits { entries_max: 4, ..OutboxLimits::default() };
        let mut config = ShardConfig { outbox, ..ShardConfig::default() };
        config.slice.sends_max = 2;
        let mut world = Self {
            rig: Rig::new(config),
            random: Random(seed),
            own: [0; USERS],
            app: 0,
            live: 0,
            conns: HashMap::new(),
            resume: [[0; 2]; USERS],
            jobs: HashMap::new(),
            sent: VecDeque::new(),
            pages: 0,
            tally: Tally::default(),
        };
        (0..USERS).for_each(|user| world.log_in(user));
        world
    }

    fn log_in(&mut self, user: usize) {
        let peer = self.rig.net.connect();
        self.rig.say(peer, login(&format!("user-{user}")));
        loop {
            self.rig.turn();
            if let [conn] = self.rig.take_opened()[..] {
                let received = self.resume[user];
                let replay = Some(Replay::of_login(received));
                self.conns
                    .insert(conn.raw(), Conn { peer, user, received, replay, has_spilled: false });
                return self.rig.admit(conn);
            }
        }
    }

    fn step(&mut self) {
        match self.random.below(16) {
            0 => self.hang_up(),
            1..5 => self.stall_or_not(),
            5..9 => self.push_own(),
            9..12 => self.push_app(),
            12 => self.push_live(),
            13 => self.look_again(),
            _ => {}
        }
        for _ in 0..self.random.below(3) {
            self.rig.turn();
            self.listen();
            self.act();
            let pieces = self.random.below(4);
            self.carry(pieces);
        }
    }

    fn any(&mut self) -> u64 {
        let mut ids: Vec<u64> = self.conns.keys().copied().collect();
        ids.sort_unstable();
        ids[self.random.below(ids.len())]
    }

    fn stall_or_not(&mut self) {
        let conn = self.any();
        let room = [0, 1, 30, 90, 200, usize::MAX, usize::MAX][self.random.below(7)];
        self.rig.net.set_room(self.conns[&conn].peer, room);
    }

    fn push_own(&mut self) {
        let conn = self.any();
        let user = self.conns[&conn].user;
        self.own[user] += 1;
        let seq = self.own[user];
        let job = self.rig.unicast(ConnId::from_raw(conn), kept(Own, seq));
        self.jobs.insert(job, Delivered { conn: Some(conn), page: None, seq });
    }

    fn push_app(&mut self) {
        self.app += 1;
        let job = self.rig.deliver(Audience::App(APP), kept(App, self.app), false);
        self.jobs.insert(job, Delivered { conn: None, page: None, seq: self.app });
    }

    fn push_live(&mut self) {
        self.live += 1;
        let message = live(ChannelKind::Everyone, self.live);
        let job = self.rig.deliver(Audience::Everyone, message, false);
        self.jobs.insert(job, Delivered { conn: None, page: None, seq: self.live });
    }

    fn hang_up(&mut self) {
        let conn = self.any();
        let errno = [0, 104][self.random.below(2)];
        self.rig.net.hang_up(self.conns[&conn].peer, errno);
        while self.conns.contains_key(&conn) {
            self.rig.turn();
            self.listen();
        }
    }

    // ---- the clients ----------------------------------------------------------------------------------------

    fn listen(&mut self) {
        let Self { rig, conns, tally, .. } = self;
        conns.values_mut().for_each(|conn| conn.read(rig, tally));
        for done in self.rig.done() {
            self.on_done(&done);
        }
        for event in self.rig.events() {
            match event {
                Kind::Drained(drained) => self.on_drained(&drained),
                Kind::Closed(closed) => self.on_closed(&closed),
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    // ---- logic ----------------------------------------------------------------------------------------------

    fn on_done(&mut self, done: &JobDone) {
        let job = self.jobs.remove(&done.job).expect("a job has one outcome");
        let Some(id) = job.conn else { return };
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let taken = done.overflowed == 0 && done.waiting.is_empty();
        if let Some(page) = job.page {
            let current = |replay: &&mut Replay| replay.page.0 == page;
            let Some(replay) = conn.replay.as_mut().filter(current) else { return };
            replay.open.remove(&job.seq);
            replay.waiting |= !taken;
        } else if done.written > 0 {
            assert!(conn.received[0] >= job.seq, "said to be written");
        }
    }

    /// A replay in which nothing is due, as one for a topic or for want of an acknowledgement may be: the shard did not ask for it.
    fn look_again(&mut self) {
        let id = self.any();
        let ends = [self.own[self.conns[&id].user], self.app];
        let conn = self.conns.get_mut(&id).expect("one of them");
        if conn.replay.is_none() {
            conn.replay = Some(Replay::of_nothing(ends));
            self.sent.push_back(Sent::Start(id));
        }
    }

    fn on_drained(&mut self, drained: &Drained) {
        let Some(conn) = self.conns.get_mut(&drained.conn) else { return };
        self.tally.spills += u32::from(!drained.spilled_from.is_empty());
        conn.has_spilled |= !drained.spilled_from.is_empty();
        if conn.replay.is_none() && drained.spilled_from.is_empty() {
            return;
        }
        let ends = [self.own[conn.user], self.app];
        let replay = conn.replay.get_or_insert(Replay::of_nothing(ends));
        replay.waiting = false;
        if !drained.spilled_from.is_empty() {
            // What has no outcome yet of the page is refused: it is due again.
            if let Some(first) = std::mem::take(&mut replay.open).first() {
                let channel = replay.page.1;
                replay.after[channel] = first - 1;
                (replay.ended[channel], replay.walks[channel]) = (false, true);
            }
            replay.page = (0, 0);
            self.sent.push_back(Sent::Start(drained.conn));
        }
        for Position { channel, seq } in drained.spilled_from.iter().copied() {
            let channel = channel as usize;
            replay.after[channel] = replay.after[channel].min(seq - 1);
            (replay.ended[channel], replay.walks[channel]) = (false, true);
        }
    }

    fn on_closed(&mut self, closed: &Closed) {
        let mut conn = self.conns.remove(&closed.conn).expect("closed once");
        conn.read(&mut self.rig, &mut self.tally);
        let of = |positions: &[Position], kind: ChannelKind| {
            positions.iter().find(|it| it.channel == kind as i32).map(|it| it.seq)
        };
        if let Some(through) = of(&closed.through, App) {
            let unwritten_from = of(&closed.unwritten_from, App).unwrap_or(u64::MAX);
            let claimed = through.min(unwritten_from - 1);
            assert!(conn.received[1] >= claimed, "{closed:?}, received {:?}", conn.received);
            self.tally.claims += 1;
        }
        self.resume[conn.user] = conn.received;
        self.log_in(conn.user);
    }

    /// Goes on with every replay that waits for nothing.
    fn act(&mut self) {
        let mut ids: Vec<u64> = self.conns.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            self.go_on(id);
        }
    }

    fn go_on(&mut self, id: u64) {
        let conn = self.conns.get_mut(&id).unwrap();
        let Some(replay) = conn.replay.as_mut().filter(|it| it.open.is_empty() && !it.waiting)
        else {
            return;
        };
        let ends = [self.own[conn.user], self.app];
        let Some(channel) = replay.ended.iter().position(|ended| !ended) else {
            let walked = (0..2).filter(|&channel| replay.walks[channel]);
            let positions = walked.map(|channel| (CHANNELS[channel], replay.after[channel]));
            let positions: Vec<_> = positions.collect();
            conn.replay = None;
            let gap = self.rig.gap_heard(ConnId::from_raw(id));
            return self.sent.push_back(Sent::Done(id, positions, gap));
        };
        let first = replay.after[channel] + 1;
        let last = ends[channel].min(replay.after[channel] + PAGE);
        replay.ended[channel] = last == ends[channel];
        replay.after[channel] = last;
        self.pages += 1;
        replay.page = (self.pages, channel);
        replay.open = (first..=last).collect();
        let page = self.pages;
        self.sent.extend((first..=last).map(|seq| Sent::Page { conn: id, page, channel, seq }));
    }

    /// Brings some of what logic has sent.
    fn carry(&mut self, pieces: usize) {
        for _ in 0..pieces {
            match self.sent.pop_front() {
                Some(Sent::Page { conn, page, channel, seq }) => {
                    let audience = Audience::Connections(vec![ConnId::from_raw(conn)]);
                    let job = self.rig.deliver(audience, kept(CHANNELS[channel], seq), true);
                    self.jobs.insert(job, Delivered { conn: Some(conn), page: Some(page), seq });
                }
                Some(Sent::Start(conn)) => {
                    self.rig.tell(sync_start(ConnId::from_raw(conn)));
                }
                Some(Sent::Done(conn, positions, gap)) => {
                    self.rig.sync_done_for(ConnId::from_raw(conn), &positions, gap);
                }
                None => return,
            }
        }
    }

    fn check(mut self) -> Tally {
        let peers: Vec<usize> = self.conns.values().map(|conn| conn.peer).collect();
        peers.iter().for_each(|&peer| self.rig.net.set_room(peer, usize::MAX));
        for _ in 0..500 {
            self.rig.turn();
            self.listen();
            self.act();
            self.carry(usize::MAX);
        }
        self.rig.pass_ms(250);
        assert!(self.jobs.is_empty(), "every job has an outcome");
        for conn in self.conns.values() {
            assert!(conn.replay.is_none());
            assert_eq!(conn.received, [self.own[conn.user], self.app]);
        }
        assert_eq!(self.rig.shard.check_idle(), Ok(()));
        self.tally
    }
}

impl Replay {
    /// A replay that is at the end of the logs.
    fn of_nothing(ends: [u64; 2]) -> Self {
        let (ended, walks) = ([true; 2], [false; 2]);
        Self { after: ends, ended, walks, open: BTreeSet::new(), page: (0, 0), waiting: false }
    }

    fn of_login(after: [u64; 2]) -> Self {
        let (ended, walks) = ([false; 2], [true; 2]);
        Self { after, ended, walks, open: BTreeSet::new(), page: (0, 0), waiting: false }
    }
}

impl Conn {
    /// Everything comes in order.
    fn read(&mut self, rig: &mut Rig, tally: &mut Tally) {
        for frame in rig.whole_frames(self.peer) {
            if let Got::Push(kind @ (Own | App), seq) = frame {
                let received = &mut self.received[kind as usize];
                let again = self.has_spilled && seq <= *received;
                assert!(again || seq == *received + 1, "{kind:?} {seq} after {received}");
                *received = seq.max(*received);
                tally.received += 1;
                tally.duplicates += u32::from(again);
            }
        }
    }
}

#[test]
fn every_connection_gets_its_channels_whole_and_in_order() {
    let mut sum = Tally::default();
    for round in 0..60 {
        let seed = 0xcafe_0000 + round;
        println!("seed {seed:#x}");
        let mut world = World::new(seed);
        for _ in 0..400 {
            world.step();
        }
        let tally = world.check();
        sum.received += tally.received;
        sum.duplicates += tally.duplicates;
        sum.spills += tally.spills;
        sum.claims += tally.claims;
    }
    assert!(sum.spills > 500 && sum.claims > 100, "{sum:?}");
    assert!(sum.duplicates * 50 < sum.received, "{sum:?}");
    println!("{sum:?}");
}
