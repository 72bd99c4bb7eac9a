//! One thread that holds many client connections: connects them at a rate, keeps them alive, receives.

use crate::crowd::{Crowd, Due, Progress};
use crate::measure::Series;
use crate::message::Clock;
use crate::plan::Plan;
use crate::protocol::Protocol;
use bytes::Bytes;
use gpusher_sys::driver::Driver;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Longest wait for the kernel, so that the clock is looked at.
const TURN_MAX: Duration = Duration::from_millis(10);
/// Time between two rounds of acknowledgements.
const ACKNOWLEDGE_EVERY: Duration = Duration::from_millis(500);
/// Connections started in one turn at most.
const CONNECTS_PER_TURN_MAX: u32 = 64;

/// A thread's connections and their driver.
pub struct Swarm<D, P> {
    driver: D,
    crowd: Crowd<P>,
    plan: Plan,
    started: Instant,
    connected: u32,
    /// Next slot that gets a heartbeat, and when the round began.
    beat: (u32, Instant),
    acknowledged_at: Instant,
    /// Waiting for a turn in which their slot has not sent yet.
    waiting: VecDeque<(u32, Bytes)>,
    sent: Vec<u32>,
    turn: u32,
}

impl<D: Driver, P: Protocol> Swarm<D, P> {
    /// Nothing is connected yet.
    pub fn new(driver: D, protocol: P, plan: Plan, clock: Clock, progress: Arc<Progress>) -> Self {
        let started = Instant::now();
        Self {
            driver,
            crowd: Crowd::new(protocol, plan.first, plan.count, clock, progress),
            started,
            connected: 0,
            beat: (0, started),
            acknowledged_at: started,
            waiting: VecDeque::new(),
            sent: vec![0; plan.count as usize],
            plan,
            turn: 0,
        }
    }

    /// Runs until told to stop; returns what was seen of each series.
    ///
    /// # Errors
    /// When sockets cannot be made.
    pub fn run(mut self, stop: &AtomicBool) -> std::io::Result<FxHashMap<u32, Series>> {
        while !stop.load(Ordering::Relaxed) {
            self.turn += 1;
            self.connect_due()?;
            self.beat_due();
            self.acknowledge_due();
            self.send_waiting();
            let crowd = &mut self.crowd;
            self.driver.turn(TURN_MAX, &mut |event| crowd.on_event(event));
            self.act();
        }
        Ok(self.crowd.into_series())
    }

    fn connect_due(&mut self) -> std::io::Result<()> {
        let due = (self.started.elapsed().as_secs_f64() * self.plan.logins_per_s) as u32;
        let until = due.min(self.plan.count).min(self.connected + CONNECTS_PER_TURN_MAX);
        for slot in self.connected..until {
            self.driver.connect(slot, Some(self.plan.source(slot)), self.plan.server)?;
            self.crowd.on_connect_started(slot);
        }
        self.connected = self.connected.max(until);
        Ok(())
    }

    /// Heartbeats are spread evenly over the interval.
    fn beat_due(&mut self) {
        let (next, round_began) = self.beat;
        let share = round_began.elapsed().as_secs_f64() / self.plan.heartbeat.as_secs_f64();
        let until = ((share * f64::from(self.plan.count)) as u32).min(self.plan.count);
        if until > next {
            if let Some(frame) = self.crowd.heartbeat() {
                for slot in (next..until).filter(|slot| self.crowd.is_ready(*slot)) {
                    self.waiting.push_back((slot, frame.clone()));
                }
            }
            self.beat.0 = until;
        }
        if until == self.plan.count {
            self.beat = (0, Instant::now());
        }
    }

    fn acknowledge_due(&mut self) {
        if self.acknowledged_at.elapsed() >= ACKNOWLEDGE_EVERY {
            self.acknowledged_at = Instant::now();
            self.waiting.extend(self.crowd.take_acknowledgements());
        }
    }

    /// One send per connection and turn; the rest waits for the next.
    fn send_waiting(&mut self) {
        for _ in 0..self.waiting.len() {
            let (slot, frame) = self.waiting.pop_front().expect("counted");
            if !self.crowd.is_open(slot) {
                continue;
            }
            let sent = &mut self.sent[slot as usize];
            if *sent == self.turn {
                self.waiting.push_back((slot, frame));
                continue;
            }
            *sent = self.turn;
            let key = self.driver.lend(frame);
            self.driver.send(slot, key);
        }
    }

    fn act(&mut self) {
        for due in self.crowd.take_due() {
            match due {
                Due::Login(slot) => self.waiting.push_back((slot, self.crowd.login(slot))),
                Due::Reply(slot, reply) => self.waiting.push_back((slot, reply)),
                Due::Rest(slot, rest) => self.waiting.push_front((slot, rest)),
                Due::Close(slot) => self.driver.close(slot),
            }
        }
    }
}
