//! An outbox between a log that replays and a socket that stalls, in random steps. Whatever happens, a client that discards duplicates sees every kept message, in
//! the order of its channel; live ones in order, at most once; each entry ends exactly once; the limits hold.

mod entries;

use bytes::Bytes;
use entries::LIMITS;
use gpusher_proto::gateway::SlowPolicy;
use gpusher_proto::wire::fuzz::Random;
use gpusher_proto::wire::{ChannelKind, Position};
use gpusher_session::{Class, Entry, Lane, Offered, Outbox, Progress};
use std::collections::{BTreeSet, VecDeque};

/// More than the limit: large messages have to get through.
const LIVE_BYTES_MAX: usize = 150;
const KINDS: [ChannelKind; 3] = [ChannelKind::Own, ChannelKind::App, ChannelKind::Everyone];

/// Entry numbers are unique; so is a kept message's (kind, sequence), which may be in several entries.
struct World {
    random: Random,
    outbox: Outbox<u64>,
    now_ms: u64,
    entries: u64,
    ended: BTreeSet<u64>,
    /// Per channel: what is kept, as (sequence, message id), oldest first.
    logs: [Vec<(u64, u64)>; 3],
    next_seq: [u64; 3],
    /// Replay under way, and up to where it will have come.
    replay: Option<(VecDeque<Position>, [u64; 3])>,
    hold: bool,
    /// The byte stream that the socket has seen, and what it must be.
    socket: Vec<u8>,
    expected: Vec<u8>,
    received: [BTreeSet<u64>; 3],
    last_live: u64,
    replays: u32,
}

impl World {
    fn new(random: Random) -> Self {
        Self {
            random,
            outbox: Outbox::default(),
            now_ms: 0,
            entries: 0,
            ended: BTreeSet::new(),
            logs: Default::default(),
            next_seq: [1; 3],
            replay: None,
            hold: false,
            socket: Vec::new(),
            expected: Vec::new(),
            received: Default::default(),
            last_live: 0,
            replays: 0,
        }
    }

    fn step(&mut self) {
        match self.random.below(12) {
            0..3 => self.push_kept(),
            3 | 4 => self.push_live(),
            5 => self.push_control(),
            6..9 => {
                let percent = self.random.below(120).min(100);
                self.flush(percent);
            }
            9 => self.recall(),
            10 => self.replay_one(),
            _ => self.drop_expired(),
        }
        self.look();
        self.outbox.check_invariants();
    }

    fn offer(&mut self, mut entry: Entry<u64>, lane: Lane) -> Offered {
        self.entries += 1;
        entry.job = self.entries;
        let ended = &mut self.ended;
        let offered = self
            .outbox
            .offer(entry, lane, &LIMITS, &mut |_, entry| assert!(ended.insert(entry.job)));
        let most = LIMITS.bytes_max + LIMITS.control_bytes_max + LIVE_BYTES_MAX;
        assert!(self.outbox.bytes() <= most, "one frame over the limit at most");
        offered
    }

    fn kept(&mut self, position: Position, message_id: u64) -> Entry<u64> {
        let bytes = 1 + (position.seq * 7 % 60) as usize;
        Entry { position, message_id, ..entries::entry(position.seq, Class::Kept, bytes) }
    }

    fn lane(&self) -> Lane {
        if self.hold { Lane::Hold } else { Lane::Pass }
    }

    fn push_kept(&mut self) {
        let channel = self.random.below(3);
        let seq = self.next_seq[channel];
        self.next_seq[channel] += 1 + self.random.below(2) as u64;
        let message_id = 1_000_000 + (channel as u64) * 1_000_000 + seq;
        self.logs[channel].push((seq, message_id));
        let entry = self.kept(Position { kind: KINDS[channel], seq }, message_id);
        let offered = self.offer(entry, self.lane());
        assert_ne!(offered, Offered::Close);
    }

    fn push_live(&mut self) {
        let policy =
            if self.random.below(2) == 0 { SlowPolicy::DropOldest } else { SlowPolicy::DropNewest };
        let bytes = 1 + self.random.below(LIVE_BYTES_MAX);
        let mut entry = entries::entry(self.entries, Class::Live(policy), bytes);
        entry.expires_at_ms = if self.random.below(4) == 0 { self.now_ms + 3 } else { 0 };
        assert_ne!(self.offer(entry, self.lane()), Offered::Close);
    }

    fn push_control(&mut self) {
        let entry = Entry::control(Bytes::from_static(b"ctl"), 0);
        // A real connection closes when this one is refused; here the client just hears nothing.
        let _ = self.offer(entry, Lane::Pass);
    }

    fn flush(&mut self, percent: usize) {
        let pieces: Vec<Bytes> = self.outbox.pieces().collect();
        let bytes = pieces.concat();
        if self.random.below(4) == 0 {
            // What comes between the call and its completion leaves the pieces alone.
            self.recall();
            self.push_kept();
        }
        let taken = bytes.len() * percent / 100;
        self.socket.extend_from_slice(&bytes[..taken]);
        let mut completed = Vec::new();
        let progress = self.outbox.advance(taken, &mut |entry| completed.push(entry));
        assert_eq!(progress == Progress::Full, taken < bytes.len());
        completed.into_iter().for_each(|entry| self.receive(&entry));
        assert!(self.socket.starts_with(&self.expected), "frames are written whole and in order");
    }

    fn receive(&mut self, entry: &Entry<u64>) {
        assert!(self.ended.insert(entry.job));
        self.expected.extend_from_slice(&entry.frame);
        match entry.class {
            Class::Control => {}
            Class::Live(_) => {
                assert!(entry.job > self.last_live, "live messages keep their order");
                self.last_live = entry.job;
            }
            Class::Kept => {
                let received = &mut self.received[entry.position.kind as usize];
                let newest = received.last().copied().unwrap_or(0);
                let seq = entry.position.seq;
                assert!(seq > newest || received.contains(&seq), "{seq} after {newest}");
                received.insert(seq);
            }
        }
    }

    fn recall(&mut self) {
        let channel = self.random.below(3);
        if self.logs[channel].is_empty() || self.random.below(3) != 0 {
            return;
        }
        let at = self.random.below(self.logs[channel].len());
        let (_, message_id) = self.logs[channel].remove(at);
        let ended = &mut self.ended;
        self.outbox.recall(message_id, &mut |_, entry| assert!(ended.insert(entry.job)));
    }

    fn drop_expired(&mut self) {
        self.now_ms += 1;
        let ended = &mut self.ended;
        self.outbox.drop_expired(self.now_ms, &mut |_, entry| assert!(ended.insert(entry.job)));
    }

    /// What the shard does when the socket has taken all that was ready: the gap goes to logic, which reads the log from there.
    fn look(&mut self) {
        let unwritten = self.outbox.unwritten_from();
        for (channel, kind) in KINDS.into_iter().enumerate() {
            let missing =
                self.logs[channel].iter().find(|(seq, _)| !self.received[channel].contains(seq));
            let Some((missing, _)) = missing else { continue };
            assert!(
                unwritten.of(kind).is_some_and(|from| from <= *missing),
                "{missing} is known to be missing"
            );
        }
        if self.outbox.has_ready() || self.replay.is_some() {
            return;
        }
        let Some(gap) = self.outbox.take_gap() else { return };
        self.hold = true;
        self.replays += 1;
        let mut pages = VecDeque::new();
        let mut through = [0; 3];
        for position in gap.positions() {
            let channel = position.kind as usize;
            let from = self.logs[channel].iter().filter(|(seq, _)| *seq >= position.seq);
            pages.extend(from.map(|(seq, _)| Position { kind: position.kind, seq: *seq }));
            through[channel] = self.next_seq[channel] - 1;
        }
        self.replay = Some((pages, through));
    }

    fn replay_one(&mut self) {
        let Some((pages, through)) = &mut self.replay else { return };
        let Some(position) = pages.pop_front() else {
            let positions =
                KINDS.into_iter().zip(*through).map(|(kind, seq)| Position { kind, seq });
            let ended = &mut self.ended;
            self.outbox.gap_filled();
            let released =
                self.outbox.release(positions, &mut |_, entry| assert!(ended.insert(entry.job)));
            self.hold = !released;
            self.replay = None;
            return;
        };
        // The page was read before, so what is recalled in between is still sent: as a job under way drops it, so do we.
        let log = &self.logs[position.kind as usize];
        if let Some((_, message_id)) = log.iter().find(|(seq, _)| *seq == position.seq).copied() {
            let entry = self.kept(position, message_id);
            assert_ne!(self.offer(entry, Lane::Pass), Offered::Close);
        }
    }

    /// The socket takes everything, and logic finishes what it owes.
    fn settle(&mut self) {
        for _ in 0..100_000 {
            if self.outbox.is_idle() && self.replay.is_none() {
                break;
            }
            self.flush(100);
            self.look();
            self.replay_one();
        }
        assert!(self.outbox.is_idle());
        for channel in 0..3 {
            for (seq, _) in &self.logs[channel] {
                assert!(self.received[channel].contains(seq), "kept message {seq} is lost");
            }
        }
        assert_eq!(self.ended.len() as u64, self.entries, "each entry ends once");
        assert_eq!(self.socket, self.expected);
    }
}

#[test]
fn nothing_kept_is_lost_and_all_is_in_order() {
    let mut random = Random::seeded();
    let mut replays = 0;
    for _ in 0..300 {
        let mut world = World::new(random.fork());
        for _ in 0..400 {
            world.step();
        }
        world.settle();
        replays += world.replays;
    }
    assert!(replays > 1000, "only {replays} spills were seen");
}
