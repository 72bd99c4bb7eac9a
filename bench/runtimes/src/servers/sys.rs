//! On our own drivers.

use super::{BROADCAST, announce};
use anyhow::Result;
use bytes::Bytes;
use gpusher_sys::Waker;
use gpusher_sys::driver::{Driver, Event};
use gpusher_sys::epoll::Epoll;
use gpusher_sys::socket::Listener;
use gpusher_sys::uring::{Uring, UringOptions};
use slab::Slab;
use std::time::Duration;

/// Sends between two visits to the kernel.
const SENDS_MAX: usize = 1024;

pub(super) fn serve_uring(listener: Listener) -> Result<()> {
    announce(listener.address())?;
    run(Uring::new(&UringOptions::default(), Some(listener), Waker::new()?)?)
}

pub(super) fn serve_epoll(listener: Listener) -> Result<()> {
    announce(listener.address())?;
    run(Epoll::new(Some(listener), Waker::new()?)?)
}

/// What a turn has brought.
#[derive(Debug, Default)]
struct Turn {
    accepted: Vec<gpusher_sys::driver::Socket>,
    received: Vec<(u32, Bytes)>,
    /// Gone, or too slow.
    ended: Vec<u32>,
    closed: Vec<u32>,
}

fn run(mut driver: impl Driver) -> Result<()> {
    // Whether it is open, or on its way out.
    let mut held: Slab<bool> = Slab::new();
    let mut turn = Turn::default();
    driver.accept();
    loop {
        turn.enter(&mut driver, Duration::from_secs(1));
        for slot in turn.closed.drain(..) {
            held.remove(slot as usize);
        }
        for slot in std::mem::take(&mut turn.ended) {
            held[slot as usize] = false;
            driver.close(slot);
        }
        for socket in std::mem::take(&mut turn.accepted) {
            driver.open(socket, held.insert(true) as u32);
        }
        // One send per slot and turn: echoes first, and what comes twice from one connection goes back together.
        let (to_all, mut echoes): (Vec<_>, Vec<_>) =
            turn.received.drain(..).partition(|(_, bytes)| bytes[0] == BROADCAST);
        echoes.sort_by_key(|&(slot, _)| slot);
        echoes.retain(|&(slot, _)| held[slot as usize]);
        for echoes in echoes.chunk_by(|a, b| a.0 == b.0) {
            let bytes: Vec<u8> = echoes.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
            let frame = driver.lend(bytes.into());
            driver.send(echoes[0].0, frame);
        }
        for (_, bytes) in to_all {
            turn.enter(&mut driver, Duration::ZERO);
            broadcast(&mut driver, &held, &bytes, &mut turn);
        }
    }
}

fn broadcast(driver: &mut impl Driver, held: &Slab<bool>, bytes: &Bytes, turn: &mut Turn) {
    let slots: Vec<u32> =
        held.iter().filter(|(_, open)| **open).map(|(slot, _)| slot as u32).collect();
    for slots in slots.chunks(SENDS_MAX) {
        let frame = driver.lend(bytes.clone());
        for slot in slots.iter().filter(|slot| !turn.ended.contains(slot)) {
            driver.send(*slot, frame);
        }
        turn.enter(driver, Duration::ZERO);
    }
}

impl Turn {
    fn enter(&mut self, driver: &mut impl Driver, timeout: Duration) {
        // Nobody waits longer than for what is at hand.
        let idle = self.received.is_empty() && self.ended.is_empty() && self.accepted.is_empty();
        let timeout = if idle { timeout } else { Duration::ZERO };
        let mut stopped = false;
        driver.turn(timeout, &mut |event| match event {
            Event::Accepted(socket) => self.accepted.push(socket),
            Event::Received(slot, bytes) => {
                self.received.push((slot, Bytes::copy_from_slice(bytes)));
            }
            Event::Hangup { slot, .. } | Event::Short { slot, .. } => self.ended.push(slot),
            Event::Closed(slot) => self.closed.push(slot),
            Event::AcceptFailed { .. } => stopped = true,
            _ => {}
        });
        if stopped {
            driver.accept();
        }
    }
}
