//! The threads that hold connections, and what they are told together.

use crate::measure::Series;
use crate::message::Clock;
use crate::order::{Commander, Order, commander};
use crate::plan::{Plan, WHEN_TOLD};
use crate::progress::Progress;
use crate::protocol::{Protocol, Visitor};
use crate::swarm::Swarm;
use anyhow::{Context, Result, anyhow, ensure};
use gpusher_sys::Waker;
use gpusher_sys::driver::Driver;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// No message for that long: what is missing is lost.
pub const QUIET: Duration = Duration::from_secs(5);
/// Nobody new for that long: the logins are over.
const LOGIN_QUIET: Duration = Duration::from_secs(20);
/// How often the counters are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Connections of the first thread when there are many: those whose latency is measured while everybody gets a broadcast, so that
/// what they receive does not wait behind what others of their thread do.
const PROBES: u32 = 500;
/// From so many connections on, the first thread has no more than those.
const PROBES_FROM: u32 = 10 * PROBES;

/// Threads that log in at once: more would only take turns on the cores.
fn logging_in_at_once() -> u32 {
    thread::available_parallelism().map_or(1, |cores| cores.get() as u32)
}

/// The threads.
pub struct Crew {
    threads: Vec<JoinHandle<std::io::Result<Series>>>,
    /// Of each thread, with its share of the connections.
    commanders: Vec<(Commander, u32)>,
    /// What all threads count.
    pub progress: Arc<Progress>,
    /// Connections of all.
    pub count: u32,
    /// Connections of the first thread.
    pub probes: u32,
}

/// A thread of connections, for whatever protocol.
struct StartThread<F> {
    plan: Plan,
    clock: Clock,
    waker: Waker,
    driver: F,
    progress: Arc<Progress>,
    orders: Receiver<Order>,
    successor: Option<Commander>,
}

impl<D: Driver, F: Fn(u32, Waker) -> Result<D> + Send + 'static> Visitor for StartThread<F> {
    type Output = std::io::Result<JoinHandle<std::io::Result<Series>>>;

    fn visit<P: Protocol>(self, protocol: P) -> Self::Output {
        let Self { plan, clock, waker, driver, progress, orders, successor } = self;
        let name = format!("clients {}", plan.first);
        thread::Builder::new().name(name).stack_size(256 << 10).spawn(move || {
            let driver = driver(plan.count, waker).map_err(std::io::Error::other)?;
            Swarm::new(driver, protocol, plan, clock, progress, orders, successor).run()
        })
    }
}

impl Crew {
    /// Starts the threads, each with at most `each` connections; their logins begin at once.
    ///
    /// # Errors
    /// When threads or eventfds cannot be made.
    pub fn start<D: Driver>(
        plan: &Plan,
        each: u32,
        clock: Clock,
        driver: impl Fn(u32, Waker) -> Result<D> + Clone + Send + 'static,
    ) -> Result<Self> {
        ensure!(plan.count > 0 && each > 0, "at least one connection is needed");
        let progress = Arc::new(Progress::default());
        let plans = deal(plan, each, clock.now_ns());
        let mut wakers = Vec::new();
        let (mut commanders, mut receivers) = (Vec::new(), Vec::new());
        for plan in &plans {
            let waker = Waker::new()?;
            let (commander, orders) = commander(waker.clone());
            commanders.push((commander, plan.count));
            receivers.push(orders);
            wakers.push(waker);
        }
        let abreast = logging_in_at_once() as usize;
        let mut threads = Vec::new();
        for (number, ((plan, orders), waker)) in
            plans.into_iter().zip(receivers).zip(wakers).enumerate()
        {
            let successor = commanders.get(number + abreast).filter(|_| plan.is_saturated());
            let successor = successor.map(|(commander, _)| commander.clone());
            let (progress, driver) = (progress.clone(), driver.clone());
            let (protocol, account) = (plan.protocol, plan.account.clone());
            let thread = StartThread { plan, clock, waker, driver, progress, orders, successor };
            threads.push(protocol.visit(&account, thread)?);
        }
        let probes = commanders[0].1;
        Ok(Self { threads, commanders, progress, count: plan.count, probes })
    }

    /// Orders all threads; `share` makes a thread's order from its part of the whole (they add up to 1) and its number.
    pub fn order(&self, mut make: impl FnMut(f64, u32) -> Order) {
        for (number, (commander, count)) in self.commanders.iter().enumerate() {
            commander.order(make(f64::from(*count) / f64::from(self.count), number as u32));
        }
    }

    /// Orders all threads but the first.
    pub fn order_others(&self, make: impl Fn() -> Order) {
        self.commanders[1..].iter().for_each(|(commander, _)| commander.order(make()));
    }

    /// Deals `total` out to the threads by their share of the connections; what is left over goes to the first ones.
    pub fn shares(&self, total: u32) -> Vec<u32> {
        let mut before = 0;
        let upto =
            |connections: u32| u64::from(total) * u64::from(connections) / u64::from(self.count);
        let share = |(_, count): &(Commander, u32)| {
            let begin = upto(before);
            before += count;
            (upto(before) - begin) as u32
        };
        self.commanders.iter().map(share).collect()
    }

    /// What all threads saw of a series.
    ///
    /// # Errors
    /// When a thread has given up.
    pub fn collect(&self, series: u32) -> Result<Series> {
        let (reply, seen) = channel();
        self.order(|_, _| Order::Collect(series, reply.clone()));
        drop(reply);
        let mut all = Series::new(0);
        let mut replies = 0;
        for series in seen {
            all.add(&series);
            replies += 1;
        }
        ensure!(replies == self.commanders.len(), "a thread of connections has given up");
        Ok(all)
    }

    /// Waits until so many are logged in, or nobody new has been for long. How long it took, up to the last one.
    pub fn wait_logged_in(&self, wanted: u64) -> Duration {
        let started = Instant::now();
        let (mut most, mut last) = (0, started);
        while most < wanted && last.elapsed() < LOGIN_QUIET && !self.is_broken() {
            thread::sleep(LOOK_EVERY);
            let present = Progress::read(&self.progress.logged_in);
            if present > most {
                (most, last) = (present, Instant::now());
            }
        }
        last.duration_since(started)
    }

    /// Waits until so many messages of a series were received, or none has been for [`QUIET`].
    pub fn wait_received(&self, series: u32, wanted: u64) {
        let (mut seen, mut last) = (0, Instant::now());
        while seen < wanted && last.elapsed() < QUIET && !self.is_broken() {
            thread::sleep(LOOK_EVERY);
            let present = self.progress.received(series);
            if present > seen {
                (seen, last) = (present, Instant::now());
            }
        }
    }

    /// A thread has given up.
    pub fn is_broken(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Ends the threads, and with them the connections; returns how long logins took.
    ///
    /// # Errors
    /// When a thread had given up.
    pub fn finish(self) -> Result<Series> {
        self.order(|_, _| Order::Stop);
        let mut logins = Series::new(0);
        for thread in self.threads {
            let seen = thread.join().map_err(|_| anyhow!("a thread panicked"))?;
            logins.add(&seen.context("a thread of connections gave up")?);
        }
        Ok(logins)
    }
}

/// Deals the connections out evenly to as few threads as hold them. Not all threads log in at once: as many as there are cores do,
/// at the whole rate together, then the next.
fn deal(plan: &Plan, each: u32, now_ns: u64) -> Vec<Plan> {
    let probes = if plan.count < PROBES_FROM { 0 } else { PROBES };
    let others = plan.count - probes;
    let threads = others.div_ceil(each).max(logging_in_at_once().min(others));
    let mut bounds: Vec<u32> = (0..=threads)
        .map(|thread| (u64::from(others) * u64::from(thread) / u64::from(threads)) as u32 + probes)
        .collect();
    if probes > 0 {
        bounds.insert(0, 0);
    }
    let threads = bounds.len() as u32 - 1;
    let abreast = logging_in_at_once().min(threads);
    let logins_per_s = plan.logins_per_s / f64::from(abreast);
    let upto = |thread: u32| bounds[thread as usize];
    (0..threads)
        .map(|thread| {
            let (begin, end) = (upto(thread), upto(thread + 1));
            let before_s = f64::from(upto(thread - thread % abreast)) / plan.logins_per_s;
            let waits = plan.is_saturated() && thread >= abreast;
            Plan {
                first: plan.first + begin,
                count: end - begin,
                start_ns: if waits { WHEN_TOLD } else { now_ns + (before_s * 1e9) as u64 },
                logins_per_s,
                logins_under_way: (plan.logins_under_way / abreast).max(1),
                ..plan.clone()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Account, Token};
    use crate::protocol::Name;
    use std::net::{Ipv4Addr, SocketAddrV4};

    #[test]
    fn connections_and_rate_are_dealt_out_whole() {
        let account = Account {
            app_id: 1,
            tag: "t".to_owned(),
            user_prefix: "u".to_owned(),
            token: Token::Any,
            topics: 0,
        };
        let plan = Plan {
            servers: [SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1)].into(),
            protocol: Name::V1,
            account,
            first: 10,
            count: 1_003,
            start_ns: 0,
            logins_per_s: 1_000.0,
            logins_under_way: 100,
            heartbeat: Duration::from_secs(1),
        };
        let plans = deal(&plan, 100, 7);
        assert_eq!(plans.len(), 11);
        let mut next = 10;
        for plan in &plans {
            assert_eq!(plan.first, next);
            assert!(plan.count <= 100);
            next += plan.count;
        }
        assert_eq!(next, 1_013);
        let end_ns = plans
            .last()
            .map(|plan| plan.start_ns + (f64::from(plan.count) * 1e9 / plan.logins_per_s) as u64);
        assert!(end_ns.unwrap() >= 1_000_000_000, "the rate is exceeded: {end_ns:?}");
    }
}
