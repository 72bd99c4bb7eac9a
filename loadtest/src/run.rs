//! One run: log everybody in, push in phases, hold what was seen against what was to be seen.

use crate::crowd::Progress;
use crate::measure::Series;
use crate::message::Clock;
use crate::offer::{Audience, Offered, Phase, offer};
use crate::plan::Plan;
use crate::process::Usage;
use crate::protocol::{Protocol, PusherOptions, Visitor};
use crate::report::{PhaseReport, Report};
use crate::server::Server;
use crate::swarm::Swarm;
use anyhow::{Context, Result, ensure};
use gpusher_sys::driver::Driver;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A phase with its name in the report.
#[derive(Debug, Clone)]
pub struct NamedPhase {
    /// In the report.
    pub name: String,
    /// What is pushed.
    pub phase: Phase,
}

/// What to do.
#[derive(Debug, Clone)]
pub struct RunConfig {
    /// All connections; they are dealt out to the threads.
    pub plan: Plan,
    /// Threads.
    pub threads: u32,
    /// How long all must be logged in for, before the first phase: kernel memory settles.
    pub hold: Duration,
    /// Pushes.
    pub phases: Vec<NamedPhase>,
    /// API key.
    pub api_key: Option<String>,
}

/// No message for that long: the phase is over, what is missing is lost.
const QUIET: Duration = Duration::from_secs(5);
/// Nobody new for that long: the logins are over.
const LOGIN_QUIET: Duration = Duration::from_secs(15);
/// Below this share of the offered rate, the generator was the bottleneck.
const OFFERED_RATIO_MIN: f64 = 0.95;

/// Threads and what they share.
struct Crew {
    threads: Vec<JoinHandle<std::io::Result<FxHashMap<u32, Series>>>>,
    progress: Arc<Progress>,
    stop: Arc<AtomicBool>,
}

/// A thread of connections, for whatever protocol.
struct StartThread<F> {
    plan: Plan,
    clock: Clock,
    driver: F,
    progress: Arc<Progress>,
    stop: Arc<AtomicBool>,
}

impl<D: Driver, F: Fn(u32) -> Result<D> + Send + 'static> Visitor for StartThread<F> {
    type Output = JoinHandle<std::io::Result<FxHashMap<u32, Series>>>;

    fn visit<P: Protocol>(self, protocol: P) -> Self::Output {
        thread::spawn(move || {
            let driver = (self.driver)(self.plan.count).map_err(std::io::Error::other)?;
            Swarm::new(driver, protocol, self.plan, self.clock, self.progress).run(&self.stop)
        })
    }
}

/// Runs it.
///
/// # Errors
/// When the server or the generator could not do their part at all; what merely went badly is in the report.
pub async fn run<D: Driver + 'static>(
    server: &Server,
    config: &RunConfig,
    driver: impl Fn(u32) -> Result<D> + Clone + Send + 'static,
) -> Result<Report> {
    let clock = Clock::start();
    let crew = Crew::start(config, clock, driver.clone())?;
    // The first tenth warms the server up: buffers that it has once, however many connections there are.
    let tenth = crew.wait_logged_in(config.plan.count / 10).await;
    let tenth_logged_in = crew.progress.logged_in.load(Ordering::Relaxed);
    let before = server.usage()?;
    let logins = crew.wait_logged_in(config.plan.count).await;
    tokio::time::sleep(config.hold).await;
    let held = server.usage()?;
    let logged_in = crew.progress.logged_in.load(Ordering::Relaxed);
    let logins_per_s = logged_in as f64 / (tenth + logins).as_secs_f64().max(1e-3);
    eprintln!("{logged_in} of {} logged in, {logins_per_s:.0} a second", config.plan.count);

    let mut offered = Vec::new();
    for named in &config.phases {
        eprintln!("{} ...", named.name);
        offered.push(run_phase(server, config, named, &crew, clock, driver.clone()).await?);
    }
    let connections_lost = crew.progress.lost.load(Ordering::Relaxed);
    let series = crew.finish()?;
    let phases = config
        .phases
        .iter()
        .zip(&offered)
        .map(|(named, done)| done.report(named, config.plan.count, &series))
        .collect();
    let each = |field: fn(&Usage) -> u64| {
        let (before, held) = (before?, held?);
        let grown = field(&held).saturating_sub(field(&before));
        Some(grown as f64 / logged_in.saturating_sub(tenth_logged_in).max(1) as f64)
    };
    Ok(Report {
        machine: machine(),
        connections: config.plan.count,
        logged_in,
        connections_lost,
        logins_per_s,
        user_bytes_per_connection: each(|usage| usage.anonymous_bytes),
        slab_bytes_per_connection: each(|usage| usage.slab_bytes),
        phases,
        bare_ring_cpu_us_per_message: None,
        bare_send_cpu_us_per_message: None,
        invalid: bottleneck(&offered),
    })
}

fn bottleneck(offered: &[PhaseDone]) -> Option<String> {
    let slow = offered.iter().map(|done| done.offered.offered_ratio).fold(1.0, f64::min);
    (slow < OFFERED_RATIO_MIN)
        .then(|| format!("the generator offered only {:.0} % of the rate asked for", slow * 100.0))
}

fn machine() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = thread::available_parallelism().map_or(0, usize::from);
    format!("Linux {}, {cores} cores, both ends on it", kernel.trim())
}

impl Crew {
    fn start<D: Driver + 'static>(
        config: &RunConfig,
        clock: Clock,
        driver: impl Fn(u32) -> Result<D> + Clone + Send + 'static,
    ) -> Result<Self> {
        ensure!(config.threads > 0, "at least one thread is needed");
        let progress = Arc::new(Progress::default());
        let stop = Arc::new(AtomicBool::new(false));
        let threads = deal(&config.plan, config.threads)
            .into_iter()
            .map(|plan| {
                let (progress, stop) = (progress.clone(), stop.clone());
                let driver = driver.clone();
                let start = StartThread { plan: plan.clone(), clock, driver, progress, stop };
                plan.protocol.visit(&plan.account, start)
            })
            .collect();
        Ok(Self { threads, progress, stop })
    }

    /// Returns how long it took, up to the last one.
    async fn wait_logged_in(&self, wanted: u32) -> Duration {
        let started = Instant::now();
        let (mut seen, mut last) = (0, started);
        while seen < u64::from(wanted) && last.elapsed() < LOGIN_QUIET && !self.broken() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let present = self.progress.logged_in.load(Ordering::Relaxed);
            if present > seen {
                (seen, last) = (present, Instant::now());
            }
        }
        last.duration_since(started)
    }

    async fn wait_received(&self, wanted: u64) {
        let (mut seen, mut last) = (0, Instant::now());
        while seen < wanted && last.elapsed() < QUIET && !self.broken() {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let present = self.progress.messages.load(Ordering::Relaxed);
            if present > seen {
                (seen, last) = (present, Instant::now());
            }
        }
    }

    /// A thread has given up.
    fn broken(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    fn finish(self) -> Result<FxHashMap<u32, Series>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all: FxHashMap<u32, Series> = FxHashMap::default();
        for thread in self.threads {
            let seen = thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?;
            for (number, series) in seen.context("a thread gave up")? {
                all.entry(number).or_insert_with(|| Series::new(0)).add(&series);
            }
        }
        Ok(all)
    }
}

/// Deals the connections out evenly.
fn deal(plan: &Plan, threads: u32) -> Vec<Plan> {
    let share = plan.count.div_ceil(threads);
    (0..threads)
        .map(|index| {
            let begin = (index * share).min(plan.count);
            let count = share.min(plan.count - begin);
            let logins_per_s = plan.logins_per_s / f64::from(threads);
            Plan { first: plan.first + begin, count, logins_per_s, ..plan.clone() }
        })
        .filter(|plan| plan.count > 0)
        .collect()
}

struct PhaseDone {
    offered: Offered,
    cpu_ns: Option<u64>,
}

impl PhaseDone {
    fn report(
        &self,
        named: &NamedPhase,
        connections: u32,
        series: &FxHashMap<u32, Series>,
    ) -> PhaseReport {
        let none = Series::new(0);
        let seen = series.get(&named.phase.series).unwrap_or(&none);
        let expected = receipts(&named.phase, connections);
        PhaseReport::new(&named.name, expected, self.offered, seen, self.cpu_ns)
    }
}

fn receipts(phase: &Phase, connections: u32) -> u64 {
    match phase.audience {
        Audience::App | Audience::Everyone => u64::from(phase.count) * u64::from(connections),
        Audience::Users(_) => u64::from(phase.count),
        Audience::Topics(topics) => {
            u64::from(phase.count) * u64::from(connections) / u64::from(topics)
        }
    }
}

async fn run_phase<D: Driver + 'static>(
    server: &Server,
    config: &RunConfig,
    named: &NamedPhase,
    crew: &Crew,
    clock: Clock,
    driver: impl FnOnce(u32) -> Result<D> + Send + 'static,
) -> Result<PhaseDone> {
    let before = server.usage()?;
    let received = crew.progress.messages.load(Ordering::Relaxed);
    let options = PusherOptions {
        host: server.pushes.to_string(),
        api_key: config.api_key.clone(),
        batch: named.phase.batch,
    };
    let mut pusher = config.plan.protocol.pusher(&config.plan.account, &options);
    let batch = named.phase.batch.min(config.plan.protocol.batch_max());
    let (phase, pushes) = (Phase { batch, ..named.phase.clone() }, server.pushes);
    let offered = tokio::task::spawn_blocking(move || {
        offer(driver(phase.lines)?, pushes, &mut *pusher, &phase, clock)
    });
    let offered = offered.await.context("the thread that pushes panicked")??;
    crew.wait_received(received + receipts(&named.phase, config.plan.count)).await;
    let after = server.usage()?;
    let cpu_ns = before.zip(after).map(|(before, after)| after.cpu_ns - before.cpu_ns);
    Ok(PhaseDone { offered, cpu_ns })
}
