//! The client side, the same for all: many connections on one ring. It never sleeps while it waits, so that no server pays for waking it.

use crate::servers::BROADCAST;
use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use gpusher_sys::Waker;
use gpusher_sys::driver::{Driver, Event};
use gpusher_sys::uring::{Descriptors, Uring, UringOptions};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

/// Bytes of each message.
pub(crate) const MESSAGE_BYTES: usize = 64;
/// Connections under way at once.
const CONNECTING_MAX: u32 = 64;
/// Connections from one address: a pair of addresses has some 28,000 ports.
const PORTS_PER_SOURCE: u32 = 20_000;
/// Nothing new for that long: it does not come.
const PATIENCE: Duration = Duration::from_secs(30);

/// See the module.
pub(crate) struct Client {
    driver: Uring,
    /// By slot: bytes of an answer that are still to come.
    due: Vec<usize>,
    /// Slots that have nothing due any more, since last looked at.
    answered: Vec<u32>,
}

impl Client {
    pub(crate) fn new(connections: u32) -> Result<Self> {
        let descriptors = Descriptors::Direct { table: connections + 1 };
        let options = UringOptions { descriptors, ..UringOptions::default() };
        let driver = Uring::new(&options, None, Waker::new()?)?;
        Ok(Self { driver, due: Vec::new(), answered: Vec::new() })
    }

    /// Makes more connections, each of which sends a message and gets it back before it counts: a connection that the server has not accepted is none.
    pub(crate) fn connect(&mut self, to: SocketAddrV4, more: u32) -> Result<()> {
        let goal = self.due.len() + more as usize;
        let mut under_way = 0;
        while self.due.len() < goal || under_way > 0 {
            while self.due.len() < goal && under_way < CONNECTING_MAX {
                let slot = self.due.len() as u32;
                let first = u32::from(Ipv4Addr::new(127, 0, 0, 2));
                let source = Ipv4Addr::from(first + slot / PORTS_PER_SOURCE);
                self.driver.connect(slot, Some(SocketAddrV4::new(source, 0)), to)?;
                self.due.push(MESSAGE_BYTES);
                under_way += 1;
            }
            under_way -= self.turn()? as u32;
        }
        self.answered.clear();
        Ok(())
    }

    /// Has one message sent to everybody, and waits until all have it.
    pub(crate) fn broadcast(&mut self) -> Result<()> {
        self.due.fill(MESSAGE_BYTES);
        let all = self.due.len();
        self.send(0, BROADCAST);
        self.wait_for(all).map(drop)
    }

    /// One message there and back.
    pub(crate) fn echo(&mut self, slot: u32) -> Result<Duration> {
        let started = Instant::now();
        self.ask(slot);
        self.wait_for(1)?;
        Ok(started.elapsed())
    }

    /// The first connections each have one message under way, for so long; returns how many came back.
    pub(crate) fn echo_all(&mut self, connections: u32, time: Duration) -> Result<u64> {
        let started = Instant::now();
        (0..connections).for_each(|slot| self.ask(slot));
        let (mut echoes, mut under_way) = (0, connections as usize);
        while under_way > 0 {
            let answered = self.wait_for(1)?;
            echoes += answered.len() as u64;
            under_way -= answered.len();
            if started.elapsed() < time {
                under_way += answered.len();
                answered.into_iter().for_each(|slot| self.ask(slot));
            }
        }
        Ok(echoes)
    }

    fn ask(&mut self, slot: u32) {
        self.due[slot as usize] = MESSAGE_BYTES;
        self.send(slot, b'E');
    }

    fn send(&mut self, slot: u32, first: u8) {
        let frame = self.driver.lend(message(first));
        self.driver.send(slot, frame);
    }

    /// Turns until at least so many connections have all that was due; says which.
    fn wait_for(&mut self, connections: usize) -> Result<Vec<u32>> {
        while self.answered.len() < connections {
            self.turn()?;
        }
        Ok(std::mem::take(&mut self.answered))
    }

    /// Turns until something has been received; returns how many connections have all that was due since.
    fn turn(&mut self) -> Result<usize> {
        let (deadline, before) = (Instant::now() + PATIENCE, self.answered.len());
        let mut seen = false;
        while !seen {
            ensure!(Instant::now() < deadline, "the server does not answer");
            seen = self.turn_once()?;
        }
        Ok(self.answered.len() - before)
    }

    fn turn_once(&mut self) -> Result<bool> {
        let Self { driver, due, answered } = self;
        let mut connected = Vec::new();
        let (mut seen, mut ended) = (false, None);
        driver.turn(Duration::ZERO, &mut |event| match event {
            Event::Connected(slot) => connected.push(slot),
            Event::Received(slot, bytes) => {
                let due = &mut due[slot as usize];
                *due = due.saturating_sub(bytes.len());
                if *due == 0 {
                    answered.push(slot);
                }
                seen = true;
            }
            Event::Hangup { errno, .. } => ended = Some(errno),
            _ => {}
        });
        connected.into_iter().for_each(|slot| self.send(slot, b'E'));
        match ended {
            Some(errno) => bail!("the server ended a connection: error {errno}"),
            None => Ok(seen),
        }
    }
}

fn message(first: u8) -> Bytes {
    let mut bytes = vec![b'x'; MESSAGE_BYTES];
    bytes[0] = first;
    bytes.into()
}
