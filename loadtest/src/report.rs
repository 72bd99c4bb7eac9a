//! The table at the end of a run, and the same as JSON.

use crate::measure::Series;
use crate::offer::Offered;
use gpusher_bench::floor::Floor;
use serde::Serialize;

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
    /// Received after a later one.
    pub disordered: u64,
    /// Pushes that the API accepted.
    pub accepted: u64,
    /// Pushes that it refused.
    pub refused: u64,
    /// Share of the rate asked for that was offered.
    pub offered_ratio: f64,
    /// Intended send time to receipt.
    pub latency_ms: Latency,
    /// CPU time of the server for each delivered message, in microseconds.
    pub server_cpu_us_per_message: Option<f64>,
}

/// Percentiles, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
#[allow(missing_docs)]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl Latency {
    fn of(series: &Series) -> Self {
        Self {
            p50: series.latency_ms(0.5),
            p90: series.latency_ms(0.9),
            p99: series.latency_ms(0.99),
            p999: series.latency_ms(0.999),
            max: series.latency_ns.max() as f64 / 1e6,
        }
    }
}

impl PhaseReport {
    /// Holds what was seen against what was to be seen. `cpu_ns` is the server's CPU time over the phase.
    pub fn new(
        name: &str,
        expected: u64,
        offered: Offered,
        series: &Series,
        cpu_ns: Option<u64>,
    ) -> Self {
        let per_message = |cpu_ns: u64| cpu_ns as f64 / 1e3 / series.received.max(1) as f64;
        Self {
            name: name.to_owned(),
            expected,
            received: series.received,
            lost: expected.saturating_sub(series.received),
            duplicates: series.duplicates,
            disordered: series.disordered,
            accepted: offered.accepted,
            refused: offered.refused,
            offered_ratio: offered.offered_ratio,
            latency_ms: Latency::of(series),
            server_cpu_us_per_message: cpu_ns.map(per_message),
        }
    }

    /// Whether every message arrived once and in order.
    pub fn clean(&self) -> bool {
        self.lost == 0 && self.duplicates == 0 && self.disordered == 0 && self.refused == 0
    }
}

/// What a run showed.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Kernel, cores.
    pub machine: String,
    /// Connections asked for.
    pub connections: u32,
    /// Connections logged in when all had tried.
    pub logged_in: u64,
    /// Ended by themselves during the run.
    pub connections_lost: u64,
    /// Logins a second until all were in.
    pub logins_per_s: f64,
    /// The server's own memory per connection, in bytes: what the connections after the first tenth added.
    pub user_bytes_per_connection: Option<f64>,
    /// The machine's slab per connection, in bytes: sockets of both ends.
    pub slab_bytes_per_connection: Option<f64>,
    /// The phases in order.
    pub phases: Vec<PhaseReport>,
    /// CPU time of a bare ring for each message, in microseconds, in the same run.
    pub bare_ring_cpu_us_per_message: Option<f64>,
    /// CPU time of a bare `send(2)` loop for each message, in microseconds, in the same run.
    pub bare_send_cpu_us_per_message: Option<f64>,
    /// Why the run does not count, if it does not.
    pub invalid: Option<String>,
}

impl Report {
    /// Whether the product did what it should.
    pub fn passed(&self) -> bool {
        self.logged_in == u64::from(self.connections)
            && self.connections_lost == 0
            && self.phases.iter().all(PhaseReport::clean)
    }

    /// Notes what bare sends cost.
    pub fn set_floor(&mut self, floor: Floor) {
        self.bare_ring_cpu_us_per_message = Some(floor.ring_ns / 1e3);
        self.bare_send_cpu_us_per_message = Some(floor.system_calls_ns / 1e3);
    }

    /// Prints the table.
    pub fn print(&self) {
        println!("\nmachine                     {}", self.machine);
        println!("connections                 {} of {}", self.logged_in, self.connections);
        println!("  lost during the run       {}", self.connections_lost);
        println!("  logins per second         {:.0}", self.logins_per_s);
        if let Some(bytes) = self.user_bytes_per_connection {
            println!("  server memory each        {bytes:.0} B");
        }
        if let Some(bytes) = self.slab_bytes_per_connection {
            println!("  kernel memory, both ends  {bytes:.0} B");
        }
        println!(
            "\n{:<22} {:>9} {:>6} {:>5} {:>5} {:>8} {:>8} {:>8} {:>8} {:>8}",
            "phase", "received", "lost", "dup", "order", "p50 ms", "p99", "p99.9", "max", "CPU us"
        );
        for phase in &self.phases {
            let cpu = phase.server_cpu_us_per_message;
            println!(
                "{:<22} {:>9} {:>6} {:>5} {:>5} {:>8.2} {:>8.2} {:>8.2} {:>8.2} {:>8}",
                phase.name,
                phase.received,
                phase.lost,
                phase.duplicates,
                phase.disordered,
                phase.latency_ms.p50,
                phase.latency_ms.p99,
                phase.latency_ms.p999,
                phase.latency_ms.max,
                cpu.map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.2}")),
            );
        }
        if let (Some(ring), Some(calls)) =
            (self.bare_ring_cpu_us_per_message, self.bare_send_cpu_us_per_message)
        {
            println!("{:<76} {ring:>20.2}", "a bare ring, same run");
            println!("{:<76} {calls:>20.2}", "a bare send(2) loop, same run");
        }
        match (&self.invalid, self.passed()) {
            (Some(why), _) => println!("\nINVALID: {why}"),
            (None, true) => println!("\npassed: every message arrived once and in order"),
            (None, false) => println!("\nFAILED: see lost, dup and order above"),
        }
    }
}
