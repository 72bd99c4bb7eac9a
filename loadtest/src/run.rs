//! One run: log everybody in, do the steps, hold what was seen against what was to be seen.

use crate::crew::Crew;
use crate::driver;
use crate::message::Clock;
use crate::plan::Plan;
use crate::process::{Kernel, Usage, kernel, usage};
use crate::progress::Progress;
use crate::report::{Latency, Memory, PhaseReport, Report};
use crate::sample::Sampler;
use crate::server::{Server, ServerUsage};
use crate::step::{self, Step};
use anyhow::Result;
use gpusher_bench::environment::Environment;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What to do.
#[derive(Debug, Clone)]
pub struct RunConfig {
    /// All connections; they are dealt out to the threads.
    pub plan: Plan,
    /// Connections of one thread at most.
    pub connections_per_thread: u32,
    /// How long all must be logged in for, before memory is read and the steps begin: kernel memory settles.
    pub settle: Duration,
    /// What to do then, each with its name in the report.
    pub steps: Vec<(String, Step)>,
    /// For pushes.
    pub api_key: Option<String>,
    /// The command line, for the report.
    pub command: String,
}

/// Memory at one time.
#[derive(Debug, Clone, Copy)]
struct Reading {
    server: ServerUsage,
    own: Usage,
    kernel: Kernel,
    logged_in: u64,
}

impl Reading {
    fn take(server: &Server, crew: &Crew) -> Result<Option<Self>> {
        let Some(server) = server.usage()? else { return Ok(None) };
        let (own, kernel) = (usage(std::process::id())?, kernel()?);
        let logged_in = Progress::read(&crew.progress.logged_in);
        Ok(Some(Self { server, own, kernel, logged_in }))
    }

    /// What each connection after the first reading added.
    fn memory(&self, before: &Self) -> Memory {
        let connections = self.logged_in.saturating_sub(before.logged_in).max(1) as f64;
        let each = |after: u64, before: u64| after.saturating_sub(before) as f64 / connections;
        let (gateway, earlier) = (self.server.gateway, before.server.gateway);
        Memory {
            server_user: each(gateway.anonymous_bytes, earlier.anonymous_bytes),
            server_resident_bytes: gateway.resident_bytes,
            generator_user: each(self.own.anonymous_bytes, before.own.anonymous_bytes),
            kernel_slab: each(self.kernel.slab_bytes, before.kernel.slab_bytes),
            kernel_bytes: self.kernel.slab_bytes + self.kernel.tcp_bytes,
        }
    }
}

/// Runs it.
///
/// # Errors
/// When the server or the generator could not do their part at all; what merely went badly is in the report.
pub fn run(server: &mut Server, config: &RunConfig) -> Result<Report> {
    let clock = Clock::start();
    let plan = &config.plan;
    let crew = Crew::start(plan, config.connections_per_thread, clock, driver::open)?;
    let sampler = Sampler::start(clock, crew.progress.clone(), server.gateway());
    // The first tenth warms the server up: buffers that it has once, however many connections there are.
    let tenth_took = crew.wait_logged_in((plan.count / 10).into());
    let tenth = Reading::take(server, &crew)?;
    let rest_took = crew.wait_logged_in(plan.count.into());
    let logged_in = Progress::read(&crew.progress.logged_in);
    let logins_sent_away = Progress::read(&crew.progress.sent_away);
    let login_s = (tenth_took + rest_took).as_secs_f64().max(1e-3);
    eprintln!(
        "{logged_in} of {} logged in, {:.0} a second",
        plan.count,
        logged_in as f64 / login_s
    );
    thread::sleep(config.settle);
    let memory =
        tenth.zip(Reading::take(server, &crew)?).map(|(before, after)| after.memory(&before));

    let mut steps = Vec::new();
    let mut context = step::Context {
        server,
        crew: &crew,
        plan,
        clock,
        api_key: config.api_key.clone(),
        next_series: first_series(),
    };
    for (name, step) in &config.steps {
        eprintln!("{name} ...");
        steps.push(step::perform(step, name, &mut context)?);
        sampler.set_server(context.server.gateway());
    }
    let timeline = sampler.finish();
    let logins = crew.finish()?;
    let phases = || steps.iter().flat_map(|step: &crate::report::StepReport| step.phases.iter());
    let invalid = phases().find_map(PhaseReport::invalid);
    Ok(Report {
        environment: Environment::read(),
        command: config.command.clone(),
        protocol: plan.protocol.describe().to_owned(),
        connections: plan.count,
        logged_in,
        login_s,
        logins_per_s: logged_in as f64 / login_s,
        logins_sent_away,
        login_latency_ms: Latency::of(&logins.latency_ns),
        memory,
        steps,
        bare_ring_cpu_us_per_message: None,
        bare_send_cpu_us_per_message: None,
        invalid,
        timeline,
    })
}

/// Numbers of series differ between runs, so that what was kept from an earlier one is not taken for this one's.
fn first_series() -> u32 {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    ((seconds & 0xff_ffff) as u32) << 7
}
