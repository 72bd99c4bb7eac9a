//! Offers pushes at a given rate, open-loop: each push has an intended time, whether or not the one before was answered.

mod line;
mod phase;

pub use phase::{Audience, Offered, Phase};

use crate::message::Clock;
use crate::protocol::{Push, Pusher};
use anyhow::{Context, Result, ensure};
use gpusher_sys::driver::{Driver, Event};
use line::{Line, Tally};
use std::net::SocketAddrV4;
use std::time::Duration;

/// Longest wait for the kernel.
const TURN_MAX: Duration = Duration::from_millis(10);
/// No answer for that long: the server has gone.
const PATIENCE_NS: u64 = 30_000_000_000;

/// How many pushes may have been handed over by now, whatever the rate; none: no more are wanted.
pub type Allowed<'a> = &'a dyn Fn() -> Option<u32>;

/// The last of the wait for a push's time is spun, so that no sleep's end makes it late: a halted processor takes that long to come back. Only where
/// pushes are [`SPARSE_NS`] apart, so that it costs little of a core that the server may need.
const SPUN_NS: u64 = 150_000;
/// See [`SPUN_NS`].
const SPARSE_NS: u64 = 3_000_000;

/// How often it is looked at while it stands in the way.
const ALLOWED_EVERY: Duration = Duration::from_millis(1);

/// A phase under way.
struct Offer<'a, D> {
    driver: D,
    pusher: &'a mut dyn Pusher,
    phase: &'a Phase,
    allowed: Allowed<'a>,
    clock: Clock,
    lines: Vec<Line>,
    /// Lines that may take a request.
    free: Vec<u32>,
    /// Lines that may have something to send, or may have become free.
    touched: Vec<u32>,
    pushes: Vec<Push>,
    next: u32,
    /// How many are wanted.
    count: u32,
    start_ns: u64,
    handed_ns: u64,
    heard_ns: u64,
    busy_ns: u64,
    tally: Tally,
}

/// Whether all that was due went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handed {
    All,
    /// Every line waits for its answer.
    NoLine,
    /// See [`Allowed`].
    NotAllowed,
}

/// Runs a phase to its end: all requests answered. Blocks.
///
/// # Errors
/// When the server cannot be reached, or answers nothing for half a minute; refusals are counted.
pub fn offer<D: Driver>(
    driver: D,
    server: SocketAddrV4,
    pusher: &mut dyn Pusher,
    phase: &Phase,
    allowed: Allowed<'_>,
    clock: Clock,
) -> Result<Offered> {
    ensure!(phase.rate_per_s > 0.0, "the rate must be positive");
    ensure!(phase.batch > 0 && phase.lines > 0, "batches and lines begin at 1");
    let mut offer = Offer {
        driver,
        pusher,
        phase,
        allowed,
        clock,
        lines: (0..phase.lines).map(|_| Line::default()).collect(),
        free: Vec::new(),
        touched: Vec::new(),
        pushes: Vec::new(),
        next: 0,
        count: phase.count,
        start_ns: 0,
        handed_ns: 0,
        heard_ns: clock.now_ns(),
        busy_ns: 0,
        tally: Tally::default(),
    };
    offer.connect(server)?;
    offer.run()?;
    Ok(offer.finish())
}

impl<D: Driver> Offer<'_, D> {
    fn connect(&mut self, server: SocketAddrV4) -> Result<()> {
        for number in 0..self.phase.lines {
            self.driver.connect(number, None, server).context("cannot make a socket")?;
            self.pusher.greet(&mut self.lines[number as usize].out);
        }
        while self.lines.iter().any(|line| !line.connected) {
            ensure!(self.lines.iter().all(|line| !line.gone), "cannot connect to {server}");
            self.turn(TURN_MAX)?;
        }
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        self.start_ns = self.clock.now_ns();
        (self.handed_ns, self.heard_ns) = (self.start_ns, self.start_ns);
        let (mut before_ns, mut was_busy) = (self.start_ns, false);
        while self.next < self.count || self.lines.iter().any(Line::is_waiting) {
            let now_ns = self.clock.now_ns();
            if was_busy {
                self.busy_ns += now_ns - before_ns;
            }
            before_ns = now_ns;
            let handed = self.hand_over(now_ns);
            was_busy = handed != Handed::All;
            ensure!(now_ns < self.heard_ns + PATIENCE_NS, "the server answers nothing");
            self.turn(self.wait(handed))?;
        }
        Ok(())
    }

    /// Hands all due pushes to free lines.
    fn hand_over(&mut self, now_ns: u64) -> Handed {
        let due = self.phase.due(now_ns - self.start_ns).min(self.count);
        while self.next < due {
            match (self.allowed)() {
                None => self.count = self.next,
                Some(allowed) if allowed <= self.next => {
                    self.heard_ns = now_ns;
                    return Handed::NotAllowed;
                }
                Some(_) => {}
            }
            if self.count == self.next {
                break;
            }
            let Some(number) = self.free.pop() else { return Handed::NoLine };
            let end = (self.next + self.phase.batch).min(self.phase.count);
            let push = |index| {
                let due_ns = self.phase.due_ns(index);
                let intended_ns = due_ns.map_or(now_ns, |due_ns| self.start_ns + due_ns);
                self.phase.push(index, intended_ns)
            };
            self.pushes.clear();
            self.pushes.extend((self.next..end).map(push));
            let size = end - self.next;
            self.next = end;
            self.handed_ns = now_ns;
            let line = &mut self.lines[number as usize];
            line.free = false;
            self.pusher.request(&self.pushes, &mut line.out);
            match self.pusher.unanswered_max() {
                Some(_) => line.on_request(size),
                None => {
                    self.tally.accepted += u64::from(size);
                    self.heard_ns = now_ns;
                }
            }
            self.touch(number);
        }
        Handed::All
    }

    /// The line may have become free, and may have something to send.
    fn touch(&mut self, number: u32) {
        let line = &mut self.lines[number as usize];
        if !line.free && line.has_room(self.pusher.unanswered_max()) {
            line.free = true;
            self.free.push(number);
        }
        self.touched.push(number);
    }

    fn wait(&self, handed: Handed) -> Duration {
        let last = (self.next + self.phase.batch).min(self.phase.count).saturating_sub(1);
        match (handed, self.phase.due_ns(last)) {
            (Handed::NotAllowed, _) => ALLOWED_EVERY,
            (Handed::All, Some(due_ns)) if self.next < self.count => {
                let left_ns = (self.start_ns + due_ns).saturating_sub(self.clock.now_ns());
                let spun_ns = if self.phase.gap_ns() < SPARSE_NS { 0 } else { SPUN_NS };
                Duration::from_nanos(left_ns.saturating_sub(spun_ns)).min(TURN_MAX)
            }
            _ => TURN_MAX,
        }
    }

    fn turn(&mut self, timeout: Duration) -> Result<()> {
        self.touched.sort_unstable();
        self.touched.dedup();
        for number in self.touched.drain(..) {
            if let Some(bytes) = self.lines[number as usize].take_out() {
                let key = self.driver.lend(bytes);
                self.driver.send(number, key);
            }
        }
        let (lines, pusher, tally) = (&mut self.lines, &mut *self.pusher, &mut self.tally);
        let (mut touched, mut full, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        self.driver.turn(timeout, &mut |event| match event {
            Event::Connected(number) => {
                lines[number as usize].connected = true;
                touched.push(number);
            }
            Event::Received(number, bytes) => {
                match lines[number as usize].on_bytes(bytes, pusher, tally) {
                    Ok(()) => touched.push(number),
                    Err(_) => ended.push(number),
                }
            }
            Event::Short { slot, frame, taken } => {
                lines[slot as usize].on_short(frame.slice(taken as usize..));
                full.push(slot);
            }
            Event::Writable(number) => {
                lines[number as usize].on_writable();
                touched.push(number);
            }
            Event::Hangup { slot, .. } => ended.push(slot),
            _ => {}
        });
        if !touched.is_empty() {
            self.heard_ns = self.clock.now_ns();
        }
        for number in full {
            self.driver.await_writable(number);
        }
        touched.into_iter().for_each(|number| self.touch(number));
        ended.into_iter().for_each(|number| self.end(number));
        let open = self.lines.iter().any(|line| !line.gone);
        ensure!(open, "the server closed all connections that push");
        Ok(())
    }

    fn end(&mut self, number: u32) {
        let line = &mut self.lines[number as usize];
        if line.on_end(&mut self.tally) {
            self.driver.close(number);
        }
        if std::mem::replace(&mut line.free, false) {
            self.free.retain(|free| *free != number);
        }
    }

    fn finish(self) -> Offered {
        let planned_ns = self.phase.due_ns(self.next.saturating_sub(1)).unwrap_or(0) as f64;
        let handing_ns = (self.handed_ns - self.start_ns).saturating_sub(self.busy_ns) as f64;
        let ratio = planned_ns / handing_ns.max(planned_ns);
        Offered {
            handed: self.next,
            start_ns: self.start_ns,
            accepted: self.tally.accepted,
            refused: self.tally.refused,
            spent_ns: self.clock.now_ns() - self.start_ns,
            offered_ratio: if planned_ns > 0.0 { ratio } else { 1.0 },
            paced: !self.phase.is_saturated(),
            busy_ns: self.busy_ns,
        }
    }
}
