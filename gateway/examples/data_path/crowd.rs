//! The clients themselves: in the child process, on one thread.

use super::{APP, Arguments, unix_ns};
use anyhow::{Result, bail};
use clap::Parser;
use gpusher_proto::wire::v1::{ClientFrame, Login, ServerFrame};
use gpusher_proto::wire::{BODY_BYTES_MAX, ChannelKind, Positions, RawFrame, Split, split};
use gpusher_sys::Waker;
use gpusher_sys::clock::monotonic_ms;
use gpusher_sys::driver::{Driver, Event};
use gpusher_sys::uring::{Descriptors, Uring, UringOptions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

/// A pair of addresses has some 28,000 ports.
const PER_SOURCE: u32 = 20_000;
/// Entries of a ring's own table.
const TABLE: u32 = 19_000;

/// All of them.
pub(super) struct Crowd {
    driver: Uring,
    server: SocketAddrV4,
    arguments: Arguments,
    state: Vec<State>,
    told: [u64; 3],
    told_at_ms: u64,
}

#[derive(Debug, Default)]
struct State {
    last_seq: u64,
    partial: Vec<u8>,
}

#[derive(Debug, Default)]
struct Seen {
    ready: u64,
    messages: u64,
    violations: u64,
    connected: Vec<u32>,
    latencies: Vec<u64>,
    deaf: Vec<u32>,
}

impl Crowd {
    pub(super) fn open(arguments: &Arguments, server: SocketAddrV4) -> Result<Self> {
        let descriptors = Descriptors::Direct { table: TABLE };
        let rings = arguments.connections.div_ceil(TABLE);
        let options =
            UringOptions { descriptors, rings, scratch_buffers: 512, ..UringOptions::default() };
        let driver = Uring::new(&options, None, Waker::new()?)?;
        let arguments = Arguments::parse_from(std::env::args());
        let state = (0..arguments.connections).map(|_| State::default()).collect();
        Ok(Self { driver, server, arguments, state, told: [0; 3], told_at_ms: 0 })
    }

    pub(super) fn run(mut self) -> Result<()> {
        let (mut asked, mut seen) = (0, Seen::default());
        let started = Instant::now();
        loop {
            let due = match self.arguments.rate {
                0 => u32::MAX,
                rate => (started.elapsed().as_secs_f64() * f64::from(rate)) as u32,
            };
            let until = due.min(self.arguments.connections).min(seen.ready as u32 + 512);
            for slot in asked..until.max(asked) {
                let source = u32::from(Ipv4Addr::new(127, 0, 0, 2)) + slot / PER_SOURCE;
                let source = SocketAddrV4::new(Ipv4Addr::from(source), 0);
                self.driver.connect(slot, Some(source), self.server)?;
            }
            asked = until.max(asked);
            self.turn(&mut seen)?;
            self.tell(&mut seen)?;
        }
    }

    fn turn(&mut self, seen: &mut Seen) -> Result<()> {
        let Self { driver, state, arguments, .. } = self;
        let mut failure = None;
        driver.turn(Duration::from_millis(2), &mut |event| match event {
            Event::Connected(slot) => seen.connected.push(slot),
            Event::Received(slot, bytes) => {
                if let Err(error) = state[slot as usize].receive(slot, bytes, arguments.deaf, seen)
                {
                    failure = Some(error);
                }
            }
            Event::Hangup { slot, errno } => {
                failure = Some(anyhow::anyhow!("connection {slot} ended: {errno}"))
            }
            Event::Short { .. } => failure = Some(anyhow::anyhow!("a login was not taken")),
            _ => {}
        });
        for slot in seen.connected.drain(..) {
            let user = format!("user-{slot:011}");
            let login = Login {
                app_id: APP,
                user: &user,
                device: "",
                token: "any",
                capabilities: 0,
                epoch: 0,
                resume: Positions::EMPTY,
            };
            let frame = driver.lend(ClientFrame::Login(login).to_vec()?.into());
            driver.send(slot, frame);
        }
        for slot in seen.deaf.drain(..) {
            driver.set_reading(slot, false);
        }
        failure.map_or(Ok(()), Err)
    }

    fn tell(&mut self, seen: &mut Seen) -> Result<()> {
        let now = [seen.ready, seen.messages, seen.violations];
        if (now == self.told && seen.latencies.is_empty()) || monotonic_ms() < self.told_at_ms + 2 {
            return Ok(());
        }
        (self.told, self.told_at_ms) = (now, monotonic_ms());
        let mut out = std::io::stdout().lock();
        for latency in seen.latencies.drain(..) {
            writeln!(out, "latency {latency}")?;
        }
        writeln!(out, "ready {}\nmessages {}\nviolations {}", now[0], now[1], now[2])?;
        Ok(out.flush()?)
    }
}

impl State {
    fn receive(&mut self, slot: u32, bytes: &[u8], deaf: u32, seen: &mut Seen) -> Result<()> {
        if self.partial.is_empty() {
            let used = self.frames(slot, bytes, deaf, seen)?;
            self.partial.extend_from_slice(&bytes[used..]);
        } else {
            let mut held = std::mem::take(&mut self.partial);
            held.extend_from_slice(bytes);
            let used = self.frames(slot, &held, deaf, seen)?;
            if used < held.len() {
                self.partial = held.split_off(used);
            }
        }
        Ok(())
    }

    fn frames(&mut self, slot: u32, bytes: &[u8], deaf: u32, seen: &mut Seen) -> Result<usize> {
        let mut used = 0;
        while let Split::Whole { frame: RawFrame::V1(raw), len } =
            split(&bytes[used..], BODY_BYTES_MAX)?
        {
            match ServerFrame::decode(raw)? {
                ServerFrame::Welcome(_) => {}
                ServerFrame::Synced { .. } => {
                    seen.ready += 1;
                    if slot % 100 < deaf {
                        seen.deaf.push(slot);
                    }
                }
                ServerFrame::Push(push) if push.position.kind == ChannelKind::Own => {
                    seen.messages += 1;
                    let sent = u64::from_be_bytes(push.content.try_into()?);
                    seen.latencies.push((unix_ns() - sent) / 1_000);
                }
                ServerFrame::Push(push) => {
                    seen.messages += 1;
                    let seq = push.position.seq;
                    seen.violations += u64::from(self.last_seq != 0 && seq != self.last_seq + 1);
                    self.last_seq = seq;
                }
                other => bail!("unexpected {other:?}"),
            }
            used += len;
        }
        Ok(used)
    }
}
