//! Does a step and says what came of it.

use super::{Pushes, Step, Target};
use super::{storm, upstream};
use crate::crew::Crew;
use crate::driver;
use crate::message::Clock;
use crate::offer::{Offered, Phase, offer};
use crate::order::Order;
use crate::plan::Plan;
use crate::process::{threads, usage};
use crate::progress::Progress;
use crate::protocol::PusherOptions;
use crate::receipts::{Office, Receipts};
use crate::report::{Costs, Expected, PhaseReport, StepReport};
use crate::server::{Server, ServerUsage};
use anyhow::{Context as _, Result, ensure};
use gpusher_sys::Waker;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What steps work on.
pub struct Context<'a> {
    /// The system.
    pub server: &'a mut Server,
    /// The connections.
    pub crew: &'a Crew,
    /// What they are.
    pub plan: &'a Plan,
    /// The run's.
    pub clock: Clock,
    /// For pushes.
    pub api_key: Option<String>,
    /// Number of the next series.
    pub next_series: u32,
}

/// Does a step.
///
/// # Errors
/// When the system or the generator could not do their part at all; what merely went badly is in the report.
pub fn perform(step: &Step, name: &str, context: &mut Context<'_>) -> Result<StepReport> {
    let before = Losses::now(context.crew);
    let mut report = StepReport::new(name);
    match step {
        Step::Hold { seconds } => hold(*seconds, context, &mut report),
        Step::Push(pushes) => report.phases.push(context.push(name, pushes, context.plan.count)?),
        Step::Busy { measured, background } => busy(measured, background, context, &mut report)?,
        Step::Slow { share, measured } => slow(*share, measured, context, &mut report)?,
        Step::Churn { rate, seconds, kept } => {
            churn(*rate, *seconds, kept, context, &mut report)?;
        }
        Step::Storm { measured } => storm::perform(measured, context, &mut report)?,
        Step::Crash { kept } => {
            crash(kept, context, &mut report)?;
            // All were lost, and that was the point; refusals are attempts while it was away.
            return Ok(report);
        }
        Step::Upstream { rate, count, size } => {
            report.phases.push(upstream::perform(context, *rate, *count, *size)?);
        }
    }
    let losses = Losses::now(context.crew);
    report.connections_lost = losses.lost - before.lost;
    let refused = losses.refused - before.refused;
    match step {
        // Whoever was too slow came back, or is missing.
        Step::Storm { .. } => report.note("cut off while logging in", refused as f64, "logins"),
        _ => report.connections_refused = refused,
    }
    Ok(report)
}

/// Counters that should not move.
struct Losses {
    lost: u64,
    refused: u64,
}

impl Losses {
    fn now(crew: &Crew) -> Self {
        let progress = &*crew.progress;
        let (lost, refused) = (Progress::read(&progress.lost), Progress::read(&progress.refused));
        Self { lost, refused }
    }
}

/// CPU time so far.
pub(super) struct Meter {
    server: Option<ServerUsage>,
    own_ns: u64,
    threads: HashMap<u32, u64>,
    at: Instant,
}

impl Meter {
    pub(super) fn start(server: &Server) -> Result<Self> {
        let own = std::process::id();
        Ok(Self {
            server: server.usage()?,
            own_ns: usage(own)?.cpu_ns,
            threads: threads(own)?.into_iter().collect(),
            at: Instant::now(),
        })
    }

    /// What was used since.
    pub(super) fn stop(self, server: &Server) -> Result<Costs> {
        let own = std::process::id();
        let wall_ns = self.at.elapsed().as_nanos().max(1) as f64;
        let share = |(id, cpu_ns): (u32, u64)| {
            (cpu_ns - self.threads.get(&id).copied().unwrap_or(cpu_ns)) as f64 / wall_ns
        };
        let after = server.usage()?;
        let both = self.server.zip(after);
        Ok(Costs {
            server_cpu_ns: both.map(|(before, after)| after.cpu_ns.saturating_sub(before.cpu_ns)),
            gateway_cpu_ns: both
                .map(|(before, after)| after.gateway.cpu_ns.saturating_sub(before.gateway.cpu_ns)),
            generator_cpu_ns: usage(own)?.cpu_ns.saturating_sub(self.own_ns),
            busiest_thread: threads(own)?.into_iter().map(share).fold(0.0, f64::max),
            wall_ns: wall_ns as u64,
        })
    }
}

impl Context<'_> {
    pub(super) fn series(&mut self) -> u32 {
        self.next_series += 1;
        self.next_series
    }

    /// Pushes, and waits until `receivers` of the clients have everything that is for them.
    pub(super) fn push(
        &mut self,
        name: &str,
        pushes: &Pushes,
        receivers: u32,
    ) -> Result<PhaseReport> {
        self.push_while(name, pushes, receivers, &|| true)
    }

    /// The same while they are wanted.
    pub(super) fn push_while(
        &mut self,
        name: &str,
        pushes: &Pushes,
        receivers: u32,
        wanted: &dyn Fn() -> bool,
    ) -> Result<PhaseReport> {
        let series = self.series();
        let meter = Meter::start(self.server)?;
        let (offered, ids) = self.offer_named(series, pushes, receivers, wanted)?;
        let expected = self.expected(pushes, &offered, receivers);
        self.crew.wait_received(series, expected);
        let costs = meter.stop(self.server)?;
        let seen = self.crew.collect(series)?;
        let due = expected;
        let expected = Expected { messages: due, once: true };
        let mut report = PhaseReport::new(name, expected, &offered, &seen, Some(costs));
        if pushes.receipts {
            report.receipts = Some(self.ask_for_receipts(pushes, &ids, due)?);
        }
        Ok(report)
    }

    /// Nobody acknowledges what is live, or what went to a topic.
    fn ask_for_receipts(&self, pushes: &Pushes, ids: &[u64], due: u64) -> Result<Receipts> {
        let kept = pushes.kept && pushes.target != Target::Topic;
        let acknowledges = kept && self.plan.protocol.acknowledges();
        let office = Office { server: self.server.pushes, api_key: self.api_key.as_deref() };
        office.ask(ids, due, acknowledges)
    }

    /// Offers pushes until they are through, or no longer wanted.
    fn offer(
        &self,
        series: u32,
        pushes: &Pushes,
        receivers: u32,
        wanted: &dyn Fn() -> bool,
    ) -> Result<Offered> {
        self.offer_named(series, pushes, receivers, wanted).map(|(offered, _)| offered)
    }

    /// Also says what the server calls them, if receipts are wanted.
    fn offer_named(
        &self,
        series: u32,
        pushes: &Pushes,
        receivers: u32,
        wanted: &dyn Fn() -> bool,
    ) -> Result<(Offered, Vec<u64>)> {
        let Pushes { target, rate, count, size, kept, batch, lines, window, receipts: ids } =
            *pushes;
        let topics = self.plan.account.topics;
        ensure!(target != Target::Topic || topics > 0, "topics need --topics");
        ensure!(!ids || self.plan.protocol.has_receipts(), "only gpusher gives receipts");
        let batch = batch.min(self.plan.protocol.batch_max());
        let audience = target.audience(self.plan, self.crew.probes);
        let phase = Phase { series, audience, rate_per_s: rate, count, size, kept, batch, lines };
        let options = PusherOptions {
            host: self.server.pushes.to_string(),
            api_key: self.api_key.clone(),
            batch,
            ids,
        };
        let mut pusher = self.plan.protocol.pusher(&self.plan.account, &options);
        let each = match target {
            Target::User | Target::Probe => 1,
            Target::Topic => u64::from(receivers / topics).max(1),
            Target::App | Target::Everyone => u64::from(receivers),
        };
        let allowed = || {
            let through = self.crew.progress.received(series) / each;
            let ahead = if window == 0 { u64::from(count) } else { through + u64::from(window) };
            wanted().then(|| u32::try_from(ahead).unwrap_or(u32::MAX))
        };
        let driver = driver::open(lines, Waker::new()?)?;
        let offered =
            offer(driver, self.server.pushes, &mut *pusher, &phase, &allowed, self.clock)?;
        Ok((offered, pusher.ids().to_vec()))
    }

    /// How many messages should arrive.
    fn expected(&self, pushes: &Pushes, offered: &Offered, receivers: u32) -> u64 {
        match pushes.target {
            Target::User | Target::Probe => offered.handed.into(),
            Target::App | Target::Everyone => u64::from(offered.handed) * u64::from(receivers),
            Target::Topic => {
                let Plan { account, count, .. } = self.plan;
                let members = |push| u64::from(account.members(push % account.topics, *count));
                (0..offered.handed).map(members).sum()
            }
        }
    }

    /// Kept pushes to single users while `meanwhile` runs; each must arrive at least once.
    fn push_kept_while<T>(
        &mut self,
        pushes: &Pushes,
        meanwhile: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<(PhaseReport, T)> {
        let series = self.series();
        let mut server = Server::running(self.server.clients.clone(), self.server.pushes, &[]);
        let (crew, plan, clock) = (self.crew, self.plan, self.clock);
        let (api_key, receivers) = (self.api_key.clone(), self.plan.count);
        thread::scope(|scope| {
            let pushing = scope.spawn(move || {
                let server = &mut server;
                let context = Context { server, crew, plan, clock, api_key, next_series: 0 };
                context.offer(series, pushes, receivers, &|| true)
            });
            let done = meanwhile(self);
            let offered = pushing.join().ok().context("the thread that pushes panicked")??;
            // Duplicates would end the wait too early if messages were counted.
            self.crew.wait_received(series, u64::MAX);
            let seen = self.crew.collect(series)?;
            let expected = Expected { messages: offered.accepted, once: false };
            Ok((PhaseReport::new("kept pushes meanwhile", expected, &offered, &seen, None), done?))
        })
    }
}

fn hold(seconds: f64, context: &Context<'_>, report: &mut StepReport) {
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    while Instant::now() < until && !context.crew.is_broken() {
        thread::sleep(Duration::from_millis(20).min(until - Instant::now().min(until)));
    }
    report.note("held", seconds, "s");
}

fn busy(
    measured: &Pushes,
    background: &Pushes,
    context: &mut Context<'_>,
    report: &mut StepReport,
) -> Result<()> {
    let receivers = context.plan.count;
    report.phases.push(context.push("idle", measured, receivers)?);
    let series = context.series();
    let done = AtomicBool::new(false);
    let mut server = Server::running(context.server.clients.clone(), context.server.pushes, &[]);
    let (crew, plan, clock) = (context.crew, context.plan, context.clock);
    let api_key = context.api_key.clone();
    let (under, offered) = thread::scope(|scope| {
        let pushing = scope.spawn(|| {
            let server = &mut server;
            let context = Context { server, crew, plan, clock, api_key, next_series: 0 };
            context.offer(series, background, receivers, &|| !done.load(Ordering::Relaxed))
        });
        // The first broadcast is on its way when the measuring begins.
        while crew.progress.received(series) == 0 && !pushing.is_finished() {
            thread::sleep(Duration::from_millis(1));
        }
        let under = context.push("under broadcasts", measured, receivers);
        done.store(true, Ordering::Relaxed);
        (under, pushing.join())
    });
    let offered = offered.ok().context("the thread that pushes panicked")??;
    let messages = u64::from(offered.handed) * u64::from(receivers);
    crew.wait_received(series, messages);
    let seen = crew.collect(series)?;
    let expected = Expected { messages, once: true };
    report.phases.push(under?);
    report.phases.push(PhaseReport::new("the broadcasts", expected, &offered, &seen, None));
    Ok(())
}

fn slow(
    share: f64,
    measured: &Pushes,
    context: &mut Context<'_>,
    report: &mut StepReport,
) -> Result<()> {
    let all = context.plan.count;
    report.phases.push(context.push("all read", measured, all)?);
    let shares = context.crew.shares((f64::from(all) * share) as u32);
    let muted: u32 = shares.iter().sum();
    context.crew.order(|_, thread| Order::Mute(shares[thread as usize]));
    report.phases.push(context.push("some do not read", measured, all - muted)?);
    let given_up = Progress::read(&context.crew.progress.lost_muted);
    report.note("do not read", muted.into(), "connections");
    report.note("of them given up by the server", given_up as f64, "connections");
    context.crew.order(|_, _| Order::Unmute);
    report.all_back(context.crew, context.plan.count.into());
    Ok(())
}

fn churn(
    rate: f64,
    seconds: f64,
    kept: &Pushes,
    context: &mut Context<'_>,
    report: &mut StepReport,
) -> Result<()> {
    let welcomes = Progress::read(&context.crew.progress.welcomes);
    let count = (rate * seconds) as u32;
    let shares = context.crew.shares(count);
    let (phase, ()) = context.push_kept_while(kept, |context| {
        context.crew.order(|share, thread| Order::Churn {
            per_s: rate * share,
            count: shares[thread as usize].into(),
        });
        let deadline = Instant::now() + Duration::from_secs_f64(seconds) + crate::crew::QUIET;
        let progress = &context.crew.progress;
        while Progress::read(&progress.welcomes) < welcomes + u64::from(count)
            && Instant::now() < deadline
        {
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    })?;
    let welcomes = Progress::read(&context.crew.progress.welcomes) - welcomes;
    report.note("came back", welcomes as f64, "connections");
    report.phases.push(phase);
    report.all_back(context.crew, context.plan.count.into());
    Ok(())
}

fn crash(kept: &Pushes, context: &mut Context<'_>, report: &mut StepReport) -> Result<()> {
    ensure!(context.server.is_owned(), "crash needs a system that was started for the run");
    let apart = context.server.has_gateway_apart();
    context.crew.order(|_, _| Order::ComeBack(true));
    let kill = |context: &mut Context<'_>| {
        let killed = Instant::now();
        let away = context.server.kill_gateway()?;
        // The end of all connections may take the clients longer to notice than the start of the next gateway.
        let wanted = u64::from(context.plan.count);
        let progress = &context.crew.progress;
        let gone = Instant::now();
        while Progress::read(&progress.logged_in) == wanted && gone.elapsed() < crate::crew::QUIET {
            thread::sleep(Duration::from_millis(1));
        }
        context.crew.wait_logged_in(wanted);
        Ok((away, killed.elapsed()))
    };
    let (away, back) = if apart {
        let (phase, times) = context.push_kept_while(kept, kill)?;
        report.phases.push(phase);
        times
    } else {
        kill(context)?
    };
    context.crew.order(|_, _| Order::ComeBack(false));
    report.note("until the gateway listened", away.as_secs_f64(), "s");
    report.note("until the last login, from the kill", back.as_secs_f64(), "s");
    report.all_back(context.crew, context.plan.count.into());
    Ok(())
}
