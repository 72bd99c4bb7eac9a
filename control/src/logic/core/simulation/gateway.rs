//! A gateway and its clients: holds, outboxes, spills and reports as the shards do them.

use super::super::{LinkKey, Now, Positions};
use super::{APP, EPOCH, Random};
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::gateway::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A client's device: it outlives its connections.
#[derive(Default, Clone)]
pub(super) struct Device {
    pub(super) got: BTreeSet<u64>,
    /// Last kept message per channel.
    pub(super) position: Positions,
}

struct Connection {
    user: usize,
    version: u32,
    at_ms: i64,
    member: bool,
    opened: Opened,
    hold: bool,
    /// A replay was asked for or promised: its end is awaited.
    sync_due: bool,
    /// Logic was told of a gap: what it replayed before it heard is not taken.
    stale: bool,
    stuck: bool,
    /// Messages that may wait.
    room: usize,
    held: VecDeque<Message>,
    outbox: VecDeque<Message>,
    /// Spilled, and logic does not know.
    gap: [Option<u64>; 3],
    /// Spilled, and logic replays it.
    owed: [Option<u64>; 3],
    owes_replay: bool,
    owes_rest: bool,
    /// Per channel: last kept number received.
    last: Positions,
    /// Kept messages received.
    had: BTreeSet<u64>,
    /// Messages received since a replay began: what comes again after that was to be expected.
    got: BTreeSet<u64>,
    unacknowledged: Positions,
}

pub(super) struct GatewayModel {
    number: u32,
    pub(super) link: Option<LinkKey>,
    pub(super) commands: VecDeque<Command>,
    events: VecDeque<event::Kind>,
    connections: BTreeMap<u64, Connection>,
    pub(super) devices: BTreeMap<usize, Device>,
    next_slot: u32,
    outbox_room: usize,
    /// How often the link has asked for everybody again.
    asked_again: u32,
    member_count: u32,
    revision: u64,
    through: Positions,
    /// Messages that a connection got more than once.
    pub(super) repeated: u64,
}

impl GatewayModel {
    pub(super) fn new(number: u32, outbox_room: usize) -> Self {
        Self {
            number,
            link: None,
            commands: VecDeque::new(),
            events: VecDeque::new(),
            connections: BTreeMap::new(),
            devices: BTreeMap::new(),
            next_slot: 0,
            outbox_room,
            asked_again: 0,
            member_count: 0,
            revision: 0,
            through: [0; 3],
            repeated: 0,
        }
    }

    pub(super) fn hello(&self) -> Hello {
        Hello { gateway: self.number, epoch: 1, ..Hello::default() }
    }

    /// A new link: everything is announced again, and holds until it is replayed.
    pub(super) fn attach(&mut self, key: LinkKey) {
        self.link = Some(key);
        self.asked_again = 0;
        self.announce_members();
        for connection in self.connections.values_mut() {
            connection.hold = true;
            let again = connection.member;
            let at_ms = connection.at_ms;
            let opened = Opened { again, at_ms, ..connection.opened.clone() };
            self.events.push_back(event::Kind::Opened(opened));
        }
        self.events.push_back(event::Kind::Announced(Announced::default()));
    }

    pub(super) fn detach(&mut self) -> Option<LinkKey> {
        self.commands.clear();
        self.events.clear();
        self.link.take()
    }

    pub(super) fn has(&self, user: usize) -> bool {
        self.connections.values().any(|connection| connection.user == user)
    }

    pub(super) fn is_idle(&self) -> bool {
        let idle = |connection: &Connection| {
            connection.member && !connection.hold && connection.outbox.is_empty()
        };
        self.commands.is_empty() && self.events.is_empty() && self.connections.values().all(idle)
    }

    pub(super) fn log_in(&mut self, user: usize, resume: Positions, random: &mut Random, now: Now) {
        self.next_slot += 1;
        let conn = ConnId::new(self.number, 0, self.next_slot, 1).raw();
        let version = u32::from(user.is_multiple_of(2));
        let named = version == 1 && random.one_in(2);
        let positions = resume.iter().enumerate();
        let resume = positions.map(|(channel, &seq)| Position { channel: channel as i32, seq });
        let opened = Opened {
            conn,
            app_id: APP,
            user: format!("user {user}"),
            device: "device".to_owned(),
            version,
            epoch: if named { EPOCH } else { 0 },
            resume: if named { resume.collect() } else { Vec::new() },
            at_ms: now.unix_ms,
            ..Opened::default()
        };
        self.events.push_back(event::Kind::Opened(opened.clone()));
        let connection = Connection {
            user,
            version,
            at_ms: now.unix_ms,
            member: false,
            opened,
            hold: true,
            sync_due: true,
            stale: false,
            stuck: false,
            room: self.outbox_room,
            held: VecDeque::new(),
            outbox: VecDeque::new(),
            gap: [None; 3],
            owed: [None; 3],
            owes_replay: false,
            owes_rest: false,
            last: [0; 3],
            had: BTreeSet::new(),
            got: BTreeSet::new(),
            unacknowledged: [0; 3],
        };
        self.connections.insert(conn, connection);
    }

    pub(super) fn close_one(&mut self, random: &mut Random) {
        let index = random.below(self.connections.len());
        if let Some(&conn) = self.connections.keys().nth(index) {
            self.close(conn);
        }
    }

    fn close(&mut self, conn: u64) {
        let Some(connection) = self.connections.remove(&conn) else { return };
        let mut unwritten: [Option<u64>; 3] = [None; 3];
        let waiting = connection.held.iter().chain(&connection.outbox).filter(|it| it.kept);
        let waiting = waiting.map(|message| (message.channel as usize, message.seq));
        let gaps = connection.gap.iter().chain(&connection.owed).enumerate();
        let gaps = gaps.filter_map(|(index, gap)| Some((index % 3, (*gap)?)));
        for (channel, seq) in waiting.chain(gaps) {
            let first = unwritten[channel].get_or_insert(seq);
            *first = seq.min(*first);
        }
        let through = match connection.hold || !connection.member {
            true => Vec::new(),
            false => positions(&self.through.map(Some)),
        };
        self.member_count -= u32::from(connection.member);
        if connection.member && self.member_count == 0 {
            self.announce_members();
        }
        let unwritten_from = positions(&unwritten);
        let closed = Closed { conn, unwritten_from, through, ..Closed::default() };
        self.events.push_back(event::Kind::Closed(closed));
    }

    fn announce_members(&mut self) {
        self.revision += 1;
        self.events.push_back(event::Kind::Membership(Membership {
            revision: self.revision,
            app_id: APP,
            topic: String::new(),
            members: self.member_count,
        }));
    }

    pub(super) fn take_events(&mut self, count: usize) -> Vec<Event> {
        let count = count.min(self.events.len());
        self.events.drain(..count).map(|kind| Event { kind: Some(kind) }).collect()
    }

    pub(super) fn take_commands(&mut self, count: usize) {
        for _ in 0..count {
            let Some(command) = self.commands.pop_front() else { return };
            self.on_command(command.kind.expect("a kind"));
        }
    }

    fn on_command(&mut self, command: command::Kind) {
        match command {
            command::Kind::Delivery(delivery) => self.deliver(delivery),
            command::Kind::Admit(admit) => self.admit(&admit),
            command::Kind::SyncStart(start) => {
                if let Some(connection) = self.connections.get_mut(&start.conn) {
                    connection.hold = true;
                    connection.sync_due = true;
                    connection.stale = false;
                    connection.got.clear();
                }
            }
            command::Kind::SyncDone(done) => self.sync_done(&done),
            command::Kind::Kick(kick) => self.close(kick.conn),
            command::Kind::Recall(recall) => self.recall(recall.message_id),
            // They were, with the link.
            command::Kind::AnnounceAgain(_) => {
                self.asked_again += 1;
                let again = self.asked_again;
                self.events.push_back(event::Kind::Announced(Announced { again }));
            }
            command::Kind::MembershipAck(_) | command::Kind::Apps(_) => {}
            other => panic!("not part of the model: {other:?}"),
        }
    }

    fn admit(&mut self, admit: &Admit) {
        assert_eq!(admit.code, 0, "{admit:?}");
        let Some(connection) = self.connections.get_mut(&admit.conn) else { return };
        assert!(!connection.member, "admitted twice");
        connection.member = true;
        self.member_count += 1;
        if self.member_count == 1 {
            self.announce_members();
        }
    }

    fn recall(&mut self, message: u64) {
        for connection in self.connections.values_mut() {
            connection.held.retain(|it| it.id != message);
            connection.outbox.retain(|it| it.id != message);
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        let message = delivery.message.expect("a message");
        let mut outcome = Outcome { job: delivery.job, ..Outcome::default() };
        let conns = match delivery.audience.expect("an audience") {
            delivery::Audience::Connections(connections) => connections.ids,
            _ => {
                if message.kept {
                    let through = &mut self.through[message.channel as usize];
                    *through = message.seq.max(*through);
                }
                let members = self.connections.iter().filter(|(_, it)| it.member);
                members.map(|(&conn, _)| conn).collect()
            }
        };
        let named = !matches!(message.channel, 1 | 2) || delivery.replay;
        for conn in conns {
            let Some(connection) = self.connections.get_mut(&conn) else {
                outcome.absent.push(conn);
                continue;
            };
            match connection.take(&message, delivery.replay) {
                Taken::Written => {
                    outcome.written += 1;
                    let device = self.devices.entry(connection.user).or_default();
                    self.repeated += u64::from(connection.receive(device, &message));
                }
                Taken::Queued => {
                    outcome.queued += 1;
                    if named {
                        outcome.waiting.push(conn);
                        connection.owes_replay |= delivery.replay;
                        connection.owes_rest |= !delivery.replay;
                    }
                }
                Taken::Stale => outcome.overflowed += 1,
                Taken::Refused => {
                    outcome.overflowed += 1;
                    connection.owes_replay |= delivery.replay;
                }
            }
        }
        self.events.push_back(event::Kind::Outcome(outcome));
    }

    fn sync_done(&mut self, done: &SyncDone) {
        let Some(connection) = self.connections.get_mut(&done.conn) else { return };
        if !connection.member {
            return;
        }
        connection.sync_due = false;
        connection.stale = false;
        let mut through: Positions = [0; 3];
        for position in &done.positions {
            through[position.channel as usize] = position.seq;
        }
        connection.owed = [None; 3];
        let duplicate =
            |message: &Message| message.kept && message.seq <= through[message.channel as usize];
        connection.held.retain(|message| !duplicate(message));
        if connection.gap.iter().all(Option::is_none) {
            connection.hold = false;
            connection.outbox.append(&mut connection.held);
        }
    }

    /// Sockets take what waits, or are full for a while.
    pub(super) fn sockets(&mut self, random: &mut Random, slow: bool) {
        for (&conn, connection) in &mut self.connections {
            connection.stuck = slow && random.one_in(3);
            if connection.stuck {
                continue;
            }
            let device = self.devices.entry(connection.user).or_default();
            while let Some(message) = connection.outbox.pop_front() {
                self.repeated += u64::from(connection.receive(device, &message));
            }
            if let Some(spilled_from) = connection.drained() {
                self.events.push_back(event::Kind::Drained(Drained { conn, spilled_from, gap: 0 }));
            }
        }
    }

    /// Version 1 clients acknowledge, unless they forget.
    pub(super) fn acknowledge(&mut self, random: &mut Random, silent: bool) {
        for (&conn, connection) in &mut self.connections {
            if connection.version == 0 || (silent && !random.one_in(20)) {
                continue;
            }
            for channel in 0..3 {
                let seq = std::mem::take(&mut connection.unacknowledged[channel]);
                if seq > 0 {
                    let channel = channel as i32;
                    self.events.push_back(event::Kind::Ack(Ack { conn, channel, seq }));
                }
            }
        }
    }
}

enum Taken {
    Written,
    Queued,
    Refused,
    Stale,
}

impl Connection {
    fn take(&mut self, message: &Message, replay: bool) -> Taken {
        if replay && self.stale {
            return Taken::Stale;
        }
        let held = self.hold && !(replay && self.member);
        let behind_gap = message.kept
            && self.gap[message.channel as usize].is_some_and(|gap| message.seq >= gap);
        if !held && !self.stuck && self.outbox.is_empty() && !behind_gap {
            return Taken::Written;
        }
        let waiting = self.held.len() + self.outbox.len();
        let first = if held { waiting == 0 } else { self.outbox.is_empty() };
        if !behind_gap && (first || waiting < self.room) {
            let queue = if held { &mut self.held } else { &mut self.outbox };
            queue.push_back(message.clone());
            return Taken::Queued;
        }
        if message.kept && !behind_gap {
            self.spill(message);
        }
        Taken::Refused
    }

    /// All kept messages leave, and this one does not enter.
    fn spill(&mut self, message: &Message) {
        let waiting = self.held.iter().chain(&self.outbox).filter(|it| it.kept);
        for message in waiting.chain([message]) {
            let gap = self.gap[message.channel as usize].get_or_insert(message.seq);
            *gap = message.seq.min(*gap);
        }
        self.held.retain(|message| !message.kept);
        self.outbox.retain(|message| !message.kept);
        self.hold = true;
    }

    /// What logic is told, now that the socket has taken what it could.
    fn drained(&mut self) -> Option<Vec<Position>> {
        let may_tell = !self.sync_due || self.owes_replay;
        // With a gap that may not be told yet, what waited has not been taken.
        let unsaid = !may_tell && self.gap.iter().any(Option::is_some);
        let rest_taken = self.held.is_empty() && !unsaid;
        let owed = self.owes_replay || (self.owes_rest && rest_taken);
        self.owes_replay = false;
        self.owes_rest &= !rest_taken;
        let gap = if may_tell { std::mem::take(&mut self.gap) } else { [None; 3] };
        let spilled = gap.iter().any(Option::is_some);
        if spilled {
            self.owed = std::array::from_fn(|channel| {
                [self.owed[channel], gap[channel]].into_iter().flatten().min()
            });
            self.hold = true;
            self.sync_due = true;
            self.stale = true;
        }
        (owed || spilled).then(|| positions(&gap))
    }

    /// The client has it; whether this connection had it before.
    fn receive(&mut self, device: &mut Device, message: &Message) -> bool {
        device.got.insert(message.id);
        if message.kept {
            let channel = message.channel as usize;
            let again = !self.had.insert(message.id);
            assert!(
                again || message.seq > self.last[channel],
                "out of order: {} after {} on {channel}",
                message.seq,
                self.last[channel],
            );
            self.last[channel] = self.last[channel].max(message.seq);
            self.unacknowledged[channel] = self.unacknowledged[channel].max(message.seq);
            device.position[channel] = device.position[channel].max(message.seq);
        }
        !self.got.insert(message.id)
    }
}

fn positions(seqs: &[Option<u64>; 3]) -> Vec<Position> {
    let position = |(channel, seq): (usize, &Option<u64>)| {
        seq.filter(|&seq| seq > 0).map(|seq| Position { channel: channel as i32, seq })
    };
    seqs.iter().enumerate().filter_map(position).collect()
}
