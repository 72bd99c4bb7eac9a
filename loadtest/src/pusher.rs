//! Pushes over HTTP at a given rate, open-loop: each push has an intended time, whether or not the one before was answered.

use crate::message::{Clock, Stamp};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Whom a phase pushes to.
#[derive(Debug, Clone)]
pub enum Audience {
    /// Every user of the app (type 2).
    App,
    /// One user after the other (type 1), by index below the bound.
    Users(u32),
}

/// One phase of pushing.
#[derive(Debug, Clone)]
pub struct Phase {
    /// Number of the series, written into each push.
    pub series: u32,
    /// Who gets them.
    pub audience: Audience,
    /// Pushes a second; what is offered, whatever the answers do.
    pub rate_per_s: f64,
    /// How many.
    pub count: u32,
    /// Bytes of content, at least.
    pub size: usize,
    /// Whether they are kept for who is not connected.
    pub kept: bool,
}

/// What came of a phase.
#[derive(Debug, Default, Clone, Copy)]
pub struct Offered {
    /// Pushes answered with success.
    pub accepted: u64,
    /// Pushes refused or failed.
    pub refused: u64,
    /// Offered rate that was reached, as a share of the one asked for: below 0.95 the generator was the bottleneck.
    pub offered_ratio: f64,
}

/// Requests on the way at most; one more and the generator counts as the bottleneck.
const IN_FLIGHT_MAX: usize = 1024;

/// Where to push.
#[derive(Debug, Clone)]
pub struct Target {
    /// `http://host:port` of the web role.
    pub web: String,
    /// API key, if one is needed.
    pub api_key: Option<String>,
    /// The app's tag.
    pub tag: String,
    /// Users are this and their index.
    pub user_prefix: String,
}

/// Runs a phase to its end: all requests answered.
///
/// # Errors
/// When the first request cannot be sent at all; later failures are counted.
pub async fn push(target: &Target, phase: &Phase, clock: Clock) -> Result<Offered> {
    ensure!(phase.rate_per_s > 0.0, "the rate must be positive");
    let client = reqwest::Client::builder().pool_max_idle_per_host(IN_FLIGHT_MAX).build()?;
    let url = format!("{}/v1/push", target.web);
    let in_flight = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    let accepted = Arc::new(AtomicU64::new(0));
    let refused = Arc::new(AtomicU64::new(0));
    let period_ns = 1e9 / phase.rate_per_s;
    let start_ns = clock.now_ns() + 1_000_000;
    for index in 0..phase.count {
        let intended_ns = start_ns + (f64::from(index) * period_ns) as u64;
        wait_until(clock, intended_ns).await;
        let permit = in_flight.clone().acquire_owned().await.context("never closed")?;
        let request = client.post(&url).json(&body(target, phase, index, intended_ns));
        let request = match &target.api_key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        let (accepted, refused) = (accepted.clone(), refused.clone());
        tokio::spawn(async move {
            let good = matches!(request.send().await, Ok(answer) if answer.status().is_success());
            (if good { accepted } else { refused }).fetch_add(1, Ordering::Relaxed);
            drop(permit);
        });
    }
    let spent_ns = clock.now_ns().saturating_sub(start_ns).max(1);
    let planned_ns = f64::from(phase.count.saturating_sub(1)) * period_ns;
    let all = u32::try_from(IN_FLIGHT_MAX).expect("small");
    let _ = in_flight.acquire_many(all).await.context("never closed")?;
    Ok(Offered {
        accepted: accepted.load(Ordering::Relaxed),
        refused: refused.load(Ordering::Relaxed),
        offered_ratio: (planned_ns / spent_ns as f64).min(1.0),
    })
}

async fn wait_until(clock: Clock, intended_ns: u64) {
    let now_ns = clock.now_ns();
    if intended_ns > now_ns + 1_000_000 {
        tokio::time::sleep(Duration::from_nanos(intended_ns - now_ns)).await;
    }
}

fn body(target: &Target, phase: &Phase, index: u32, intended_ns: u64) -> serde_json::Value {
    let (kind, user, number) = match phase.audience {
        Audience::App => (2, String::new(), index + 1),
        Audience::Users(users) => {
            (1, user_name(&target.user_prefix, index % users), index / users + 1)
        }
    };
    let stamp = Stamp { series: phase.series, number, intended_ns };
    json!({"tag": target.tag, "body": {
        "type": kind,
        "uuid": user,
        "content": stamp.content(phase.size),
        "offlinePush": phase.kept,
    }})
}

/// The user of a connection: 16 bytes with the default prefix.
pub fn user_name(prefix: &str, index: u32) -> String {
    format!("{prefix}{index:08}")
}
