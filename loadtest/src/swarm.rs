//! One thread that holds many client connections: connects them at a rate, keeps them alive, receives, and does as it is told.

use crate::crowd::{Claim, Crowd, Due};
use crate::measure::Series;
use crate::message::{Clock, Stamp};
use crate::order::{Commander, Order};
use crate::pace::Pace;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::protocol::Protocol;
use bytes::{Bytes, BytesMut};
use gpusher_sys::driver::Driver;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// Longest wait for the kernel: the thread is woken for orders.
const TURN_MAX_NS: u64 = 1_000_000_000;
/// Heartbeats and acknowledgements are due in lots, so that a thread sleeps between them.
const LOT_NS: u64 = 50_000_000;
/// Time between two rounds of acknowledgements.
const ACKNOWLEDGE_EVERY_NS: u64 = 500_000_000;
/// Connections started in one turn at most.
const CONNECTS_PER_TURN_MAX: u64 = 64;
/// Before a connection that ended is made again.
const COME_BACK_AFTER_NS: u64 = 500_000_000;
/// Of a thread whose connections have all left: they are to come as fast as they can, but are elsewhere in truth, and so leave the cores to the server.
const LEFT_NICE: i32 = 10;
/// What logins are written into at once.
const ARENA_BYTES: usize = 32 << 10;

/// A thread's connections and their driver.
pub struct Swarm<D, P> {
    driver: D,
    crowd: Crowd<P>,
    plan: Plan,
    clock: Clock,
    progress: Arc<Progress>,
    orders: Receiver<Order>,
    logins: Pace,
    /// Who logs in when all of this thread have begun to.
    successor: Option<Commander>,
    churn: Pace,
    /// Slot that churns next.
    churn_next: u32,
    /// Slots that are to be connected again, and when: the earliest first.
    comeback: BinaryHeap<Reverse<(u64, u32)>>,
    comes_back: bool,
    /// Slots that ended and were not to come back.
    gone: Vec<u32>,
    publish: Publish,
    /// Next slot that gets a heartbeat, and when the round began.
    beat: (u32, u64),
    acknowledge_ns: u64,
    /// Waiting for a turn in which their slot has not sent yet.
    waiting: VecDeque<(u32, Bytes)>,
    /// Slots without room: what goes out when there is some.
    blocked: FxHashMap<u32, BytesMut>,
    /// Slots that have sent in this turn.
    claimed: Vec<u32>,
    arena: BytesMut,
    scratch: Vec<u8>,
}

/// Messages of clients under way.
#[derive(Debug)]
struct Publish {
    pace: Pace,
    series: u32,
    first: u32,
    size: usize,
    content: String,
}

impl<D: Driver, P: Protocol> Swarm<D, P> {
    /// Nothing is connected yet.
    pub fn new(
        driver: D,
        protocol: P,
        plan: Plan,
        clock: Clock,
        progress: Arc<Progress>,
        orders: Receiver<Order>,
        successor: Option<Commander>,
    ) -> Self {
        let crowd = Crowd::new(protocol, plan.first, plan.count, clock, progress.clone());
        let never = Pace::never();
        Self {
            driver,
            crowd,
            clock,
            progress,
            orders,
            logins: Pace::new(plan.start_ns, plan.logins_per_s, plan.count.into()),
            successor,
            churn: never,
            churn_next: 0,
            comeback: BinaryHeap::new(),
            comes_back: false,
            gone: Vec::new(),
            publish: Publish { pace: never, series: 0, first: 0, size: 0, content: String::new() },
            beat: (0, clock.now_ns()),
            acknowledge_ns: 0,
            waiting: VecDeque::new(),
            blocked: FxHashMap::default(),
            claimed: Vec::new(),
            arena: BytesMut::new(),
            scratch: Vec::new(),
            plan,
        }
    }

    /// Runs until told to stop; returns how long logins took.
    ///
    /// # Errors
    /// When sockets cannot be made.
    pub fn run(mut self) -> std::io::Result<Series> {
        loop {
            let now_ns = self.clock.now_ns();
            if !self.take_orders(now_ns) {
                return Ok(self.crowd.login_latency().clone());
            }
            self.connect_due(now_ns)?;
            self.beat_due(now_ns);
            self.acknowledge_due(now_ns);
            self.churn_due(now_ns);
            self.publish_due(now_ns);
            self.send_waiting();
            let wait = Duration::from_nanos(self.wait_ns(now_ns));
            let crowd = &mut self.crowd;
            self.driver.turn(wait, &mut |event| crowd.on_event(event));
            self.claimed.drain(..).for_each(|slot| crowd.release(slot));
            self.act();
        }
    }

    /// False: stop.
    fn take_orders(&mut self, now_ns: u64) -> bool {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::LogIn => {
                    self.logins = Pace::new(now_ns, self.plan.logins_per_s, self.plan.count.into());
                    self.beat.1 = now_ns;
                }
                Order::Churn { per_s, count } => self.churn = Pace::new(now_ns, per_s, count),
                Order::Leave => {
                    // It comes to no more than longer waits for a core where that may not be.
                    let _ = rustix::process::setpriority_process(None, LEFT_NICE);
                    let ready = (0..self.plan.count).filter(|slot| self.crowd.is_ready(*slot));
                    ready.collect::<Vec<_>>().into_iter().for_each(|slot| self.crowd.leave(slot));
                }
                Order::Mute(share) => {
                    (0..share.min(self.plan.count)).for_each(|slot| self.mute(slot));
                }
                Order::Unmute => {
                    (0..self.plan.count).for_each(|slot| self.unmute(slot));
                    self.return_gone(now_ns);
                }
                Order::Publish { series, first, per_s, count, size } => {
                    let pace = Pace::new(now_ns, per_s, count);
                    self.publish = Publish { pace, series, first, size, content: String::new() };
                }
                Order::ComeBack(on) => {
                    self.comes_back = on;
                    self.return_gone(now_ns);
                }
                Order::Collect(series, reply) => {
                    let _ = reply.send(self.crowd.collect(series));
                }
                Order::Stop => return false,
            }
        }
        true
    }

    fn mute(&mut self, slot: u32) {
        if self.crowd.is_ready(slot) {
            self.crowd.set_muted(slot, true);
            self.driver.set_reading(slot, false);
        }
    }

    fn unmute(&mut self, slot: u32) {
        if self.crowd.is_muted(slot) {
            self.crowd.leave(slot);
        }
    }

    fn return_gone(&mut self, now_ns: u64) {
        self.comeback.extend(self.gone.drain(..).map(|slot| Reverse((now_ns, slot))));
    }

    /// First logins at their rate, then those that come back.
    fn connect_due(&mut self, now_ns: u64) -> std::io::Result<()> {
        let window = (self.plan.logins_under_way as usize).saturating_sub(self.crowd.logging_in());
        let mut left = CONNECTS_PER_TURN_MAX.min(window as u64);
        while left > 0 && self.logins.due(now_ns) > 0 {
            let slot = u32::try_from(self.logins.done()).expect("slots are 32 bits");
            let due_ns = self.logins.take();
            self.connect(slot, if self.plan.is_saturated() { now_ns } else { due_ns })?;
            left -= 1;
        }
        if self.logins.next_ns().is_none()
            && let Some(successor) = self.successor.take()
        {
            successor.order(Order::LogIn);
        }
        while left > 0
            && let Some(Reverse((due_ns, slot))) = self.comeback.peek().copied()
            && due_ns <= now_ns
        {
            self.comeback.pop();
            self.connect(slot, due_ns)?;
            left -= 1;
        }
        Ok(())
    }

    fn connect(&mut self, slot: u32, intended_ns: u64) -> std::io::Result<()> {
        self.driver.connect(slot, Some(self.plan.source(slot)), self.plan.server(slot))?;
        self.crowd.on_connect_started(slot, intended_ns);
        self.progress.connects.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Heartbeats are spread evenly over the interval.
    fn beat_due(&mut self, now_ns: u64) {
        let (next, round_ns) = self.beat;
        let until = self.beats_until(now_ns.saturating_sub(round_ns));
        if until > next {
            if let Some(frame) = self.crowd.heartbeat() {
                for slot in (next..until).filter(|slot| self.crowd.is_ready(*slot)) {
                    self.waiting.push_back((slot, frame.clone()));
                }
            }
            self.beat.0 = until;
        }
        if until == self.plan.count {
            self.beat = (0, now_ns);
        }
    }

    fn beats_until(&self, elapsed_ns: u64) -> u32 {
        let share = elapsed_ns as f64 / self.plan.heartbeat.as_nanos() as f64;
        ((share * f64::from(self.plan.count)) as u32).min(self.plan.count)
    }

    fn acknowledge_due(&mut self, now_ns: u64) {
        if now_ns >= self.acknowledge_ns {
            self.acknowledge_ns = now_ns + ACKNOWLEDGE_EVERY_NS;
            self.waiting.extend(self.crowd.take_acknowledgements());
        }
    }

    fn churn_due(&mut self, now_ns: u64) {
        for _ in 0..self.churn.due(now_ns).min(CONNECTS_PER_TURN_MAX) {
            self.churn.take();
            let slot = self.churn_next;
            self.churn_next = (slot + 1) % self.plan.count;
            if self.crowd.is_ready(slot) && !self.crowd.is_muted(slot) {
                self.crowd.leave(slot);
            }
        }
    }

    fn publish_due(&mut self, now_ns: u64) {
        for _ in 0..self.publish.pace.due(now_ns) {
            let Publish { pace, series, first, size, content } = &mut self.publish;
            let number = u32::try_from(pace.done()).expect("counts are 32 bits");
            let slot = number % self.plan.count;
            let intended_ns = pace.take();
            if self.crowd.is_ready(slot) {
                content.clear();
                let stamp = Stamp { series: *series, number: *first + number, intended_ns };
                stamp.write(*size, content);
                self.scratch.clear();
                self.crowd.publish(slot, content, &mut self.scratch);
                self.waiting.push_back((slot, self.scratch.clone().into()));
            } else {
                self.progress.unpublished.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// One send per connection and turn; the rest waits for the next.
    fn send_waiting(&mut self) {
        for _ in 0..self.waiting.len() {
            let (slot, bytes) = self.waiting.pop_front().expect("counted");
            if let Some(blocked) = self.blocked.get_mut(&slot) {
                blocked.extend_from_slice(&bytes);
                continue;
            }
            match self.crowd.claim(slot) {
                Claim::Gone => {}
                Claim::NextTurn => self.waiting.push_back((slot, bytes)),
                Claim::Now => {
                    self.claimed.push(slot);
                    let key = self.driver.lend(bytes);
                    self.driver.send(slot, key);
                }
            }
        }
    }

    /// Until something is due.
    fn wait_ns(&self, now_ns: u64) -> u64 {
        if !self.waiting.is_empty() {
            return 0;
        }
        let room = self.crowd.logging_in() < self.plan.logins_under_way as usize;
        let logins = room.then(|| self.logins.next_ns()).flatten();
        let comeback = self.comeback.peek().filter(|_| room).map(|Reverse((due_ns, _))| *due_ns);
        let acknowledge = self.crowd.has_acknowledgements().then_some(self.acknowledge_ns);
        let (beat, round_ns) = self.beat;
        let each_ns = self.plan.heartbeat.as_nanos() as u64 / u64::from(self.plan.count);
        let beat_ns = (round_ns + each_ns * u64::from(beat + 1)).max(now_ns + LOT_NS);
        [logins, comeback, acknowledge, self.churn.next_ns(), self.publish.pace.next_ns()]
            .into_iter()
            .flatten()
            .fold(beat_ns, u64::min)
            .saturating_sub(now_ns)
            .min(TURN_MAX_NS)
    }

    fn act(&mut self) {
        for due in self.crowd.take_due() {
            match due {
                Due::Login(slot) => self.log_in(slot),
                Due::Reply(slot, reply) => self.waiting.push_back((slot, reply)),
                Due::Rest(slot, rest) => {
                    self.blocked.insert(slot, BytesMut::from(rest));
                    if self.crowd.is_open(slot) {
                        self.driver.await_writable(slot);
                    }
                }
                Due::Writable(slot) => {
                    if let Some(rest) = self.blocked.remove(&slot) {
                        self.waiting.push_front((slot, rest.freeze()));
                    }
                }
                Due::Close(slot) => self.driver.close(slot),
                Due::Closed { slot, returns_ns } => self.on_closed(slot, returns_ns),
            }
        }
    }

    fn log_in(&mut self, slot: u32) {
        self.scratch.clear();
        self.crowd.log_in(slot, &mut self.scratch);
        if self.arena.capacity() < self.scratch.len() {
            self.arena.reserve(ARENA_BYTES.max(self.scratch.len()));
        }
        self.arena.extend_from_slice(&self.scratch);
        self.waiting.push_back((slot, self.arena.split().freeze()));
    }

    fn on_closed(&mut self, slot: u32, returns_ns: Option<u64>) {
        self.blocked.remove(&slot);
        let now_ns = self.clock.now_ns();
        let pause = || self.comes_back.then_some(now_ns + COME_BACK_AFTER_NS);
        match returns_ns.map(|due_ns| due_ns.max(now_ns)).or_else(pause) {
            Some(due_ns) => self.comeback.push(Reverse((due_ns, slot))),
            None => self.gone.push(slot),
        }
    }
}
