//! A broadcast and the floor under it: what one core spends to hand one message to many sockets, by the gateway's own shard, by a bare ring, and
//! by a bare loop of `send(2)`; to the same sockets, in turns, within one run. The receivers, on another thread, read between the rounds.
//!
//! The CPU time is the sending thread's: its own code, the system calls, and what the kernel does in its context, which on loopback is both halves of TCP up
//! to the receiver's queue. The link between logic and shards is not in it: it costs the same for a million receivers as for one.

mod receivers;
mod senders;
mod shared;

use crate::figure::{Figure, Unit};
use crate::timing::Effort;
use anyhow::{Result, ensure};
use gpusher_proto::wire::{EncodedPush, Encoding};
use gpusher_sys::clock::thread_cpu_ns;
use receivers::Receivers;
use senders::{House, open_houses};
use serde::Serialize;
use std::sync::Arc;

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Sockets that get each message.
    pub connections: u32,
    /// Broadcasts by each way.
    pub rounds: u32,
    /// Bytes of content; the frame around it is the protocol's.
    pub content_bytes: usize,
    /// Connections per shard. All of one shard get a message before any of them reads: what the machine lets wait in sockets (`tcp_mem`) bounds it.
    pub per_shard: u32,
    /// Connections per ring, where one does not hold all: the descriptor limit bounds it.
    pub per_ring: u32,
}

/// Room in each ring's table for sockets on their way in or out.
const TABLE_SPARE: u32 = 64;

impl Plan {
    /// Rings for that many connections, and the entries of each one's table.
    fn rings_for(&self, connections: u32) -> (u32, u32) {
        let rings = connections.div_ceil(self.per_ring);
        (rings, connections.div_ceil(rings) + TABLE_SPARE)
    }
}

/// What one message costs, in nanoseconds of CPU time of the sending thread; medians over the rounds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Floor {
    /// Sockets that got each message.
    pub connections: u32,
    /// By a bare ring.
    pub ring_ns: f64,
    /// By a bare loop of system calls; none where the sockets are in the rings' own tables.
    pub system_calls_ns: Option<f64>,
    /// By the gateway's shard.
    pub gateway_ns: f64,
    /// The gateway's over the ring's, round by round; the median.
    pub ratio: f64,
}

/// A way to send one message to everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Ring,
    SystemCalls,
    Gateway,
}

/// Takes the figures of the group. The kernel does the work: there is nothing to count instructions of.
pub fn figures(effort: Effort) -> Vec<Figure> {
    if matches!(effort, Effort::Counted { .. }) {
        return Vec::new();
    }
    let (connections, rounds) = effort.pick((5_000, 11), (50, 2));
    measure(connections, rounds, 64).expect("loopback sockets").figures()
}

/// One shard whose sockets are in the process's table, so that all three ways reach them.
///
/// # Errors
/// When sockets cannot be made: the process needs a descriptor for each.
pub fn measure(connections: u32, rounds: u32, content_bytes: usize) -> Result<Floor> {
    run(&Plan { connections, rounds, content_bytes, per_shard: u32::MAX, per_ring: u32::MAX })
}

/// Runs the plan. More than one shard's connections are held in the rings' own tables, where `send(2)` does not reach them.
///
/// # Errors
/// When sockets cannot be made, a socket was full, or something does not arrive.
pub fn run(plan: &Plan) -> Result<Floor> {
    let (mut houses, is_plain) = open_houses(plan)?;
    let addresses: Vec<_> = houses.iter().map(House::address).collect();
    let receivers = Receivers::start(&addresses, plan);
    match rounds(&mut houses, &receivers, plan, is_plain) {
        Ok(spent) => receivers.stop().map(|()| Floor::of(plan.connections, spent)),
        // If the receivers have given up, theirs is the reason.
        Err(error) => receivers.stop().and(Err(error)),
    }
}

/// Nanoseconds for each message, by way and round.
fn rounds(
    houses: &mut [House],
    receivers: &Receivers,
    plan: &Plan,
    is_plain: bool,
) -> Result<[Vec<f64>; 3]> {
    while !receivers.are_logged_in()? {
        houses.iter_mut().for_each(House::let_in);
    }
    let ways: &[Way] = match is_plain {
        true => &[Way::Ring, Way::SystemCalls, Way::Gateway],
        false => &[Way::Ring, Way::Gateway],
    };
    let mut spent: [Vec<f64>; 3] = Default::default();
    // The first round warms up.
    for round in 0..=plan.rounds as usize {
        for turn in 0..ways.len() {
            // There and back again: nobody always follows the same one.
            let turn = if round % 2 == 0 { turn } else { ways.len() - 1 - turn };
            let way = ways[turn];
            let ns = one_round(way, houses, receivers, plan)?;
            spent[way as usize].extend((round > 0).then_some(ns));
        }
    }
    Ok(spent)
}

/// One broadcast, house by house: what waits in sockets is bounded by the machine (`tcp_mem`).
fn one_round(way: Way, houses: &mut [House], receivers: &Receivers, plan: &Plan) -> Result<f64> {
    let push = Arc::new(EncodedPush::new(crate::codec::message(plan.content_bytes)));
    let frame_bytes = push.frame(Encoding::V1).len() as u64;
    let mut spent_ns = 0;
    for (number, house) in houses.iter_mut().enumerate() {
        let before_ns = thread_cpu_ns();
        let refused = house.broadcast(way, &push)?;
        spent_ns += thread_cpu_ns() - before_ns;
        ensure!(refused == 0, "{refused} sockets were full");
        let (_, connections) = house.address();
        receivers.read(number, frame_bytes * u64::from(connections))?;
    }
    Ok(spent_ns as f64 / f64::from(plan.connections))
}

impl Floor {
    /// By name, for a table or a history.
    pub fn figures(&self) -> Vec<Figure> {
        let figure = |way: &str, value, unit| {
            let name = format!("one message to one of {} connections, {way}", self.connections);
            Figure { name, value, unit, spread: 1.0 }
        };
        let ns = Unit::Nanoseconds;
        let calls = self.system_calls_ns.map(|value| figure("bare send(2), CPU", value, ns));
        let shard = figure("shard, CPU", self.gateway_ns, ns);
        let ring = figure("bare ring, CPU", self.ring_ns, ns);
        let ratio = figure("shard over bare ring", self.ratio, Unit::Ratio);
        [shard, ring].into_iter().chain(calls).chain([ratio]).collect()
    }

    fn of(connections: u32, [ring, calls, gateway]: [Vec<f64>; 3]) -> Self {
        let ratios = gateway.iter().zip(&ring).map(|(gateway, ring)| gateway / ring).collect();
        Self {
            connections,
            ratio: median(ratios),
            ring_ns: median(ring),
            system_calls_ns: (!calls.is_empty()).then(|| median(calls)),
            gateway_ns: median(gateway),
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
