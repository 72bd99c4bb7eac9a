//! A model client: it speaks version 0 or 1 by the production codec, reads as fast as it is told, and notes what each of its connections was given.

use crate::net::Net;
use crate::speech::{Framed, KINDS, Request, Told, frame_of, understand};
use crate::store::DeviceId;
use gpusher_proto::wire::v1::{ClientFrame, Login};
use gpusher_proto::wire::{Position, Split, msg_seq, split, v0};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Who a client is, for good.
#[derive(Debug, Clone)]
pub struct Profile {
    /// App.
    pub app_id: u32,
    /// User.
    pub user: String,
    /// Device; empty for version 0.
    pub device: String,
    /// Of the wire.
    pub version: u8,
    /// Version 0: the app's tag, or a topic.
    pub key: String,
}

impl Profile {
    /// As the store names it.
    pub fn id(&self) -> DeviceId {
        (self.app_id, self.user.clone(), self.device.clone())
    }
}

/// One connection of a client.
#[derive(Debug)]
pub struct Conn {
    /// Its socket.
    pub pipe: usize,
    /// Where.
    pub gateway: usize,
    /// When it was opened, monotonic.
    pub since_ms: u64,
    /// When the gateway said welcome.
    pub welcome_ms: Option<u64>,
    /// Its gateway had no logic then.
    pub alone: bool,
    /// Breaks between its gateway and logic, and spills, when it was opened.
    pub breaks: u64,
    /// Sessions that logic had sent again when it was opened.
    pub redelivered: u64,
    /// Parsed up to here.
    parsed: usize,
    /// Taken by the socket, not read by the client.
    unread: VecDeque<Framed>,
    /// Kept messages by id.
    pub kept: BTreeSet<u64>,
    /// Live messages by id, and how often they came.
    pub live: BTreeMap<u64, usize>,
    /// Last first-time kept sequence per channel (kind, topic).
    pub kept_last: BTreeMap<(i32, String), u64>,
    /// Last live sequence per channel.
    pub live_last: BTreeMap<(i32, String), u64>,
    /// Withdrawn by a tombstone.
    pub withdrawn: BTreeSet<u64>,
    /// Topics asked for, ever.
    pub topics: BTreeSet<String>,
    /// Topics it is a member of, as far as it was told.
    pub joined: BTreeSet<String>,
    /// Topics left, and the number of the request: answers of joins before it are void.
    left: BTreeMap<String, u64>,
    /// Requests without an answer.
    pub open: BTreeMap<u64, Request>,
    /// Syncs asked for.
    pub syncs: u64,
    /// Version 1: SYNCED frames still to come at least once.
    pub sync_open: bool,
    /// To be acknowledged.
    pub to_ack: [u64; 3],
    /// Acknowledged.
    acked: [u64; 3],
    /// It was told to go, or said so.
    pub leaving: bool,
}

impl Conn {
    /// Frames that the socket has taken whole since the last call. An error is a stream that is none.
    pub fn taken(&mut self, net: &Net) -> Result<Vec<Framed>, String> {
        let down = &net.pipes[self.pipe].down;
        let mut frames = Vec::new();
        loop {
            match split(&down[self.parsed..], u32::MAX).map_err(|error| format!("{error:?}"))? {
                Split::Incomplete { .. } => break,
                Split::Whole { frame, len } => {
                    let told = understand(frame)?;
                    let start = self.parsed;
                    self.parsed += len;
                    frames.push(Framed { start, end: self.parsed, told });
                }
            }
        }
        self.unread.extend(frames.iter().cloned());
        Ok(frames)
    }

    /// Whether the client has read all that there is.
    pub fn is_read(&self) -> bool {
        self.unread.is_empty()
    }

    /// Whether everything that is due was acknowledged.
    pub fn is_acknowledged(&self) -> bool {
        self.acked == self.to_ack
    }
}

/// A client.
#[derive(Debug)]
pub struct Client {
    /// Who.
    pub profile: Profile,
    /// The connection, if it has one.
    pub conn: Option<Conn>,
    /// Bytes it reads in one step.
    pub speed: usize,
    /// Kept messages that sockets of its connections have taken.
    pub had: BTreeSet<u64>,
    /// Version 0: it acknowledges, which it need not.
    pub acknowledges: bool,
    /// So many steps in a thousand it sends acknowledgements.
    pub ack_permille: u64,
    /// What the application keeps: epoch and last kept sequences.
    epoch: u64,
    positions: [u64; 3],
    next_request: u64,
}

impl Client {
    /// A client that has never been connected.
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            conn: None,
            speed: usize::MAX,
            had: BTreeSet::new(),
            acknowledges: false,
            ack_permille: 500,
            epoch: 0,
            positions: [0; 3],
            next_request: 1,
        }
    }

    /// Connects and logs in; `resume`: names what it has.
    pub fn connect(
        &mut self,
        net: &mut Net,
        gateway: usize,
        window: usize,
        resume: bool,
        (breaks, redelivered): (u64, u64),
    ) {
        let pipe = net.connect(gateway, window);
        let login = self.login(resume);
        net.pipes[pipe].up.extend(login);
        let topics = match self.profile.version {
            0 => BTreeSet::from([self.profile.key.clone()]),
            _ => BTreeSet::new(),
        };
        self.conn = Some(Conn {
            pipe,
            gateway,
            since_ms: net.clock.ms(),
            welcome_ms: None,
            alone: false,
            breaks,
            redelivered,
            parsed: 0,
            unread: VecDeque::new(),
            kept: BTreeSet::new(),
            live: BTreeMap::new(),
            kept_last: BTreeMap::new(),
            live_last: BTreeMap::new(),
            withdrawn: BTreeSet::new(),
            joined: topics.clone(),
            left: BTreeMap::new(),
            topics,
            open: BTreeMap::new(),
            syncs: 0,
            sync_open: false,
            to_ack: [0; 3],
            acked: [0; 3],
            leaving: false,
        });
    }

    fn login(&self, resume: bool) -> Vec<u8> {
        let Profile { app_id, user, device, version, key } = &self.profile;
        if *version == 0 {
            let login = v0::Login {
                app_id: *app_id,
                uuid: user.as_str().into(),
                key: key.as_str().into(),
                token: "t".into(),
            };
            let body = login.to_json();
            return v0::Frame::from_client(v0::FrameType::Heartbeat, 1, &body).to_vec();
        }
        let named = (0..3).filter(|&channel| resume && self.positions[channel] > 0);
        let positions: Vec<Position> = named
            .map(|channel| Position { kind: KINDS[channel], seq: self.positions[channel] })
            .collect();
        let login = Login {
            app_id: *app_id,
            user,
            device,
            token: "t",
            capabilities: 0,
            epoch: if resume { self.epoch } else { 0 },
            resume: positions.as_slice().into(),
        };
        ClientFrame::Login(login).to_vec().expect("a login within the limits")
    }

    /// Reads up to `bytes`: the frames that are then read whole.
    pub fn read(&mut self, net: &mut Net, bytes: usize) -> Vec<Framed> {
        let Some(conn) = &mut self.conn else { return Vec::new() };
        let pipe = &mut net.pipes[conn.pipe];
        pipe.read = pipe.read.saturating_add(bytes).min(pipe.down.len());
        let mut frames = Vec::new();
        while conn.unread.front().is_some_and(|framed| framed.end <= pipe.read) {
            frames.extend(conn.unread.pop_front());
        }
        for framed in &frames {
            match &framed.told {
                Told::Welcome { epoch } if *epoch != 0 => {
                    if self.epoch != *epoch {
                        self.positions = [0; 3];
                    }
                    self.epoch = *epoch;
                }
                Told::Push(push) if push.kept && (push.kind as usize) < 3 => {
                    let channel = push.kind as usize;
                    conn.to_ack[channel] = conn.to_ack[channel].max(push.seq);
                    // What comes again is acknowledged again.
                    conn.acked[channel] = conn.acked[channel].min(push.seq - 1);
                    self.positions[channel] = self.positions[channel].max(push.seq);
                }
                Told::Answer { request, code, .. } => {
                    // Requests count in the order in which they were sent, however they are answered.
                    if let Some(Request::Join(topic)) = conn.open.remove(request)
                        && *code == 0
                        && conn.left.get(&topic).is_none_or(|left| left < request)
                    {
                        conn.joined.insert(topic);
                    }
                }
                Told::Synced => conn.sync_open = false,
                Told::Close(_) => conn.leaving = true,
                _ => {}
            }
        }
        frames
    }

    /// Sends what is to be acknowledged.
    pub fn acknowledge(&mut self, net: &mut Net) {
        let Some(conn) = self.conn.as_mut().filter(|conn| !conn.leaving) else { return };
        if self.profile.version == 0 && !self.acknowledges {
            return;
        }
        let due = (0..3).filter(|&channel| conn.to_ack[channel] > conn.acked[channel]);
        let positions: Vec<Position> = due
            .map(|channel| Position { kind: KINDS[channel], seq: conn.to_ack[channel] })
            .collect();
        if positions.is_empty() {
            return;
        }
        conn.acked = std::array::from_fn(|channel| conn.acked[channel].max(conn.to_ack[channel]));
        let up = &mut net.pipes[conn.pipe].up;
        if self.profile.version == 0 {
            let ack = |at: &Position| {
                let number = msg_seq(at.kind, at.seq);
                v0::Frame::from_client(v0::FrameType::Ack, number, &[]).to_vec()
            };
            return up.extend(positions.iter().flat_map(ack));
        }
        let frame = ClientFrame::Ack { positions: positions.as_slice().into() };
        up.extend(frame.to_vec().expect("an acknowledgement"));
    }

    /// Sends a request, or its like in version 0.
    pub fn ask(&mut self, net: &mut Net, request: Request, since: Option<u64>, name: &str) {
        let number = self.next_request;
        let Some(conn) = self.conn.as_mut().filter(|conn| !conn.leaving) else { return };
        let Some(frame) = frame_of(self.profile.version, number, &request, since, name) else {
            return;
        };
        self.next_request += 1;
        match &request {
            Request::Join(topic) => drop(conn.topics.insert(topic.clone())),
            Request::Leave(topic) => {
                conn.joined.remove(topic);
                conn.left.insert(topic.clone(), number);
            }
            Request::Sync => {
                conn.syncs += 1;
                conn.sync_open = self.profile.version > 0;
            }
            Request::Send => {}
        }
        if self.profile.version == 0 || request != Request::Sync {
            conn.open.insert(number, request);
        }
        net.pipes[conn.pipe].up.extend(frame);
    }

    /// Says that it is there.
    pub fn heartbeat(&mut self, net: &mut Net) {
        let Some(conn) = self.conn.as_ref().filter(|conn| !conn.leaving) else { return };
        let frame = match self.profile.version {
            0 => v0::Frame::from_client(v0::FrameType::Heartbeat, 0, &[]).to_vec(),
            _ => {
                let acks: &[Position] = &[];
                ClientFrame::Heartbeat { acks: acks.into() }.to_vec().expect("an empty frame")
            }
        };
        net.pipes[conn.pipe].up.extend(frame);
    }

    /// Sends any frame.
    pub fn say(&mut self, net: &mut Net, frame: ClientFrame<'_>) {
        if let Some(conn) = &mut self.conn {
            conn.leaving |= frame == ClientFrame::Bye;
            net.pipes[conn.pipe].up.extend(frame.to_vec().expect("a frame within the limits"));
        }
    }
}
