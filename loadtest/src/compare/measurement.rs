//! One measurement of one system: this program run against it, and what its report says.

use super::Arguments;
use super::system::Started;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::process::{Command, Stdio};

/// What is compared. Server memory in bytes for each connection, times in milliseconds, CPU in microseconds for each message
/// delivered.
#[derive(Debug, Clone, Default, Serialize)]
#[allow(missing_docs)]
pub struct Measurement {
    pub logins_per_s: f64,
    pub user_bytes: Option<f64>,
    /// Both ends of the connection.
    pub kernel_bytes: Option<f64>,
    pub messages_per_s: f64,
    pub saturated: Pushed,
    pub broadcast: Pushed,
    pub unicast: Pushed,
    /// Connections that did not log in, or ended by themselves.
    pub connections_lost: u64,
    /// Why the generator says that its figures do not count.
    pub invalid: Option<String>,
}

/// A kind of push.
#[derive(Debug, Clone, Default, Serialize)]
#[allow(missing_docs)]
pub struct Pushed {
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub cpu_us: Option<f64>,
    pub expected: u64,
    pub lost: u64,
    pub duplicates: u64,
    pub disordered: u64,
    pub refused: u64,
}

/// The part of a report that is read here; see [`crate::report::Report`].
#[derive(Deserialize)]
struct Report {
    connections: u64,
    logged_in: u64,
    logins_per_s: f64,
    memory: Option<Memory>,
    steps: Vec<Step>,
    invalid: Option<String>,
}

#[derive(Deserialize)]
struct Memory {
    server_user: f64,
    kernel_slab: f64,
}

#[derive(Deserialize)]
struct Step {
    connections_lost: u64,
    phases: Vec<Phase>,
}

#[derive(Deserialize)]
struct Phase {
    expected: u64,
    lost: u64,
    duplicates: u64,
    disordered: u64,
    refused: u64,
    messages_per_s: f64,
    latency_ms: Latency,
    server_cpu_us_per_message: Option<f64>,
}

#[derive(Deserialize)]
struct Latency {
    p50: f64,
    p99: f64,
}

/// Exit codes with which a run still has a report: passed, the system lost something, the generator was the bottleneck.
const REPORTED: [i32; 3] = [0, 1, 2];

impl Measurement {
    /// Runs this program against the system.
    pub(super) fn take(started: &Started, arguments: &Arguments, saturating: u32) -> Result<Self> {
        let system = started.system;
        let name = clap::ValueEnum::to_possible_value(&system.protocol());
        let name = name.context("every protocol has a name")?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("report.json");
        let status = Command::new(std::env::current_exe()?)
            .args(&started.found_by)
            .args(["--protocol", name.get_name()])
            .args(["--connections", &arguments.connections.to_string()])
            .args(["--settle-s", &arguments.settle_s.to_string()])
            .arg("--json")
            .arg(&file)
            .args(steps(started, arguments, saturating))
            .stdout(Stdio::null())
            .status()?;
        let reported = status.code().is_some_and(|code| REPORTED.contains(&code));
        ensure!(reported, "the measurement of {} ended with {status}", system.name());
        let text = std::fs::read_to_string(&file).context("the run left no report")?;
        Self::read(&text)
    }

    fn read(text: &str) -> Result<Self> {
        let report: Report = serde_json::from_str(text).context("a report of another form")?;
        let phases: Vec<&Phase> = report.steps.iter().flat_map(|step| &step.phases).collect();
        let [broadcast, saturated, unicast] = phases[..] else {
            anyhow::bail!("a report of {} phases instead of 3", phases.len());
        };
        let lost: u64 = report.steps.iter().map(|step| step.connections_lost).sum();
        Ok(Self {
            logins_per_s: report.logins_per_s,
            user_bytes: report.memory.as_ref().map(|memory| memory.server_user),
            kernel_bytes: report.memory.as_ref().map(|memory| memory.kernel_slab),
            messages_per_s: saturated.messages_per_s,
            saturated: saturated.into(),
            broadcast: broadcast.into(),
            unicast: unicast.into(),
            connections_lost: lost + report.connections.saturating_sub(report.logged_in),
            invalid: report.invalid,
        })
    }

    /// Whether every message arrived, once and in order, and nobody left.
    pub fn clean(&self) -> bool {
        self.connections_lost == 0
            && [&self.saturated, &self.broadcast, &self.unicast].into_iter().all(Pushed::clean)
    }
}

impl Pushed {
    fn clean(&self) -> bool {
        self.lost == 0 && self.duplicates == 0 && self.disordered == 0 && self.refused == 0
    }
}

impl From<&Phase> for Pushed {
    fn from(phase: &Phase) -> Self {
        Self {
            p50_ms: phase.latency_ms.p50,
            p99_ms: phase.latency_ms.p99,
            cpu_us: phase.server_cpu_us_per_message,
            expected: phase.expected,
            lost: phase.lost,
            duplicates: phase.duplicates,
            disordered: phase.disordered,
            refused: phase.refused,
        }
    }
}

/// Broadcasts at a rate, as many as the system takes, single pushes at a rate.
fn steps(started: &Started, arguments: &Arguments, saturating: u32) -> [String; 3] {
    let Arguments { size, window, .. } = arguments;
    let (lines, batch) = started.system.saturating_lines();
    let paced_lines = started.system.paced_lines();
    let (rate, count) = (arguments.broadcasts_per_s, arguments.broadcasts);
    let broadcast = format!("app:rate={rate},count={count},size={size},lines=1");
    let saturated = format!(
        "saturate:count={saturating},size={size},window={window},lines={lines},batch={batch}"
    );
    let (rate, count) = (arguments.unicasts_per_s, arguments.unicasts);
    let unicast = format!("unicast:rate={rate},count={count},size={size},lines={paced_lines}");
    [broadcast, saturated, unicast]
}
