//! Reads the gateway's counters.

use super::{PATIENCE, System};
use std::time::{Duration, Instant};

impl System {
    /// Connections that ended for a reason (a name from the table in `proto/WIRE.md`).
    pub(crate) async fn closed(&self, reason: &str) -> u64 {
        let text = self.gateway_metrics().await;
        let wanted = format!("code=\"{reason}\"");
        text.lines()
            .filter(|line| line.starts_with("gpusher_gateway_closed_by_code_total"))
            .filter(|line| line.contains(&wanted))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    /// Waits for that many.
    pub(crate) async fn closed_at_least(&self, reason: &str, count: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.closed(reason).await < count {
            assert!(
                Instant::now() < deadline,
                "{reason} never counted:\n{}",
                self.gateway_metrics().await
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
