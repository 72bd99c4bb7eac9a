//! The receiving side: a thread that logs in on every connection, then reads when it is told to, and not while somebody sends: what a send costs must not hang
//! on whether its receiver happens to be awake.

use super::Plan;
use crate::rig::login;
use anyhow::{Context, Result, anyhow, bail, ensure};
use gpusher_proto::wire::v1::ServerFrame;
use gpusher_proto::wire::{BODY_BYTES_MAX, RawFrame, Split, split};
use gpusher_sys::Waker;
use gpusher_sys::driver::{Driver, Event};
use gpusher_sys::uring::{Descriptors, Uring, UringOptions};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Connections under way at once, on one ring: less than a listener's backlog.
const CONNECTING_MAX: u32 = 256;
/// Connections from one address: a pair of addresses has some 28,000 ports.
const PORTS_PER_SOURCE: u32 = 20_000;
/// Longest wait of a ring while there is something to wait for.
const TURN: Duration = Duration::from_millis(1);
/// Nothing new for that long: it does not come.
const PATIENCE: Duration = Duration::from_secs(30);

/// See the module.
pub(super) struct Receivers {
    thread: JoinHandle<Result<()>>,
    to_read: Sender<Read>,
    done: Receiver<()>,
}

/// So many bytes of messages from one crowd.
#[derive(Debug, Clone, Copy)]
struct Read {
    crowd: usize,
    bytes: u64,
}

impl Receivers {
    /// Connects that many to each address and logs them in; `are_logged_in` tells when all are.
    pub(super) fn start(addresses: &[(SocketAddrV4, u32)], plan: &Plan) -> Self {
        let (to_read, orders) = channel();
        let (reports, done) = channel();
        let (addresses, plan) = (addresses.to_vec(), *plan);
        let thread = thread::spawn(move || receive(&addresses, &plan, &orders, &reports));
        Self { thread, to_read, done }
    }

    /// Does not wait.
    ///
    /// # Errors
    /// When the thread has given up; [`Self::stop`] knows why.
    pub(super) fn are_logged_in(&self) -> Result<bool> {
        match self.done.try_recv() {
            Ok(()) => Ok(true),
            Err(_) if self.thread.is_finished() => bail!("the receivers gave up"),
            Err(_) => Ok(false),
        }
    }

    /// Has that many bytes read that were sent to one crowd.
    ///
    /// # Errors
    /// As before.
    pub(super) fn read(&self, crowd: usize, bytes: u64) -> Result<()> {
        let gone = "the receivers gave up";
        self.to_read.send(Read { crowd, bytes }).context(gone)?;
        self.done.recv().context(gone)
    }

    /// Ends the thread.
    ///
    /// # Errors
    /// Why it had ended by itself.
    pub(super) fn stop(self) -> Result<()> {
        drop(self.to_read);
        self.thread.join().map_err(|_| anyhow!("the receivers panicked"))?
    }
}

fn receive(
    addresses: &[(SocketAddrV4, u32)],
    plan: &Plan,
    orders: &Receiver<Read>,
    reports: &Sender<()>,
) -> Result<()> {
    let crowds = addresses.iter().zip(0..).map(|(&(to, connections), number)| {
        Crowd::open(to, number, connections, plan).context("cannot open rings for receivers")
    });
    let mut crowds = crowds.collect::<Result<Vec<_>>>()?;
    for crowd in &mut crowds {
        crowd.log_in()?;
    }
    // Whoever does not listen any more has given up too.
    let _ = reports.send(());
    for Read { crowd, bytes } in orders {
        crowds[crowd].read(bytes)?;
        let _ = reports.send(());
    }
    Ok(())
}

/// One shard's connections. Their descriptors live in the rings' own tables, so that the process's table is left to the senders.
struct Crowd {
    driver: Uring,
    to: SocketAddrV4,
    /// Its number among the crowds.
    number: u32,
    connections: u32,
    connected: u32,
    logged_in: u32,
    /// Bytes of messages that nobody has asked for yet.
    received: u64,
}

impl Crowd {
    fn open(to: SocketAddrV4, number: u32, connections: u32, plan: &Plan) -> Result<Self> {
        let (rings, table) = plan.rings_for(connections);
        let descriptors = Descriptors::Direct { table };
        let options = UringOptions { descriptors, rings, ..UringOptions::default() };
        let driver = Uring::new(&options, None, Waker::new()?)?;
        Ok(Self { driver, to, number, connections, connected: 0, logged_in: 0, received: 0 })
    }

    fn log_in(&mut self) -> Result<()> {
        let address = u32::from(Ipv4Addr::new(127, 0, 0, 2));
        let mut asked = 0;
        while self.logged_in < self.connections {
            while asked < self.connections && asked - self.connected < CONNECTING_MAX {
                let source = Ipv4Addr::from(address + asked / PORTS_PER_SOURCE);
                self.driver.connect(asked, Some(SocketAddrV4::new(source, 0)), self.to)?;
                asked += 1;
            }
            self.turn_until_more(|crowd| u64::from(crowd.connected + crowd.logged_in))?;
        }
        Ok(())
    }

    fn read(&mut self, bytes: u64) -> Result<()> {
        while self.received < bytes {
            self.turn_until_more(|crowd| crowd.received)?;
        }
        self.received -= bytes;
        Ok(())
    }

    fn turn_until_more(&mut self, amount: impl Fn(&Self) -> u64) -> Result<()> {
        let (before, deadline) = (amount(self), Instant::now() + PATIENCE);
        while amount(self) == before {
            ensure!(Instant::now() < deadline, "it does not come");
            self.turn()?;
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<()> {
        let Self { driver, number, connected, logged_in, received, .. } = self;
        let mut to_log_in = Vec::new();
        let mut outcome = Ok(());
        driver.turn(TURN, &mut |event| match event {
            Event::Connected(slot) => {
                *connected += 1;
                to_log_in.push(slot);
            }
            Event::Received(_, bytes) => match count(bytes) {
                Ok(seen) => {
                    *logged_in += seen.logins;
                    *received += seen.message_bytes;
                }
                Err(error) => outcome = Err(error),
            },
            Event::Hangup { errno, .. } => outcome = Err(anyhow!("a connection ended: {errno}")),
            _ => {}
        });
        for slot in to_log_in {
            let login = driver.lend(login(&format!("bench{number:04}{slot:07}")).into());
            driver.send(slot, login);
        }
        outcome
    }
}

/// What a connection has read.
#[derive(Debug, Default)]
struct Seen {
    logins: u32,
    message_bytes: u64,
}

/// Frames are short and the sockets empty: they arrive whole. Everybody's last frame before the first message is SYNCED.
fn count(mut bytes: &[u8]) -> Result<Seen> {
    let mut seen = Seen::default();
    while !bytes.is_empty() {
        let Ok(Split::Whole { frame: RawFrame::V1(raw), len }) = split(bytes, BODY_BYTES_MAX)
        else {
            bail!("half a frame");
        };
        match ServerFrame::decode(raw)? {
            ServerFrame::Welcome(_) => {}
            ServerFrame::Synced { .. } => seen.logins += 1,
            ServerFrame::Push(_) => seen.message_bytes += len as u64,
            other => bail!("unexpected {other:?}"),
        }
        bytes = &bytes[len..];
    }
    Ok(seen)
}
