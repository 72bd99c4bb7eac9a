//! The shard without the kernel: what the walk over the members, the joining of waiting messages and a unicast cost in user space. The driver
//! swallows every send.

use crate::codec::message;
use crate::figure::{Figure, Unit};
use crate::rig::{APP, Rig, login};
use crate::timing::{Effort, time_each};
use anyhow::Result;
use bytes::Bytes;
use gpusher_gateway::mail::Audience;
use gpusher_proto::wire::{EncodedPush, Encoding};
use gpusher_sys::driver::{Driver, Event, FrameKey, Socket};
use std::hint::black_box;
use std::net::SocketAddrV4;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Messages that wait when a pass begins.
const WAITING: u32 = 16;
/// More than the last cache of any machine that this is likely to run on.
const CACHE_BYTES: usize = 256 << 20;

/// Takes the figures.
pub fn figures(effort: Effort) -> Vec<Figure> {
    let (hot, cold) = match effort {
        Effort::Counted { .. } => (1_000, 0),
        effort => effort.pick((10_000, 1_000_000), (100, 1_000)),
    };
    let mut small = full_rig(hot);
    let mut figures = vec![
        time_each(&format!("broadcast to {hot}, each"), effort, hot, || {
            broadcast(&mut small, 1, hot);
        }),
        time_each(
            &format!("{WAITING} broadcasts to {hot} joined, each message"),
            effort,
            WAITING * hot,
            || broadcast(&mut small, WAITING, hot),
        ),
    ];
    let mut one = full_rig(1);
    figures.push(time_each(
        &format!("{WAITING} broadcasts to 1 joined, each message"),
        effort,
        WAITING,
        || broadcast(&mut one, WAITING, 1),
    ));
    // A million members cost as many instructions each as a thousand do.
    if let Effort::Timed { rounds, .. } = effort {
        figures.push(cold_walk(&mut full_rig(cold), cold, rounds));
    }
    figures
}

/// Between two broadcasts, everything else has gone through the caches.
fn cold_walk(rig: &mut Rig<Void>, members: u32, rounds: u32) -> Figure {
    let mut evictor = vec![0_u8; CACHE_BYTES];
    let round = |number| {
        evictor.iter_mut().step_by(64).for_each(|byte| *byte = number as u8);
        black_box(&evictor);
        let started = Instant::now();
        broadcast(rig, 1, members);
        started.elapsed().as_nanos() as f64 / f64::from(members)
    };
    let rounds = (0..rounds).map(round).collect();
    Figure::median(format!("broadcast to {members}, cold, each"), rounds, Unit::Nanoseconds)
}

/// That many at once.
fn broadcast(rig: &mut Rig<Void>, messages: u32, members: u32) {
    for _ in 0..messages {
        let push = EncodedPush::new(message(64));
        push.frame(Encoding::V1);
        rig.deliver(Audience::App(APP), Arc::new(push));
    }
    assert_eq!(rig.finish(messages as usize), u64::from(messages) * u64::from(members));
}

fn full_rig(members: u32) -> Rig<Void> {
    let driver = Void { to_accept: 0..members, to_log_in: Vec::new(), lent: 0 };
    let mut rig = Rig::new(0, members, |_| Result::Ok(driver)).expect("an eventfd");
    while rig.members() < members {
        rig.let_in();
    }
    rig
}

/// Accepts clients that log in and say no more, and takes every send whole.
#[derive(Debug)]
struct Void {
    to_accept: Range<u32>,
    /// Slots that were opened in this turn.
    to_log_in: Vec<u32>,
    lent: u32,
}

/// Accepted in one turn: fewer than half of the mails that a turn reads.
const ACCEPTED_MAX: usize = 256;

impl Driver for Void {
    fn accept(&mut self) {}

    fn stop_accepting(&mut self) {}

    fn open(&mut self, _: Socket, slot: u32) {
        self.to_log_in.push(slot);
    }

    fn discard(&mut self, socket: Socket) {
        panic!("there is room for {socket:?}");
    }

    fn connect(&mut self, _: u32, _: Option<SocketAddrV4>, _: SocketAddrV4) -> std::io::Result<()> {
        unreachable!("a shard does not connect")
    }

    fn lend(&mut self, bytes: Bytes) -> FrameKey {
        black_box(bytes);
        self.lent += 1;
        FrameKey(self.lent)
    }

    fn send(&mut self, slot: u32, frame: FrameKey) {
        black_box((slot, frame));
    }

    fn flush(&mut self, slot: u32, _: &mut dyn Iterator<Item = Bytes>) {
        panic!("slot {slot} takes everything at once");
    }

    fn await_writable(&mut self, slot: u32) {
        panic!("slot {slot} takes everything at once");
    }

    fn set_reading(&mut self, _: u32, _: bool) {}

    fn close(&mut self, slot: u32) {
        panic!("slot {slot} keeps all rules");
    }

    fn turn(&mut self, _: Duration, sink: &mut dyn FnMut(Event<'_>)) {
        self.lent = 0;
        for slot in self.to_log_in.drain(..) {
            sink(Event::Received(slot, &login(&format!("bench{slot:011}"))));
        }
        for socket in self.to_accept.by_ref().take(ACCEPTED_MAX) {
            sink(Event::Accepted(Socket(socket)));
        }
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}
