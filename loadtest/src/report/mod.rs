//! What a run showed: as a table, as JSON, as a page with plots.

mod html;
mod table;

pub use html::html;
pub use table::print;

use crate::crew::Crew;
use crate::measure::Series;
use crate::offer::Offered;
use crate::progress::Progress;
use crate::receipts::Receipts;
use crate::sample::Sample;
use gpusher_bench::environment::Environment;
use hdrhistogram::Histogram;
use serde::Serialize;

/// Below this share of the offered rate, the generator was the bottleneck.
const OFFERED_RATIO_MIN: f64 = 0.95;
/// A thread that is this busy is the bottleneck: what it receives waits for it.
const BUSY_MAX: f64 = 0.95;

/// What a run showed.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Where it was run.
    pub environment: Environment,
    /// How: the command line.
    pub command: String,
    /// What the clients spoke.
    pub protocol: String,
    /// Connections asked for.
    pub connections: u32,
    /// Connections logged in when all had tried.
    pub logged_in: u64,
    /// From the first connection to the last welcome, in seconds.
    pub login_s: f64,
    /// Logins a second in that time.
    pub logins_per_s: f64,
    /// How often a login was told to come back later, and did.
    pub logins_sent_away: u64,
    /// From when a login should have begun to its welcome.
    pub login_latency_ms: Latency,
    /// Memory, if the server's processes are known.
    pub memory: Option<Memory>,
    /// The steps in order.
    pub steps: Vec<StepReport>,
    /// CPU time of a bare ring for each message, in microseconds, in the same run.
    pub bare_ring_cpu_us_per_message: Option<f64>,
    /// CPU time of a bare `send(2)` loop for each message, in microseconds, in the same run.
    pub bare_send_cpu_us_per_message: Option<f64>,
    /// Why the run does not count, if it does not.
    pub invalid: Option<String>,
    /// How the run went over time.
    pub timeline: Vec<Sample>,
}

/// Memory for each connection, in bytes: what the connections after the first tenth added. The first tenth warms everything up.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Memory {
    /// Of the process that holds the server's ends: anonymous memory.
    pub server_user: f64,
    /// The same, all of its resident memory, in bytes, not for each.
    pub server_resident_bytes: u64,
    /// Of this process: anonymous memory.
    pub generator_user: f64,
    /// Slab of the machine: sockets of both ends.
    pub kernel_slab: f64,
    /// Slab and TCP pages of the machine with all connections, in bytes, not for each.
    pub kernel_bytes: u64,
}

/// What came of a step.
#[derive(Debug, Clone, Serialize)]
pub struct StepReport {
    /// As on the command line.
    pub name: String,
    /// Connections that ended though nobody asked them to.
    pub connections_lost: u64,
    /// Connections and logins refused.
    pub connections_refused: u64,
    /// Connections that were missing at the end.
    pub connections_missing: u64,
    /// Its pushes.
    pub phases: Vec<PhaseReport>,
    /// What else was measured.
    pub notes: Vec<Note>,
}

/// A figure with its name.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)]
pub struct Note {
    pub name: String,
    pub value: f64,
    pub unit: &'static str,
}

/// What one phase of pushing showed.
#[derive(Debug, Clone, Serialize)]
pub struct PhaseReport {
    /// Name of the phase.
    pub name: String,
    /// Messages that receivers should have got.
    pub expected: u64,
    /// Messages received, each counted once.
    pub received: u64,
    /// Expected and never received.
    pub lost: u64,
    /// Received again.
    pub duplicates: u64,
    /// Whether duplicates are the protocol's right here: connections ended meanwhile.
    pub duplicates_allowed: bool,
    /// Received after a later one of its channel.
    pub disordered: u64,
    /// Pushes that the API accepted.
    pub accepted: u64,
    /// Pushes that it refused.
    pub refused: u64,
    /// Pushes accepted a second.
    pub pushes_per_s: f64,
    /// Messages received a second, from the first intended time to the last receipt.
    pub messages_per_s: f64,
    /// Share of the rate asked for that was offered, but for the time in which the server kept all lines busy.
    pub offered_ratio: f64,
    /// Share of the time in which the server kept all lines busy.
    pub server_busy_share: f64,
    /// Intended send time to receipt.
    pub latency_ms: Latency,
    /// Intended send time to the last receiver of each push, for pushes to many.
    pub last_receiver_ms: Option<Latency>,
    /// CPU time for each delivered message, in microseconds: all of the server's processes.
    pub server_cpu_us_per_message: Option<f64>,
    /// Of it, the process that holds the connections.
    pub gateway_cpu_us_per_message: Option<f64>,
    /// The generator's.
    pub generator_cpu_us_per_message: Option<f64>,
    /// Busy share of the generator's busiest thread.
    pub busiest_thread: Option<f64>,
    /// What the server says of the pushes, if it was asked.
    pub receipts: Option<Receipts>,
    /// Latency by percentile, for plots: percent and milliseconds.
    pub spectrum: Vec<(f64, f64)>,
    /// Whether a rate was asked for: without one, nobody can fall behind it.
    paced: bool,
}

/// Percentiles, in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[allow(missing_docs)]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// CPU time that a phase took.
#[derive(Debug, Clone, Copy)]
pub struct Costs {
    /// Of the server's processes, if they are known.
    pub server_cpu_ns: Option<u64>,
    /// Of the one that holds the connections.
    pub gateway_cpu_ns: Option<u64>,
    /// Of this process.
    pub generator_cpu_ns: u64,
    /// Busy share of the busiest thread of this process.
    pub busiest_thread: f64,
    /// How long it took.
    pub wall_ns: u64,
}

/// What should arrive.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// Messages, each counted once.
    pub messages: u64,
    /// Duplicates are faults.
    pub once: bool,
}

impl Latency {
    /// Of a histogram of nanoseconds.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e6;
        let max = histogram.max() as f64 / 1e6;
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max }
    }
}

impl StepReport {
    /// Nothing has happened yet.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            connections_lost: 0,
            connections_refused: 0,
            connections_missing: 0,
            phases: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a figure.
    pub fn note(&mut self, name: &str, value: f64, unit: &'static str) {
        self.notes.push(Note { name: name.to_owned(), value, unit });
    }

    /// Waits until all are logged in again, and notes who is missing.
    pub fn all_back(&mut self, crew: &Crew, wanted: u64) {
        crew.wait_logged_in(wanted);
        let present = Progress::read(&crew.progress.logged_in);
        self.connections_missing = wanted.saturating_sub(present);
    }

    /// Whether nothing was lost that should not be.
    pub fn passed(&self) -> bool {
        self.connections_lost == 0
            && self.connections_refused == 0
            && self.connections_missing == 0
            && self.phases.iter().all(PhaseReport::clean)
    }
}

impl PhaseReport {
    /// Holds what was seen against what was to be seen.
    pub fn new(
        name: &str,
        expected: Expected,
        offered: &Offered,
        series: &Series,
        costs: Option<Costs>,
    ) -> Self {
        let each = |cpu_ns: u64| cpu_ns as f64 / 1e3 / series.received.max(1) as f64;
        let spent_s = offered.spent_ns.max(1) as f64 / 1e9;
        let received_s =
            series.last_receipt_ns.saturating_sub(offered.start_ns).max(1) as f64 / 1e9;
        let many = series.received > u64::from(offered.handed);
        Self {
            name: name.to_owned(),
            expected: expected.messages,
            received: series.received,
            lost: expected.messages.saturating_sub(series.received),
            duplicates: series.duplicates,
            duplicates_allowed: !expected.once,
            disordered: series.disordered,
            accepted: offered.accepted,
            refused: offered.refused,
            pushes_per_s: offered.accepted as f64 / spent_s,
            messages_per_s: series.received as f64 / received_s,
            offered_ratio: offered.offered_ratio,
            server_busy_share: offered.busy_ns as f64 / 1e9 / spent_s,
            latency_ms: Latency::of(&series.latency_ns),
            last_receiver_ms: many.then(|| last_receivers(series)),
            server_cpu_us_per_message: costs.and_then(|costs| costs.server_cpu_ns.map(each)),
            gateway_cpu_us_per_message: costs.and_then(|costs| costs.gateway_cpu_ns.map(each)),
            generator_cpu_us_per_message: costs.map(|costs| each(costs.generator_cpu_ns)),
            busiest_thread: costs.map(|costs| costs.busiest_thread),
            receipts: None,
            spectrum: spectrum(&series.latency_ns),
            paced: offered.paced,
        }
    }

    /// Whether every message arrived, once and in order, and the server says the same.
    pub fn clean(&self) -> bool {
        let once = self.duplicates_allowed || self.duplicates == 0;
        let receipts = self.receipts.is_none_or(|receipts| receipts.add_up());
        let taken = self.refused == 0 || !self.once();
        self.lost == 0 && once && self.disordered == 0 && taken && receipts
    }

    /// Why the figures do not count, if they do not.
    pub fn invalid(&self) -> Option<String> {
        if self.offered_ratio < OFFERED_RATIO_MIN {
            let percent = self.offered_ratio * 100.0;
            return Some(format!(
                "{}: the generator offered only {percent:.0} % of the rate asked for",
                self.name
            ));
        }
        let busy = self.busiest_thread.filter(|busy| self.paced && *busy > BUSY_MAX)?;
        let percent = busy * 100.0;
        Some(format!("{}: a thread of the generator was {percent:.0} % busy", self.name))
    }

    fn once(&self) -> bool {
        !self.duplicates_allowed
    }
}

fn last_receivers(series: &Series) -> Latency {
    let mut histogram = Series::new(0).latency_ns;
    for slowest_ns in series.slowest_ns.iter().filter(|slowest_ns| **slowest_ns > 0) {
        histogram.saturating_record(*slowest_ns);
    }
    Latency::of(&histogram)
}

/// Ever finer towards the end, as HDR plots have it.
fn spectrum(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    if histogram.is_empty() {
        return Vec::new();
    }
    let mut points = Vec::new();
    let mut rest = 1.0;
    while rest * histogram.len() as f64 > 0.5 && points.len() < 200 {
        let quantile = 1.0 - rest;
        points.push((quantile * 100.0, histogram.value_at_quantile(quantile) as f64 / 1e6));
        rest *= 0.85;
    }
    points
}

impl Report {
    /// Whether the product did what it should.
    pub fn passed(&self) -> bool {
        self.logged_in == u64::from(self.connections) && self.steps.iter().all(StepReport::passed)
    }
}
