//! A gateway with one log, and a thread for each connection.

use gpusher_proto::conn_id::ConnId;
use gpusher_proto::gateway::Message;
use gpusher_proto::wire::v1::{Close, Resume, ResumeResult};
use gpusher_proto::wire::{ChannelKind, Code, EncodedPush, Encoding};
use gpusher_session::{Admission, Event, Limits, Session, State};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

const EPOCH: u64 = 7;
/// How long anything in these tests may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
pub(crate) struct Hub {
    /// Kept messages of the user; the first has sequence 1.
    pub(crate) log: Vec<String>,
    /// Live messages to topics, once each.
    pub(crate) topic_messages: Vec<(String, String)>,
    pub(crate) acked: u64,
    pub(crate) sent_by_clients: Vec<String>,
    pub(crate) joined: Vec<String>,
    pub(crate) logins: u32,
    /// Tokens that are refused.
    pub(crate) bad_token: Option<String>,
    /// Connections below this number are cut.
    pub(crate) cut_below: u32,
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    shared: Arc<(Mutex<Hub>, Condvar)>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { addr: listener.local_addr().unwrap(), shared: Arc::default() };
        let accepting = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let server = accepting.clone();
                std::thread::spawn(move || Connection::serve(server, stream.unwrap()));
            }
        });
        server
    }

    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut Hub) -> T) -> T {
        let result = change(&mut self.shared.0.lock().unwrap());
        self.shared.1.notify_all();
        result
    }

    /// Waits until something is so.
    pub(crate) fn until(&self, what: &str, mut holds: impl FnMut(&Hub) -> bool) {
        let end = Instant::now() + PATIENCE;
        let mut hub = self.shared.0.lock().unwrap();
        while !holds(&hub) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never: {what}");
            hub = self.shared.1.wait_timeout(hub, left).unwrap().0;
        }
    }
}

struct Connection {
    server: Server,
    stream: TcpStream,
    session: Session,
    number: u32,
    sent: u64,
    sent_to_topics: usize,
    topics: Vec<String>,
    out: Vec<u8>,
}

impl Connection {
    fn serve(server: Server, stream: TcpStream) {
        stream.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        stream.set_nodelay(true).unwrap();
        let session = Session::new();
        let mut connection = Self {
            server,
            stream,
            session,
            number: 0,
            sent: 0,
            sent_to_topics: 0,
            topics: Vec::new(),
            out: Vec::new(),
        };
        while connection.turn() {}
    }

    /// Reads, writes; whether the connection goes on.
    fn turn(&mut self) -> bool {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => self.hear(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return false,
        }
        if self.session.state() == State::Admitted {
            if self.server.with(|hub| hub.cut_below) > self.number {
                return false;
            }
            self.push();
        }
        let written = self.stream.write_all(&self.out).is_ok();
        self.out.clear();
        written && self.session.state() != State::Closing
    }

    fn hear(&mut self, bytes: &[u8]) {
        let mut hub = self.server.shared.0.lock().unwrap();
        let (mut login, mut answers, mut bye) = (None, Vec::new(), false);
        let topics = &mut self.topics;
        let mut on = |event: Event<'_>| match event {
            Event::Login(hello) => {
                let resume = hello.resume.iter().find(|at| at.kind == ChannelKind::Own);
                login = Some((hello.token.to_owned(), resume.map(|at| at.seq)));
            }
            Event::Ack(position) => hub.acked = hub.acked.max(position.seq),
            Event::Upstream(upstream) => {
                let content = String::from_utf8_lossy(upstream.content);
                hub.sent_by_clients
                    .push(format!("{:?} {} {content}", upstream.target, upstream.name));
                let code = if upstream.name == "nobody" { Code::NoSuchTarget } else { Code::Done };
                answers.push((upstream.request, code, 42));
            }
            Event::Join { request, topic, .. } => {
                hub.joined.push(topic.to_owned());
                topics.push(topic.to_owned());
                answers.push((request, Code::Done, 9));
            }
            Event::Leave { request, topic } => {
                topics.retain(|joined| joined != topic);
                answers.push((request, Code::Done, 0));
            }
            Event::Sync { .. } => {}
            Event::Bye => bye = true,
        };
        let limits = Limits { heartbeat_interval_s: 1, ack_delay_ms: 100, ..Limits::default() };
        // A client that breaks a rule is told so in `out`, and the test sees it end.
        let _told = self.session.on_bytes(bytes, 0, &limits, &mut self.out, &mut on);
        if let Some((token, resume)) = login {
            if hub.bad_token.as_ref() == Some(&token) {
                self.session.close(Close::of(Code::TokenExpired, "too old"), &mut self.out);
            } else {
                hub.logins += 1;
                self.number = hub.logins;
                self.sent = resume.unwrap_or(hub.acked);
                hub.acked = hub.acked.max(self.sent);
                let result = ResumeResult::Resumed;
                let resumed = resume.map(|seq| Resume { kind: ChannelKind::Own, result, seq });
                let connection = ConnId::new(0, 0, 1, self.number);
                let admission = Admission { connection, epoch: EPOCH, resumed: resumed.as_slice() };
                let admitted =
                    self.session.admit(&admission, 0, &limits, &mut self.out, &mut |_| {});
                assert!(admitted.is_ok(), "nothing follows these logins");
            }
        }
        for (request, code, value) in answers {
            self.session.answer(request, code.number(), value, &mut self.out);
        }
        if bye {
            self.session.close(Close::of(Code::Done, ""), &mut self.out);
            self.out.clear();
        }
        drop(hub);
        self.server.shared.1.notify_all();
    }

    fn push(&mut self) {
        let hub = self.server.shared.0.lock().unwrap();
        let encoding = self.session.encoding().unwrap_or(Encoding::V1);
        for (index, content) in hub.log.iter().enumerate().skip(self.sent as usize) {
            let seq = index as u64 + 1;
            let message = Message {
                id: seq,
                seq,
                kept: true,
                r#type: 1,
                uuid: "alice".into(),
                content: content.clone().into(),
                ..Message::default()
            };
            self.out.extend_from_slice(EncodedPush::new(message).frame(encoding));
            self.sent = seq;
        }
        for (topic, content) in hub.topic_messages.iter().skip(self.sent_to_topics) {
            if self.topics.contains(topic) {
                self.sent_to_topics += 1;
                let message = Message {
                    id: 1_000 + self.sent_to_topics as u64,
                    channel: ChannelKind::Topic.into(),
                    seq: 10 + self.sent_to_topics as u64,
                    r#type: 4,
                    topic: topic.clone(),
                    sender: "bob".into(),
                    content: content.clone().into(),
                    ..Message::default()
                };
                self.out.extend_from_slice(EncodedPush::new(message).frame(encoding));
            }
        }
    }
}
