//! A shard, clients on loopback sockets, and commands by mailbox.

use gpusher_gateway::links::{LinkId, LinkSet};
use gpusher_gateway::mail::{Audience, FromShard, Job, JobDone, ToLink, ToShard};
use gpusher_gateway::metrics::ShardCounts;
use gpusher_gateway::shard::{Shard, ShardConfig, SystemClock};
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::gateway::{Admit, ChannelKind, Message, Position, SyncDone, event::Kind};
use gpusher_proto::wire::v1::{ClientFrame, Login, ServerFrame};
use gpusher_proto::wire::{EncodedPush, Positions, RawFrame, Split, split};
use gpusher_sys::Waker;
use gpusher_sys::driver::Driver;
use gpusher_sys::epoll::Epoll;
use gpusher_sys::mailbox::{Mailbox, Sender, mailbox};
use gpusher_sys::socket::{ListenOptions, Listener};
use gpusher_sys::uring::{Descriptors, Uring, UringOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Receiver;

pub(crate) const APP: u32 = 1000;
const LINK: LinkId = LinkId(1);
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes a test of a function for each driver.
macro_rules! on_every_driver {
    ($test:ident) => {
        #[test]
        fn uring() {
            $test(&mut crate::harness::uring(gpusher_sys::uring::Descriptors::Plain));
        }

        #[test]
        fn uring_direct() {
            let descriptors = gpusher_sys::uring::Descriptors::Direct { table: 4_096 };
            $test(&mut crate::harness::uring(descriptors));
        }

        #[test]
        fn epoll() {
            $test(&mut crate::harness::epoll());
        }
    };
}
pub(crate) use on_every_driver;

/// A shard whose driver is known to itself alone.
pub(crate) struct Harness {
    turn: Box<dyn FnMut() -> bool>,
    address: SocketAddr,
    mail: Sender<ToShard>,
    waker: Waker,
    from_shard: Receiver<Vec<FromShard>>,
    reports: Vec<FromShard>,
    jobs: u64,
}

pub(crate) fn uring(descriptors: Descriptors) -> Harness {
    let options = UringOptions { descriptors, ..UringOptions::default() };
    Harness::new(|listener, mailbox| {
        Uring::new(&options, Some(listener), mailbox.waker()).expect("io_uring is there")
    })
}

pub(crate) fn epoll() -> Harness {
    Harness::new(|listener, mailbox| Epoll::new(Some(listener), mailbox.waker()).unwrap())
}

impl Harness {
    fn new<D: Driver + 'static>(open: impl FnOnce(Listener, &Mailbox<ToShard>) -> D) -> Self {
        // Small buffers: a socket that nobody reads is soon full.
        let bytes = 16 << 10;
        let options = ListenOptions {
            send_buffer_bytes: bytes,
            receive_buffer_bytes: bytes,
            ..ListenOptions::default()
        };
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), &options).unwrap();
        let address = listener.address();
        let (mail, mailbox) = mailbox(1 << 14).unwrap();
        let (to_link, from_shard) = ToLink::queue(1 << 10);
        let waker = mailbox.waker();
        let driver = open(listener, &mailbox);
        let config = ShardConfig { connections_max: 4_096, ..ShardConfig::default() };
        let counts = Arc::new(ShardCounts::default());
        let mut shard = Shard::new(config, driver, SystemClock, mailbox, to_link, counts);
        let turn = Box::new(move || shard.turn());
        let harness = Self { turn, address, mail, waker, from_shard, reports: Vec::new(), jobs: 0 };
        harness.tell(ToShard::Links(Arc::new(LinkSet::new(1, [(LINK, "logic")]))));
        harness
    }

    pub(crate) fn tell(&self, mail: ToShard) {
        self.mail.send(mail).unwrap();
    }

    /// Turns once, without a wait if nothing happens.
    pub(crate) fn turn(&mut self) {
        self.waker.wake();
        (self.turn)();
        while let Ok(batch) = self.from_shard.try_recv() {
            self.reports.extend(batch);
        }
    }

    /// Turns until there is something.
    pub(crate) fn until<T>(&mut self, mut find: impl FnMut(&mut Self) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = find(self) {
                return found;
            }
            assert!(start.elapsed() < PATIENCE, "it does not come");
            self.turn();
        }
    }

    fn take<T>(&mut self, pick: impl Fn(&FromShard) -> Option<T>) -> Option<T> {
        let index = self.reports.iter().position(|report| pick(report).is_some())?;
        pick(&self.reports.remove(index))
    }

    /// A member without anything to replay.
    pub(crate) fn member(&mut self, user: &str) -> Client {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_nonblocking(true).unwrap();
        let (device, token, capabilities, epoch) = ("", "any", 0, 0);
        let resume = Positions::EMPTY;
        let login = Login { app_id: APP, user, device, token, capabilities, epoch, resume };
        stream.write_all(&ClientFrame::Login(login).to_vec().unwrap()).unwrap();
        let opened = |report: &FromShard| match report {
            FromShard::Opened { opened, .. } => Some(ConnId::from_raw(opened.conn)),
            _ => None,
        };
        let conn = self.until(|harness| harness.take(opened));
        self.tell(ToShard::Admit(LINK, Admit { conn: conn.raw(), ..Admit::default() }));
        self.sync_done(conn, 0, 0);
        let mut client = Client { stream, conn, received: Vec::new() };
        assert_eq!(self.next(&mut client), Got::Welcome);
        assert_eq!(self.next(&mut client), Got::Synced);
        client
    }

    /// The replay is complete up to this sequence of the own channel, and fills this gap.
    pub(crate) fn sync_done(&self, conn: ConnId, seq: u64, gap: u32) {
        let positions = vec![Position { channel: ChannelKind::Own.into(), seq }];
        let done = SyncDone { conn: conn.raw(), positions, requests: vec![], gap };
        self.tell(ToShard::SyncDone(LINK, done));
    }

    pub(crate) fn deliver(&mut self, audience: Audience, message: Message, replay: bool) -> u64 {
        self.jobs += 1;
        let (link, job, push) = (LINK, self.jobs, Arc::new(EncodedPush::new(message)));
        self.tell(ToShard::Deliver(Job { link, job, audience, push, replay }));
        job
    }

    pub(crate) fn outcome(&mut self, job: u64) -> JobDone {
        let start = Instant::now();
        loop {
            let done = |report: &FromShard| matches!(report, FromShard::Done(it) if it.job == job);
            if let Some(index) = self.reports.iter().position(done)
                && let FromShard::Done(done) = self.reports.remove(index)
            {
                return done;
            }
            assert!(start.elapsed() < PATIENCE, "no outcome");
            self.turn();
        }
    }

    /// An event of a connection, if it was reported.
    pub(crate) fn take_event<T>(&mut self, pick: impl Fn(&Kind) -> Option<T>) -> Option<T> {
        self.take(|report| match report {
            FromShard::Event { event, .. } => pick(event),
            _ => None,
        })
    }

    /// The client's next frame.
    pub(crate) fn next(&mut self, client: &mut Client) -> Got {
        self.until(|_| client.try_next())
    }
}

/// A client that reads when it is asked to.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) conn: ConnId,
    received: Vec<u8>,
}

/// What a client has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Got {
    Welcome,
    Synced,
    Push(ChannelKind, u64),
    Close(u16),
    End,
}

impl Client {
    pub(crate) fn try_next(&mut self) -> Option<Got> {
        loop {
            if let Split::Whole { frame: RawFrame::V1(raw), len } =
                split(&self.received, u32::MAX).unwrap()
            {
                let got = match ServerFrame::decode(raw).unwrap() {
                    ServerFrame::Welcome(_) => Got::Welcome,
                    ServerFrame::Synced { .. } => Got::Synced,
                    ServerFrame::Push(push) => Got::Push(push.position.kind, push.position.seq),
                    ServerFrame::Close(close) => Got::Close(close.reason),
                    other => panic!("unexpected {other:?}"),
                };
                self.received.drain(..len);
                return Some(got);
            }
            let mut bytes = [0; 64 << 10];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Some(Got::End),
                Ok(read) => self.received.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) => panic!("the connection is cut: {error}"),
            }
        }
    }
}

/// A message of 1,000 bytes.
pub(crate) fn message(channel: ChannelKind, seq: u64, kept: bool) -> Message {
    let content = vec![b'x'; 1_000].into();
    Message { id: seq, channel: channel.into(), seq, content, kept, ..Message::default() }
}
