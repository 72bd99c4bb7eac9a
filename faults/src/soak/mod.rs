//! A long run without faults in which clients come and go: whether processes keep what those who have gone had.
//!
//! The same clients log in and out all the time, strangers come once and never again, and little is pushed. Now and then everybody is away at
//! once: states that are alike, and can be compared. In the end descriptors, connection slots and the live heap have to be what they were.
//!
//! Tables that are bounded grow until they are full, which under the default configuration takes hours; so they are [short](SHORT_TABLES), and
//! full when the first look is taken. What an allocator keeps of what was freed is no leak, but bounded here, too: the most memory that is
//! resident in the second half of the run may be a little above that in the first.

mod plot;
mod reading;
mod strangers;
mod verdict;

pub use plot::picture;
pub use reading::{Reading, Sample};
pub use verdict::Leak;

use crate::crowd::Mood;
use crate::ledger::Account;
use crate::random::Random;
use crate::run::{self, Plan};
use crate::stage::Stage;
use crate::traffic::Traffic;
use anyhow::Result;
use reading::Looks;
use serde::Serialize;
use std::collections::BinaryHeap;
use std::fmt::Write;
use std::time::Duration;
use strangers::Strangers;
use tokio::time::{Instant, MissedTickBehavior};

/// Between two looks at the processes.
const SAMPLE_EVERY: Duration = Duration::from_secs(5);
/// How long a program stays away, in milliseconds.
const AWAY_MS: (u64, u64) = (0, 5_000);
/// For all connections to be gone when everybody is away, and for everybody to be back.
const REST_PATIENCE: Duration = Duration::from_secs(60);
/// For what is done a moment later: cursors, statuses, timers.
const REST: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(100);

/// Configuration under which bounded tables and caches are full within minutes.
pub const SHORT_TABLES: &[(&str, &str)] = &[
    ("store.cache_bytes_max", "4194304"),
    ("queue.memory_bytes_max", "1048576"),
    ("web.idempotency_bytes_max", "1048576"),
    ("web.pushes_remembered_max", "2048"),
    ("logic.limits.recallable", "2048"),
    ("logic.limits.sequence_blocks", "1024"),
    ("logic.limits.replaced_devices", "1024"),
    ("gateway.link.recalled_max", "2048"),
];

/// How long, and how much.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// From the first rest to the last.
    pub lasts: Duration,
    /// Before the first rest: caches fill.
    pub warm_up: Duration,
    /// From rest to rest.
    pub rest_every: Duration,
    /// Programs that end and start again, and strangers, together.
    pub logins_per_s: f64,
}

/// How it went.
#[derive(Debug, Serialize)]
pub struct Course {
    /// Clients that come back.
    pub clients: usize,
    /// To repeat it with.
    pub seed: u64,
    /// All of it.
    pub seconds: f64,
    /// Programs that ended and started again.
    pub returns: u64,
    /// Connections of strangers.
    pub strangers: u64,
    /// The books.
    pub account: Account,
    /// In order of time.
    pub samples: Vec<Sample>,
    /// What was compared, and found.
    pub leaks: Vec<Leak>,
    /// What failed, in words; nothing: nothing leaks, and the promises were kept.
    pub failures: Vec<String>,
}

impl Course {
    /// What was compared, as a table in Markdown, and what failed.
    pub fn summary(&self) -> String {
        let mut text = format!(
            "{:.0} minutes, {} clients, {} returns, {} strangers, {} kept messages received, {} lost (--seed {})\n\n\
             | of | what | at the first rest | at the last | allowed | trend |\n\
             | --- | --- | ---: | ---: | ---: | ---: |\n",
            self.seconds / 60.0,
            self.clients,
            self.returns,
            self.strangers,
            self.account.kept_total().delivered,
            self.account.kept_total().lost,
            self.seed
        );
        for Leak { of, what, first, last, trend, slack, .. } in &self.leaks {
            let trend = trend.map_or("-".to_owned(), |trend| format!("{trend:+}"));
            let _ = writeln!(text, "| {of} | {what} | {first} | {last} | +{slack} | {trend} |");
        }
        self.failures.iter().for_each(|failure| text.push_str(&format!("\nfailed: {failure}")));
        text
    }
}

/// Does it.
///
/// # Errors
/// What keeps it from being done.
pub async fn soak(plan: &Plan, schedule: &Schedule) -> Result<Course> {
    let begun = Instant::now();
    let stage = run::set_up(plan).await?;
    let mut random = Random::new(plan.seed);
    let (population, ledger) = (&stage.crowd.population, &stage.ledger);
    let traffic = Traffic::start(&stage.webs, population, ledger, plan.rates, random.bits());
    let mut churn = Churn {
        stage: &stage,
        strangers: Strangers::new(&stage.deployment, random.fork()),
        random,
        away: BinaryHeap::new(),
        returns: 0,
        looks: Looks::at(&stage.deployment),
        samples: Vec::new(),
        begun,
        verbose: plan.verbose,
    };
    let mut failures = Vec::new();
    churn.come_and_go(schedule.warm_up, schedule.logins_per_s).await;
    failures.extend(churn.rest().await.err());
    let until = Instant::now() + schedule.lasts;
    while Instant::now() < until {
        let time = schedule.rest_every.min(until - Instant::now());
        churn.come_and_go(time, schedule.logins_per_s).await;
        failures.extend(churn.rest().await.err());
    }
    let (samples, returns, strangers) = (churn.samples, churn.returns, churn.strangers.count());
    traffic.finish(run::FINISH_PATIENCE).await;
    let outcome = run::close(plan, &stage, failures).await?;
    let mut failures = outcome.failures;
    let leaks = verdict::compare(&samples, returns + strangers);
    failures.extend(outcome.receipts.examples);
    failures.extend(leaks.iter().filter(|leak| leak.is_one()).map(Leak::to_string));
    Ok(Course {
        clients: outcome.clients,
        seed: plan.seed,
        seconds: begun.elapsed().as_secs_f64(),
        returns,
        strangers,
        account: outcome.account,
        samples,
        leaks,
        failures,
    })
}

/// Clients that come and go.
struct Churn<'a> {
    stage: &'a Stage,
    random: Random,
    /// Who comes back when: the earliest first.
    away: BinaryHeap<std::cmp::Reverse<(Instant, u32)>>,
    strangers: Strangers,
    returns: u64,
    looks: Looks<'a>,
    samples: Vec<Sample>,
    begun: Instant,
    verbose: bool,
}

impl Churn<'_> {
    async fn come_and_go(&mut self, time: Duration, logins_per_s: f64) {
        let until = Instant::now() + time;
        let every = Duration::from_secs_f64(1.0 / logins_per_s.max(0.01));
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sampled = Instant::now();
        while Instant::now() < until {
            ticks.tick().await;
            self.bring_back(Instant::now());
            if !self.strangers.may_come() {
                self.send_away();
            }
            if sampled.elapsed() >= SAMPLE_EVERY {
                sampled = Instant::now();
                // One that is busy may not answer in time.
                let _ = self.sample(false).await;
            }
        }
        self.bring_back(until + REST_PATIENCE);
    }

    /// Somebody's program ends. Version 0 takes no part: what its socket took counts as received.
    fn send_away(&mut self) {
        let crowd = &self.stage.crowd;
        let device = self.random.index(crowd.population.devices.len()) as u32;
        let profile = &crowd.population.devices[device as usize];
        if profile.version == 1 && crowd.mood(device) == Mood::Present {
            let away_ms = self.random.between(AWAY_MS.0, AWAY_MS.1);
            let back = Instant::now() + Duration::from_millis(away_ms);
            crowd.set_mood(device, Mood::Away);
            self.away.push(std::cmp::Reverse((back, device)));
        }
    }

    fn bring_back(&mut self, now: Instant) {
        while let Some(std::cmp::Reverse((at, device))) = self.away.peek().copied()
            && at <= now
        {
            self.away.pop();
            self.stage.crowd.set_mood(device, Mood::Present);
            self.returns += 1;
        }
    }

    /// Everybody is away for a moment; then everybody comes back at once.
    async fn rest(&mut self) -> Result<(), String> {
        let crowd = &self.stage.crowd;
        let devices = 0..crowd.population.devices.len() as u32;
        let there: Vec<u32> =
            devices.filter(|&device| crowd.mood(device) == Mood::Present).collect();
        there.iter().for_each(|&device| crowd.set_mood(device, Mood::Away));
        let gone = self.wait_until_gone().await;
        tokio::time::sleep(REST).await;
        let told = self.sample(true).await;
        let crowd = &self.stage.crowd;
        there.iter().for_each(|&device| crowd.set_mood(device, Mood::Present));
        self.returns += there.len() as u64;
        let back = async {
            while crowd.online() < crowd.present() {
                tokio::time::sleep(LOOK).await;
            }
        };
        let back = tokio::time::timeout(REST_PATIENCE, back).await;
        let missing = || format!("{} clients did not come back", crowd.present() - crowd.online());
        gone.and(told).and(back.map_err(|_| missing()))
    }

    async fn wait_until_gone(&self) -> Result<(), String> {
        let until = Instant::now() + REST_PATIENCE;
        loop {
            match self.looks.slots().await {
                Some(0) => return Ok(()),
                _ if Instant::now() < until => tokio::time::sleep(LOOK).await,
                Some(slots) => return Err(format!("{slots} connections of nobody are left")),
                None => return Err("a gateway does not tell its metrics".to_owned()),
            }
        }
    }

    /// # Errors
    /// If a process does not tell what it has allocated.
    async fn sample(&mut self, resting: bool) -> Result<(), String> {
        let at_s = self.begun.elapsed().as_secs_f64();
        let sample = self.looks.sample(at_s, resting).await;
        if self.verbose && resting {
            eprintln!("{sample}");
        }
        let silent = sample.parts.iter().find(|part| part.heap_bytes.is_none());
        let told = silent.map_or(Ok(()), |part| Err(format!("{} tells no heap", part.part)));
        self.samples.push(sample);
        told
    }
}
