//! Random logins, ends, joins, leaves, stalls and pushes, against a plain model of who has to get what.
//!
//! Who is a member throughout a push's fan-out gets it exactly once; who is a member for a part of it, at most once; nobody else gets it. Each
//! channel comes in order on each connection. Outcomes add up to at least the members throughout, and each push has one.

use super::random::Random;
use super::rig::*;
use crate::mail::{Audience, ToShard};
use crate::shard::ShardConfig;
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::gateway::Answer;
use gpusher_proto::wire::ChannelKind::{self, App, Everyone, Own, Topic};
use gpusher_proto::wire::v1::ClientFrame;
use std::collections::{BTreeSet, HashMap};

const TOPICS: [&str; 3] = ["a", "b", "c"];

struct Client {
    peer: usize,
    conn: ConnId,
    topics: BTreeSet<&'static str>,
    received: Vec<(ChannelKind, u64)>,
    request: u64,
}

/// A push to a channel: who was a member when it began, minus who was not throughout.
struct Pushed {
    channel: ChannelKind,
    topic: &'static str,
    seq: u64,
    throughout: BTreeSet<usize>,
    /// Everybody who was a member at some time of it.
    some_time: BTreeSet<usize>,
    job: u64,
    is_over: bool,
}

struct Model {
    rig: Rig,
    random: Random,
    clients: HashMap<usize, Client>,
    gone: Vec<Client>,
    pushed: Vec<Pushed>,
    seq: u64,
    next: usize,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut config = ShardConfig { topics_max: 3, ..ShardConfig::default() };
        config.slice.sends_max = 3;
        config.session.frames_per_second = 0;
        let (rig, random) = (Rig::new(config), Random(seed));
        let (clients, gone, pushed) = (HashMap::new(), Vec::new(), Vec::new());
        Self { rig, random, clients, gone, pushed, seq: 0, next: 0 }
    }

    fn any(&mut self) -> Option<usize> {
        let mut keys: Vec<usize> = self.clients.keys().copied().collect();
        keys.sort_unstable();
        (!keys.is_empty()).then(|| keys[self.random.below(keys.len())])
    }

    fn step(&mut self) {
        match self.random.below(12) {
            0 | 1 => self.log_in(),
            2 => self.hang_up(),
            3 | 4 => self.join_or_leave(),
            5 => self.stall_or_not(),
            6 => self.unicast(),
            _ => self.push(),
        }
        for _ in 0..self.random.below(3) {
            self.rig.turn();
        }
        self.note_outcomes();
    }

    /// Not settled in between: fan-outs are under way meanwhile.
    fn log_in(&mut self) {
        let peer = self.rig.net.connect();
        self.rig.say(peer, login("someone"));
        let opened = loop {
            self.rig.turn();
            let found = self.rig.take_opened();
            if let [conn] = found[..] {
                break conn;
            }
        };
        self.rig.admit(opened);
        self.rig.sync_done(opened, &[]);
        self.rig.turn();
        let (topics, received) = (BTreeSet::new(), Vec::new());
        let client = Client { peer, conn: opened, topics, received, request: 0 };
        self.clients.insert(self.next, client);
        for push in self.pushed.iter_mut().filter(|push| !push.is_over && push.channel != Topic) {
            push.some_time.insert(self.next);
        }
        self.next += 1;
    }

    fn hang_up(&mut self) {
        if self.clients.len() < 5 {
            return;
        }
        let Some(key) = self.any() else { return };
        let mut client = self.clients.remove(&key).unwrap();
        collect(&mut self.rig, &mut client);
        self.rig.net.hang_up(client.peer, 104);
        self.rig.turn();
        collect(&mut self.rig, &mut client);
        for push in &mut self.pushed {
            push.throughout.remove(&key);
        }
        self.gone.push(client);
    }

    fn join_or_leave(&mut self) {
        let Some(key) = self.any() else { return };
        let topic = TOPICS[self.random.below(TOPICS.len())];
        let client = self.clients.get_mut(&key).unwrap();
        client.request += 1;
        let request = client.request;
        let joins = !client.topics.remove(topic);
        let frame = match joins {
            true => {
                client.topics.insert(topic);
                join(request, topic)
            }
            false => ClientFrame::Leave { request, topic },
        };
        self.rig.say(client.peer, frame);
        // The driver brings one piece a turn; then it counts.
        self.rig.turn();
        let conn = client.conn.raw();
        self.rig.tell(ToShard::Answer(Answer { conn, request, code: 0, value: 0 }));
        for push in self.pushed.iter_mut().filter(|push| push.topic == topic) {
            push.throughout.remove(&key);
            if joins && !push.is_over {
                push.some_time.insert(key);
            }
        }
    }

    fn stall_or_not(&mut self) {
        let Some(key) = self.any() else { return };
        let room = [0, 5, 100, usize::MAX][self.random.below(4)];
        self.rig.net.set_room(self.clients[&key].peer, room);
    }

    fn unicast(&mut self) {
        let Some(key) = self.any() else { return };
        self.seq += 1;
        let message = live(Own, self.seq);
        let conn = self.clients[&key].conn;
        let job = self.rig.unicast(conn, message);
        self.note_push(Own, "", BTreeSet::from([key]), job);
    }

    fn push(&mut self) {
        self.seq += 1;
        let (channel, topic_name, audience) = match self.random.below(4) {
            0 => (Everyone, "", Audience::Everyone),
            1 => (App, "", Audience::App(APP)),
            _ => {
                let name = TOPICS[self.random.below(TOPICS.len())];
                (Topic, name, topic(name))
            }
        };
        let is_member = |client: &Client| channel != Topic || client.topics.contains(topic_name);
        let members = self.clients.iter().filter(|(_, client)| is_member(client));
        let members = members.map(|(&key, _)| key).collect();
        let job = self.rig.deliver(audience, live(channel, self.seq), false);
        self.note_push(channel, topic_name, members, job);
    }

    fn note_push(
        &mut self,
        channel: ChannelKind,
        topic: &'static str,
        members: BTreeSet<usize>,
        job: u64,
    ) {
        let (throughout, some_time) = (members.clone(), members);
        let seq = self.seq;
        let is_over = false;
        self.pushed.push(Pushed { channel, topic, seq, throughout, some_time, job, is_over });
    }

    fn note_outcomes(&mut self) {
        for done in self.rig.done() {
            let push = self.pushed.iter_mut().find(|push| push.job == done.job).unwrap();
            assert!(!push.is_over, "a job has one outcome");
            push.is_over = true;
            let reached = done.written + done.queued;
            assert!(reached as usize >= push.throughout.len(), "{done:?}");
            assert!(reached as usize <= push.some_time.len(), "{done:?}");
            assert_eq!(done.overflowed + done.expired + done.recalled, 0);
        }
    }

    fn check(mut self) {
        for client in self.clients.values() {
            self.rig.net.set_room(client.peer, usize::MAX);
        }
        self.rig.settle();
        self.rig.pass_ms(250);
        self.note_outcomes();
        assert!(self.pushed.iter().all(|push| push.is_over));
        for client in self.clients.values_mut() {
            collect(&mut self.rig, client);
        }
        for (&key, client) in &self.clients {
            for push in &self.pushed {
                let times = client.received.iter().filter(|&&got| got == (push.channel, push.seq));
                let times = times.count();
                let may = usize::from(push.some_time.contains(&key));
                let must = usize::from(push.throughout.contains(&key));
                assert!((must..=may).contains(&times), "client {key}, push {}", push.seq);
            }
        }
        for client in self.clients.values().chain(&self.gone) {
            for kind in [Own, App, Everyone, Topic] {
                let of_kind = client.received.iter().filter(|(of, _)| *of == kind);
                let seqs: Vec<u64> = of_kind.map(|&(_, seq)| seq).collect();
                // Sequences are given in the order of the pushes; topics are several channels.
                let in_order = seqs.is_sorted_by(|a, b| a < b);
                assert!(in_order || kind == Topic, "{kind:?} {seqs:?}");
            }
        }
        assert_eq!(self.rig.shard.check_idle(), Ok(()));
    }
}

/// Takes the whole frames that a client has; half a frame at its end stays with the client's bytes.
fn collect(rig: &mut Rig, client: &mut Client) {
    for frame in rig.whole_frames(client.peer) {
        if let Got::Push(kind, seq) = frame {
            client.received.push((kind, seq));
        }
    }
}

#[test]
fn everybody_gets_what_it_must_and_nothing_else() {
    for round in 0..40 {
        let seed = 0x5eed_0000 + round;
        println!("seed {seed:#x}");
        let mut model = Model::new(seed);
        for _ in 0..8 {
            model.log_in();
        }
        for _ in 0..250 {
            model.step();
        }
        model.check();
    }
}
