//! What the processes count about themselves.

use crate::deployment::{Deployment, Part, Role};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Where counters are read.
#[derive(Debug)]
pub struct Metrics {
    client: reqwest::Client,
    pages: Vec<String>,
    key: String,
}

impl Metrics {
    /// Of the processes of one role.
    pub fn of(deployment: &Deployment, role: Role) -> Self {
        Self::at(deployment, deployment.pages(role))
    }

    /// Of one process.
    pub fn of_part(deployment: &Deployment, part: &Part) -> Self {
        Self::at(deployment, vec![part.page()])
    }

    fn at(deployment: &Deployment, pages: Vec<String>) -> Self {
        let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build();
        let client = client.expect("a client without TLS needs nothing of the system");
        let key = deployment.secrets.api_key.clone();
        Self { client, pages, key }
    }

    /// The sum of a metric over its labels and all of the processes; none: one does not answer.
    pub async fn sum(&self, metric: &str) -> Option<u64> {
        let mut total = 0;
        for page in &self.pages {
            let request = self.client.get(format!("{page}/metrics")).bearer_auth(&self.key);
            let answer = request.send().await.ok()?.error_for_status().ok()?;
            total += sum(&answer.text().await.ok()?, metric);
        }
        Some(total)
    }
}

fn sum(text: &str, metric: &str) -> u64 {
    let values = text.lines().filter_map(|line| {
        let after = line.strip_prefix(metric)?;
        let named = after.starts_with(['{', ' ']);
        let value = after.rsplit(' ').next().filter(|_| named)?;
        value.parse::<f64>().ok()
    });
    values.sum::<f64>() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let text = "# HELP gpusher_gateway_connections open\n\
                    gpusher_gateway_connections{shard=\"0\"} 3\n\
                    gpusher_gateway_connections{shard=\"1\"} 4\n\
                    gpusher_gateway_connections_max 1000\n";
        assert_eq!(sum(text, "gpusher_gateway_connections"), 7);
    }
}
