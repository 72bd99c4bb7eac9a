//! When a system that was started is whole: every web says that it is ready, and every logic is linked to every gateway. Sessions that begin
//! before that move when another logic is linked, and joins under way at that moment are refused.

use crate::api::Api;
use crate::deployment::{Deployment, Role};
use crate::metrics::Metrics;
use anyhow::{Context, Result};
use std::time::Duration;

/// On a busy machine, Kafka's first steps included.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);
const LINKED: &str = "gpusher_gateway_logics_attached";

/// Waits until it is.
///
/// # Errors
/// If it is not in time.
pub async fn wait_whole(deployment: &Deployment, webs: &[Api]) -> Result<()> {
    let [gateways, logics] = [Role::Gateway, Role::Logic].map(|role| deployment.with_role(role));
    let links = (gateways.len() * logics.len()) as u64;
    let metrics = Metrics::of(deployment, Role::Gateway);
    let whole = async {
        for web in webs {
            while !web.is_ready().await {
                tokio::time::sleep(LOOK).await;
            }
        }
        while metrics.sum(LINKED).await != Some(links) {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(PATIENCE, whole).await.context("a web is not ready, or a logic not linked")
}
