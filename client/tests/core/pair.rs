//! The core and the gateway's own session, both in virtual time, over a network that cuts: every kept message is worked on exactly once
//! and in order, whatever is lost on the way, and nothing is acknowledged that was not worked on.

use crate::scripted::config;
use gpusher_client::core::{Action, Core, Outcome};
use gpusher_client::{ChannelKind, Event, Positions, Target};
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::gateway::Message;
use gpusher_proto::wire::v1::{Resume, ResumeResult};
use gpusher_proto::wire::{EncodedPush, Encoding, Position};
use gpusher_session::{Admission, Event as Heard, Limits, Session, State};

const EPOCH: u64 = 7;
const MESSAGES: u64 = 60;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % bound
    }
}

/// A gateway and a log with one user.
struct Server {
    session: Option<Session>,
    /// Sequences of kept messages: all even, so that numbers are skipped.
    log: Vec<u64>,
    /// Last sequence acknowledged.
    acked: u64,
    /// Last sequence sent on this connection.
    sent: u64,
    live: u64,
    out: Vec<u8>,
    sends: Vec<Vec<u8>>,
    resumed_from: Option<u64>,
}

impl Server {
    fn hear(&mut self, bytes: &[u8], now_ms: u64) {
        let Some(session) = &mut self.session else { return };
        let (mut login, mut acks, mut sends) = (None, Vec::new(), Vec::new());
        let mut on = |heard: Heard<'_>| match heard {
            Heard::Login(hello) => {
                let resume = hello.resume.iter().find(|at| at.kind == ChannelKind::Own);
                login = Some((hello.epoch, resume.map(|at| at.seq)));
            }
            Heard::Ack(Position { kind: ChannelKind::Own, seq }) => acks.push(seq),
            Heard::Upstream(upstream) => sends.push((upstream.request, upstream.content.to_vec())),
            other => panic!("{other:?} was not expected"),
        };
        session.on_bytes(bytes, now_ms, &Limits::default(), &mut self.out, &mut on).unwrap();
        for seq in acks {
            assert!(seq >= self.acked, "acknowledgements go forward");
            self.acked = seq;
        }
        for (request, content) in sends {
            self.sends.push(content);
            session.answer(request, 0, self.sends.len() as u64, &mut self.out);
        }
        if let Some((epoch, resume)) = login {
            assert!(resume.is_none() || epoch == EPOCH);
            self.resumed_from = resume;
            self.sent = resume.unwrap_or(self.acked);
            let resumed = resume.map(|seq| Resume {
                kind: ChannelKind::Own,
                result: ResumeResult::Resumed,
                seq,
            });
            let admission = Admission {
                connection: ConnId::new(0, 0, 1, 1),
                epoch: EPOCH,
                resumed: resumed.as_slice(),
            };
            session
                .admit(&admission, now_ms, &Limits::default(), &mut self.out, &mut |_| {})
                .unwrap();
        }
    }

    fn push(&mut self, seq: u64, kept: bool) {
        let message = Message {
            id: if kept { seq } else { 1_000_000 + seq },
            seq,
            kept,
            content: format!("message {seq}")
                .repeat(if seq.is_multiple_of(10) { 200 } else { 1 })
                .into(),
            ..Message::default()
        };
        let encoding = self.session.as_ref().and_then(Session::encoding).unwrap_or(Encoding::V1);
        self.out.extend_from_slice(EncodedPush::new(message).frame(encoding));
    }

    /// Sends what comes next: a kept message in order, sometimes all unacknowledged ones again, sometimes a live one.
    fn speak(&mut self, random: &mut Random) {
        if self.session.as_ref().is_none_or(|session| session.state() != State::Admitted) {
            return;
        }
        match random.below(8) {
            0 => {
                self.live += 1;
                self.push(2 * self.live + 1, false);
            }
            1 => {
                let due: Vec<u64> = self
                    .log
                    .iter()
                    .copied()
                    .filter(|&seq| seq > self.acked && seq <= self.sent)
                    .collect();
                due.into_iter().for_each(|seq| self.push(seq, true));
            }
            _ => {
                let next = self.log.iter().copied().find(|&seq| seq > self.sent);
                if let Some(seq) = next {
                    self.sent = seq;
                    self.push(seq, true);
                }
            }
        }
    }
}

fn run(seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut server = Server {
        session: None,
        log: (1..=MESSAGES).map(|n| 2 * n).collect(),
        acked: 0,
        sent: 0,
        live: 0,
        out: Vec::new(),
        sends: Vec::new(),
        resumed_from: None,
    };
    let mut core = Core::new(config(), Positions::default(), seed);
    let (mut now_ms, mut worked, mut in_hand) = (0, Vec::new(), None);
    let (mut asked, mut answered, mut steps) = (0, 0, 0);
    while server.acked < 2 * MESSAGES {
        steps += 1;
        assert!(steps < 100_000, "seed {seed}: stuck at {} of {worked:?}", server.acked);
        now_ms += random.below(40);
        core.on_time(now_ms);
        match core.poll_action() {
            Some(Action::Connect(_)) if random.below(4) == 0 => {
                core.on_disconnected("refused", now_ms)
            }
            Some(Action::Connect(_)) => {
                server.session = Some(Session::new());
                server.out.clear();
                core.on_connected(now_ms);
            }
            Some(Action::Disconnect) => server.session = None,
            None => {}
        }
        server.speak(&mut random);
        // Part of what waits gets across, in either direction.
        let there = random.below(core.output().len() as u64 + 1) as usize;
        let bytes: Vec<u8> = core.output().drain(..there).collect();
        server.hear(&bytes, now_ms);
        let back = random.below(server.out.len() as u64 + 1) as usize;
        let bytes: Vec<u8> = server.out.drain(..back).collect();
        core.on_bytes(&bytes, now_ms);
        if random.below(3) == 0 {
            match core.poll_event(now_ms) {
                Some(Event::Message(message)) if message.kept => {
                    worked.extend(in_hand.replace(message.seq));
                }
                _ => worked.extend(in_hand.take()),
            }
        }
        if random.below(20) == 0 && core.send(Target::User, "bob", b"hi", now_ms).is_ok() {
            asked += 1;
        }
        while let Some((_, outcome)) = core.poll_answer() {
            assert!(matches!(outcome, Outcome::Done(_) | Outcome::Unanswered));
            answered += 1;
        }
        assert!(
            worked.last().copied().unwrap_or(0) >= server.acked,
            "seed {seed}: {} was acknowledged before it was worked on",
            server.acked
        );
        if random.below(60) == 0 && server.session.is_some() {
            // Cut: what is on the way in either direction is gone.
            server.session = None;
            server.out.clear();
            core.on_disconnected("cut", now_ms);
        }
    }
    let all: Vec<u64> = (1..=MESSAGES).map(|n| 2 * n).collect();
    assert_eq!(worked, all, "seed {seed}");
    assert!(answered <= asked);
}

#[test]
fn kept_messages_are_worked_on_once_and_in_order_over_cuts() {
    for seed in 1..=60 {
        run(seed);
    }
}
