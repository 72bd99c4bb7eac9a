//! All come back at once: how fast they are let in, how often they are sent away, and what those notice of it who are in.

use super::Pushes;
use super::perform::{Context, Meter};
use crate::crew::Crew;
use crate::order::Order;
use crate::progress::Progress;
use crate::report::StepReport;
use anyhow::{Context as _, Result, ensure};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A storm takes no longer; nobody new for [`QUIET`] ends it, too, once the first is in: it takes a while until a million have left.
const STORM_MAX: Duration = Duration::from_secs(900);
const QUIET: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(5);
const SECOND: Duration = Duration::from_secs(1);

pub(super) fn perform(
    measured: &Pushes,
    context: &mut Context<'_>,
    report: &mut StepReport,
) -> Result<()> {
    let (crew, stay) = (context.crew, context.crew.probes);
    let leave = u64::from(context.plan.count - stay);
    ensure!(leave > 0, "a storm needs two threads: more connections, or fewer for each");
    report.phases.push(context.push("alone", measured, stay)?);
    let meter = Meter::start(context.server)?;
    let sent_away = Progress::read(&crew.progress.sent_away);
    let before = Progress::read(&crew.progress.welcomes);
    crew.order(|_, _| Order::ComeBack(true));
    crew.order_others(|| Order::Leave);
    let (first, over) = (AtomicBool::new(true), AtomicBool::new(false));
    let in_storm = (measured.rate * STORM_MAX.as_secs_f64()) as u32;
    let pushes = Pushes { count: in_storm, ..measured.clone() };
    let (phases, arrival) = thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let arrival = Arrival::watch(crew, (before, sent_away), leave, &first);
            over.store(true, Ordering::Relaxed);
            arrival
        });
        let is_first = || first.load(Ordering::Relaxed);
        let mut push = |name, wanted: &dyn Fn() -> bool| {
            let wanted = || !over.load(Ordering::Relaxed) && wanted();
            context.push_while(name, &pushes, stay, &wanted)
        };
        let phases = [push("all leave and come", &is_first), push("while they wait", &|| true)];
        (phases, watching.join())
    });
    let arrival = arrival.ok().context("the thread that watches panicked")?;
    for phase in phases {
        let mut phase = phase?;
        // Those who come keep their threads busy; those who are in have one for themselves.
        phase.busiest_thread = None;
        report.phases.push(phase);
    }
    crew.order(|_, _| Order::ComeBack(false));
    let costs = meter.stop(context.server)?;
    arrival.note(report);
    let seconds = |cpu_ns: u64| cpu_ns as f64 / 1e9;
    report.note("CPU of the generator", seconds(costs.generator_cpu_ns), "s");
    if let Some((all_ns, gateway_ns)) = costs.server_cpu_ns.zip(costs.gateway_cpu_ns) {
        report.note("CPU of the gateway", seconds(gateway_ns), "s");
        report.note("CPU of the other processes", seconds(all_ns - gateway_ns), "s");
    }
    if let Some(usage) = context.server.usage()? {
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        report.note("most resident, gateway", mebibytes(usage.gateway.resident_bytes_max), "MiB");
        report.note("most resident, other processes", mebibytes(usage.others_bytes_max), "MiB");
    }
    report.all_back(crew, context.plan.count.into());
    Ok(())
}

/// How they came back.
struct Arrival {
    /// How many did.
    count: u64,
    /// From the order to leave until everybody had been let in or sent away once, about.
    answered: Duration,
    /// The same until the last one was in.
    took: Duration,
    /// Let in within one second.
    most_per_s: u64,
    /// How often somebody was told to come back later.
    sent_away: u64,
}

impl Arrival {
    /// Waits until so many are in; `before`: welcomes, and times that somebody was sent away, until now. When all have had an answer, they are no longer
    /// `first` there.
    fn watch(crew: &Crew, before: (u64, u64), wanted: u64, first: &AtomicBool) -> Self {
        let begun = Instant::now();
        let none = Duration::ZERO;
        let mut seen = Self { count: 0, answered: none, took: none, most_per_s: 0, sent_away: 0 };
        let mut second = (begun, 0);
        let is_over = |took: Duration| {
            let spent = begun.elapsed();
            let quiet = !took.is_zero() && spent - took > QUIET;
            quiet || spent > STORM_MAX || crew.is_broken()
        };
        while seen.count < wanted && !is_over(seen.took) {
            thread::sleep(LOOK_EVERY);
            seen.look(crew, before, begun);
            if first.load(Ordering::Relaxed) && seen.count + seen.sent_away >= wanted {
                seen.answered = begun.elapsed();
                first.store(false, Ordering::Relaxed);
            }
            if second.0.elapsed() >= SECOND {
                seen.most_per_s = seen.most_per_s.max(seen.count - second.1);
                second = (Instant::now(), seen.count);
            }
        }
        seen.most_per_s = seen.most_per_s.max(seen.count - second.1);
        seen
    }

    fn look(&mut self, crew: &Crew, (welcomes, sent_away): (u64, u64), begun: Instant) {
        self.sent_away = Progress::read(&crew.progress.sent_away) - sent_away;
        let count = Progress::read(&crew.progress.welcomes) - welcomes;
        if count > self.count {
            (self.count, self.took) = (count, begun.elapsed());
        }
    }

    fn note(&self, report: &mut StepReport) {
        let (count, took_s) = (self.count as f64, self.took.as_secs_f64());
        report.note("came back", count, "connections");
        report.note("until all had an answer", self.answered.as_secs_f64(), "s");
        report.note("until the last was in", took_s, "s");
        report.note("let in", count / took_s.max(1e-3), "a second");
        report.note("let in, most", self.most_per_s as f64, "in a second");
        report.note("sent away", self.sent_away as f64, "logins");
        let each = self.sent_away as f64 / count.max(1.0);
        report.note("sent away, for each that came back", each, "times");
    }
}
