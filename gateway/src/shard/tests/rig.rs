//! One shard, a fake driver, a clock that the test turns, and the test in the place of the link and of logic.

#![expect(clippy::result_large_err, reason = "what a test does not pick goes back as it is")]

use super::fake::Fake;
use crate::links::{LinkId, LinkSet};
use crate::mail::{Apps, Audience, FromShard, Job, JobDone, RecallJob, ToLink, ToShard};
use crate::metrics::{ShardCount, ShardCounts};
use crate::shard::{Clock, Shard, ShardConfig};
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::gateway::{
    Admit, Closed, Drained, Message, Opened, Position, SyncDone, event::Kind,
};
use gpusher_proto::wire::v1::{ClientFrame, Login, ServerFrame};
use gpusher_proto::wire::{
    ChannelKind, EncodedPush, Positions, RawFrame, Split, Target, split, tombstone, v0,
};
use gpusher_sys::mailbox::{Sender, mailbox};
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::mpsc::Receiver;

pub(crate) const APP: u32 = 1000;
pub(crate) const LINK: LinkId = LinkId(1);
const START_MS: u64 = 1_000_000;

/// Milliseconds since 1970 are those of the monotonic clock and a billion.
#[derive(Debug, Clone, Default)]
pub(crate) struct TestClock(Rc<Cell<u64>>);

impl Clock for TestClock {
    fn monotonic_ms(&self) -> u64 {
        self.0.get()
    }

    fn unix_ms(&self) -> u64 {
        1_000_000_000 + self.0.get()
    }
}

/// A frame that a client has received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Got {
    Heartbeat,
    Welcome,
    /// Channel, sequence.
    Push(ChannelKind, u64),
    Answer {
        request: u64,
        code: u16,
    },
    Recall(u64),
    Synced,
    GoAway(u16),
    Close(u16),
    /// Version 0: type, stream id, length of the body.
    V0(v0::FrameType, u64, usize),
}

pub(crate) struct Rig {
    pub(crate) shard: Shard<Fake, TestClock>,
    pub(crate) net: Fake,
    clock: TestClock,
    mail: Sender<ToShard>,
    from_shard: Receiver<Vec<FromShard>>,
    pub(crate) counts: Arc<ShardCounts>,
    /// What the shard has told the link and no test has taken yet.
    pub(crate) reports: Vec<FromShard>,
    jobs: u64,
    /// By connection: the last gap that a test has been told of.
    gaps: HashMap<u64, u32>,
    /// The link takes what the shard has to tell.
    pub(crate) link_listens: bool,
    /// The logic that speaks.
    pub(crate) link: LinkId,
}

impl Rig {
    /// With one logic attached, which knows one app.
    pub(crate) fn new(config: ShardConfig) -> Self {
        let rig = Self::unlinked(config);
        rig.tell(ToShard::Links(Arc::new(LinkSet::new(1, [(LINK, "logic")]))));
        let apps = vec![(APP, "app_gpusher".to_owned()), (APP + 1, "other".to_owned())];
        rig.tell(ToShard::Apps(Arc::new(Apps { apps })));
        rig
    }

    pub(crate) fn unlinked(config: ShardConfig) -> Self {
        let (mail, mailbox) = mailbox(1 << 16).unwrap();
        let (to_link, from_shard) = ToLink::queue(4);
        let (net, clock) = (Fake::default(), TestClock(Rc::new(Cell::new(START_MS))));
        let counts = Arc::new(ShardCounts::default());
        let shard =
            Shard::new(config, net.clone(), clock.clone(), mailbox, to_link, counts.clone());
        Self {
            shard,
            net,
            clock,
            mail,
            from_shard,
            counts,
            reports: Vec::new(),
            jobs: 0,
            gaps: HashMap::new(),
            link_listens: true,
            link: LINK,
        }
    }

    pub(crate) fn tell(&self, mail: ToShard) {
        self.mail.send(mail).unwrap();
    }

    /// One turn; false when the shard has stopped.
    pub(crate) fn turn(&mut self) -> bool {
        let goes_on = self.shard.turn();
        while self.link_listens
            && let Ok(batch) = self.from_shard.try_recv()
        {
            self.reports.extend(batch);
        }
        goes_on
    }

    /// Turns until nothing happens any more.
    pub(crate) fn settle(&mut self) {
        // A turn may leave work for the next.
        let mut idle = 0;
        for _ in 0..100_000 {
            self.turn();
            idle = if self.net.is_idle() { idle + 1 } else { 0 };
            if idle == 2 {
                return;
            }
        }
        panic!("the shard does not come to rest");
    }

    /// Lets time pass, in ticks, and settles after each.
    pub(crate) fn pass_ms(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(250) {
            self.clock.0.set(self.clock.0.get() + 250);
            self.settle();
        }
    }

    /// Turns the clock on without a turn of the shard.
    pub(crate) fn pass_one_tick(&self) {
        self.clock.0.set(self.clock.0.get() + 250);
    }

    pub(crate) fn unix_ms(&self) -> u64 {
        self.clock.unix_ms()
    }

    pub(crate) fn count(&self, what: ShardCount) -> u64 {
        self.counts.get(what)
    }

    // ---- clients ------------------------------------------------------------------------------------------

    pub(crate) fn say(&self, peer: usize, frame: ClientFrame<'_>) {
        self.net.say(peer, &frame.to_vec().unwrap());
    }

    pub(crate) fn login_v1(&mut self, user: &str) -> (usize, ConnId) {
        let peer = self.net.connect();
        self.say(peer, login(user));
        (peer, self.opened().0)
    }

    pub(crate) fn login_v0(&mut self, user: &str, key: &str) -> (usize, ConnId) {
        let peer = self.net.connect();
        let login =
            v0::Login { app_id: APP, uuid: user.into(), key: key.into(), token: "t".into() };
        let body = login.to_json();
        let frame = v0::Frame::from_client(v0::FrameType::Heartbeat, 7, &body);
        self.net.say(peer, &frame.to_vec());
        (peer, self.opened().0)
    }

    /// A login in one go: admitted, nothing to replay, and what that said is taken.
    pub(crate) fn member(&mut self, user: &str) -> (usize, ConnId) {
        let (peer, conn) = self.login_v1(user);
        self.admit(conn);
        self.sync_done(conn, &[]);
        self.settle();
        assert_eq!(self.frames(peer), [Got::Welcome, Got::Synced]);
        self.net.take_writes(peer);
        (peer, conn)
    }

    pub(crate) fn members(&mut self, count: usize) -> Vec<(usize, ConnId)> {
        (0..count).map(|number| self.member(&format!("user-{number}"))).collect()
    }

    /// Takes the frames that the client has received, which must be whole ones.
    pub(crate) fn frames(&self, peer: usize) -> Vec<Got> {
        let frames = self.whole_frames(peer);
        assert!(self.net.take_received(peer).is_empty(), "half a frame is left");
        frames
    }

    /// Takes the whole frames that the client has received.
    pub(crate) fn whole_frames(&self, peer: usize) -> Vec<Got> {
        let bytes = self.net.take_received(peer);
        let (mut rest, mut frames) = (&bytes[..], Vec::new());
        while let Split::Whole { frame, len } = split(rest, u32::MAX).unwrap() {
            frames.push(got(frame));
            rest = &rest[len..];
        }
        self.net.give_back(peer, rest);
        frames
    }

    /// The sequences of the pushes that the client has received, which must be all it has.
    pub(crate) fn seqs(&self, peer: usize) -> Vec<u64> {
        let seq = |frame| match frame {
            Got::Push(_, seq) => seq,
            other => panic!("not a push: {other:?}"),
        };
        self.frames(peer).into_iter().map(seq).collect()
    }

    // ---- logic --------------------------------------------------------------------------------------------

    /// The replay that follows reaches to the end of all logs.
    pub(crate) fn admit(&self, conn: ConnId) {
        self.admit_up_to(conn, u64::MAX);
    }

    /// The replay that follows reaches to this number of the shared logs.
    pub(crate) fn admit_up_to(&self, conn: ConnId, head: u64) {
        let (app_head, everyone_head) = (head, head);
        let admit = Admit { conn: conn.raw(), app_head, everyone_head, ..Admit::default() };
        self.tell(ToShard::Admit(self.link, admit));
    }

    /// The end of a replay that fills the gap of which logic has heard last.
    pub(crate) fn sync_done(&self, conn: ConnId, positions: &[(ChannelKind, u64)]) {
        self.sync_done_for(conn, positions, self.gap_heard(conn));
    }

    /// The last gap of the connection that the test has been told of; 0: none.
    pub(crate) fn gap_heard(&self, conn: ConnId) -> u32 {
        self.gaps.get(&conn.raw()).copied().unwrap_or(0)
    }

    pub(crate) fn sync_done_for(&self, conn: ConnId, positions: &[(ChannelKind, u64)], gap: u32) {
        let position = |&(kind, seq): &(ChannelKind, u64)| Position { channel: kind as i32, seq };
        let positions = positions.iter().map(position).collect();
        let done = SyncDone { conn: conn.raw(), positions, requests: vec![], gap };
        self.tell(ToShard::SyncDone(self.link, done));
    }

    /// Delivers, and returns the job's number.
    pub(crate) fn deliver(&mut self, audience: Audience, message: Message, replay: bool) -> u64 {
        self.jobs += 1;
        let (link, job) = (self.link, self.jobs);
        let push = Arc::new(EncodedPush::new(message));
        self.tell(ToShard::Deliver(Job { link, job, audience, push, replay }));
        job
    }

    pub(crate) fn unicast(&mut self, conn: ConnId, message: Message) -> u64 {
        self.deliver(Audience::Connections(vec![conn]), message, false)
    }

    pub(crate) fn recall(&self, message: &Message, audience: Audience) {
        let kind = ChannelKind::try_from(message.channel).unwrap();
        let position = gpusher_proto::wire::Position { kind, seq: message.seq };
        self.tell(ToShard::Recall(RecallJob {
            message_id: message.id,
            position: position.into(),
            audience,
            tombstone: tombstone(message.id, position),
        }));
    }

    // ---- what the link was told -----------------------------------------------------------------------------

    /// Settles, and takes the one login that was reported.
    pub(crate) fn opened(&mut self) -> (ConnId, Opened) {
        self.settle();
        let mut found = self.take(|report| match report {
            FromShard::Opened { opened, .. } => Ok(opened),
            other => Err(other),
        });
        assert_eq!(found.len(), 1, "one login was reported");
        let opened = found.pop().unwrap();
        (ConnId::from_raw(opened.conn), opened)
    }

    /// Takes the ids of all logins that were reported.
    pub(crate) fn take_opened(&mut self) -> Vec<ConnId> {
        self.take(|report| match report {
            FromShard::Opened { opened, .. } => Ok(ConnId::from_raw(opened.conn)),
            other => Err(other),
        })
    }

    fn take<T>(&mut self, pick: impl Fn(FromShard) -> std::result::Result<T, FromShard>) -> Vec<T> {
        let mut taken = Vec::new();
        for report in std::mem::take(&mut self.reports) {
            match pick(report) {
                Ok(found) => taken.push(found),
                Err(other) => self.reports.push(other),
            }
        }
        taken
    }

    /// Takes all outcomes.
    pub(crate) fn done(&mut self) -> Vec<JobDone> {
        self.take(|report| match report {
            FromShard::Done(done) => Ok(done),
            other => Err(other),
        })
    }

    /// Takes the outcome of one job, which must be there exactly once.
    pub(crate) fn outcome(&mut self, job: u64) -> JobDone {
        let mut found = self.take(|report| match report {
            FromShard::Done(done) if done.job == job => Ok(done),
            other => Err(other),
        });
        assert_eq!(found.len(), 1, "a job has one outcome");
        found.pop().unwrap()
    }

    /// Takes all events of connections.
    pub(crate) fn events(&mut self) -> Vec<Kind> {
        let events = self.take(|report| match report {
            FromShard::Event { event, .. } => Ok(event),
            other => Err(other),
        });
        for event in &events {
            if let Kind::Drained(Drained { conn, gap: gap @ 1.., .. }) = event {
                self.gaps.insert(*conn, *gap);
            }
        }
        events
    }

    pub(crate) fn drained(&mut self) -> Vec<Drained> {
        let drained = self.events().into_iter().map(|event| match event {
            Kind::Drained(drained) => drained,
            other => panic!("not a drained: {other:?}"),
        });
        drained.collect()
    }

    pub(crate) fn closed(&mut self) -> Vec<Closed> {
        let closed = self.events().into_iter().filter_map(|event| match event {
            Kind::Closed(closed) => Some(closed),
            _ => None,
        });
        closed.collect()
    }

    /// Takes what was told of members: (topic, count).
    pub(crate) fn memberships(&mut self) -> Vec<(String, u32)> {
        self.take(|report| match report {
            FromShard::Members { topic, members, .. } => Ok((topic.to_string(), members)),
            other => Err(other),
        })
    }

    pub(crate) fn announced(&mut self) -> Vec<u64> {
        self.take(|report| match report {
            FromShard::Announced { revision, .. } => Ok(revision),
            other => Err(other),
        })
    }
}

fn got(frame: RawFrame<'_>) -> Got {
    let frame = match frame {
        RawFrame::V0(frame) => {
            return Got::V0(frame.frame_type, frame.stream_id, frame.body.len());
        }
        RawFrame::V1(frame) => ServerFrame::decode(frame).unwrap(),
    };
    match frame {
        ServerFrame::Heartbeat => Got::Heartbeat,
        ServerFrame::Welcome(_) => Got::Welcome,
        ServerFrame::Push(push) => Got::Push(push.position.kind, push.position.seq),
        ServerFrame::Answer { request, code, .. } => Got::Answer { request, code },
        ServerFrame::Recall { message_id, .. } => Got::Recall(message_id),
        ServerFrame::Synced { .. } => Got::Synced,
        ServerFrame::GoAway(go_away) => Got::GoAway(go_away.reason),
        ServerFrame::Close(close) => Got::Close(close.reason),
        ServerFrame::Unknown { frame_type } => panic!("unknown frame {frame_type}"),
    }
}

/// A message whose id tells its channel and sequence apart from all others.
fn message(channel: ChannelKind, seq: u64, kept: bool) -> Message {
    Message {
        id: (channel as u64 + 1) * 1_000_000 + seq,
        channel: channel as i32,
        seq,
        content: format!("content of {seq:06}").into_bytes().into(),
        kept,
        ..Message::default()
    }
}

pub(crate) fn live(channel: ChannelKind, seq: u64) -> Message {
    message(channel, seq, false)
}

pub(crate) fn kept(channel: ChannelKind, seq: u64) -> Message {
    message(channel, seq, true)
}

pub(crate) fn sync_start(conn: ConnId) -> ToShard {
    let start = gpusher_proto::gateway::SyncStart { conn: conn.raw(), announcement: 0 };
    ToShard::SyncStart(LINK, start)
}

pub(crate) fn topic(name: &str) -> Audience {
    Audience::Topic { app_id: APP, name: name.into() }
}

pub(crate) fn login(user: &str) -> ClientFrame<'_> {
    let (app_id, token, device) = (APP, "t", "");
    let (capabilities, epoch, resume) = (0, 0, Positions::EMPTY);
    ClientFrame::Login(Login { app_id, user, device, token, capabilities, epoch, resume })
}

pub(crate) fn join(request: u64, topic: &str) -> ClientFrame<'_> {
    ClientFrame::Join { request, topic, since: None }
}

pub(crate) fn send_to_application(request: u64) -> ClientFrame<'static> {
    ClientFrame::Send { request, target: Target::Application, name: "", content: b"hello" }
}

pub(crate) const HEARTBEAT: ClientFrame<'static> =
    ClientFrame::Heartbeat { acks: Positions::EMPTY };
