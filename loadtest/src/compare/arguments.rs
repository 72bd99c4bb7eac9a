//! What can be said on the command line.

use super::System;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::Duration;

/// Runs the same work against gpusher and others, in turn, and prints medians and ratios.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Which systems, in the order of a round.
    #[arg(value_enum, default_values_t = [System::Gpusher, System::Nats, System::Mosquitto, System::Goim])]
    systems: Vec<System>,
    /// Rounds that count; one more goes first.
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// Client connections.
    #[arg(long, default_value_t = 10_000)]
    pub connections: u32,
    /// Seconds that all must be logged in for before memory is read.
    #[arg(long, default_value_t = 2.0)]
    pub settle_s: f64,
    /// Bytes of content.
    #[arg(long, default_value_t = 64)]
    pub size: usize,
    /// Broadcasts a second where latency is measured.
    #[arg(long, default_value_t = 2.0)]
    pub broadcasts_per_s: f64,
    /// How many of them.
    #[arg(long, default_value_t = 12)]
    pub broadcasts: u32,
    /// Broadcasts that may be on their way to all receivers at once when saturated.
    #[arg(long, default_value_t = 256)]
    pub window: u32,
    /// Pushes to single users a second.
    #[arg(long, default_value_t = 1_000.0)]
    pub unicasts_per_s: f64,
    /// How many of them.
    #[arg(long, default_value_t = 3_000)]
    pub unicasts: u32,
    /// gpusher's server; not given: `gpusher-control` beside this program, or on PATH.
    #[arg(long, value_name = "BINARY")]
    pub gpusher: Option<PathBuf>,
    /// A key of gpusher's configuration, as KEY=VALUE. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub keys: Vec<String>,
    /// NATS's server; not given: `nats-server` on PATH.
    #[arg(long, value_name = "BINARY")]
    pub nats: Option<PathBuf>,
    /// The MQTT broker; not given: `mosquitto` on PATH.
    #[arg(long, value_name = "BINARY")]
    pub mosquitto: Option<PathBuf>,
    /// Where a running goim takes clients (comet) and pushes (logic).
    #[arg(long, value_name = "HOST:PORT", requires = "goim_pushes")]
    pub goim_clients: Option<SocketAddrV4>,
    /// See --goim-clients.
    #[arg(long, value_name = "HOST:PORT")]
    pub goim_pushes: Option<SocketAddrV4>,
    /// Its processes, comet first: their CPU time together is goim's, and comet's memory. May be repeated.
    #[arg(long, value_name = "PID")]
    pub goim_pid: Vec<u32>,
    /// Writes every figure of every round as JSON; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Saturating broadcasts of a run, bounded below so that the window fills, above so that a run ends.
const SATURATING_MIN: u32 = 20;
const SATURATING_MAX: u32 = 200_000;

impl Arguments {
    /// Each system once.
    pub(super) fn systems(&self) -> Vec<System> {
        let mut systems = self.systems.clone();
        systems.dedup();
        systems
    }

    /// Enough to guess a rate from, however slow the system.
    pub(super) fn first_saturating(&self) -> u32 {
        (300_000 / self.connections.max(1)).clamp(SATURATING_MIN, SATURATING_MAX)
    }

    /// Broadcasts that take about that long at such a rate of messages.
    pub(super) fn saturating(&self, messages_per_s: f64, time: Duration) -> u32 {
        let broadcasts_per_s = messages_per_s / f64::from(self.connections.max(1));
        let wanted = (broadcasts_per_s * time.as_secs_f64()) as u32;
        wanted.clamp(SATURATING_MIN, SATURATING_MAX)
    }
}
