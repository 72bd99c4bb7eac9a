//! One caller of the HTTP API.

use super::State;
use super::order::Draw;
use crate::api::Api;
use crate::ledger::{Entry, Ledger, Order};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// Before a request is repeated.
const REPEAT: Duration = Duration::from_millis(50);
/// In a thousand: kept pushes that are taken back, and how soon.
const RECALLED: u64 = 30;
const RECALL_MS_MAX: u64 = 1_000;

pub(super) struct Pusher {
    pub(super) state: Arc<State>,
    pub(super) api: Api,
    pub(super) draw: Draw,
    pub(super) period: Duration,
    pub(super) name: String,
}

impl Pusher {
    /// Pushes until it is over. Behind an outage it is late, and does not hurry.
    pub(super) async fn run(mut self) {
        let mut ticks = tokio::time::interval(self.period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.state.over.load(Ordering::Relaxed) {
            ticks.tick().await;
            let (order, mut body) = self.draw.next();
            let kept = order.kept;
            let padding = self.draw.padding(order.audience.len());
            let entry = self.state.ledger.open(order);
            body["body"]["content"] = json!(format!("{} {padding}", entry.number));
            let key = format!("{}-{}", self.name, entry.number);
            let accepted = ask_until_accepted(&self.api, &self.state.ledger, &entry, &body, &key);
            if !accepted.await {
                self.state.refused.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            if kept && self.draw.random.permille(RECALLED) {
                let after = Duration::from_millis(self.draw.random.below(RECALL_MS_MAX));
                tokio::spawn(recall(self.api.clone(), entry, after));
            }
        }
    }
}

/// Pushes something, with what it says behind its number, and returns what it became; none: the server refused it.
pub async fn push_until_accepted(
    api: &Api,
    ledger: &Ledger,
    order: Order,
    mut body: Value,
) -> Option<Arc<Entry>> {
    let entry = ledger.open(order);
    let text = body["body"]["content"].as_str().unwrap_or_default();
    body["body"]["content"] = json!(format!("{} {text}", entry.number));
    let key = format!("single-{}", entry.number);
    ask_until_accepted(api, ledger, &entry, &body, &key).await.then_some(entry)
}

/// Repeats the request, with the same key, until it is answered; false: it was refused for good.
async fn ask_until_accepted(
    api: &Api,
    ledger: &Ledger,
    entry: &Entry,
    body: &Value,
    key: &str,
) -> bool {
    loop {
        entry.attempt();
        match api.push(body, key).await {
            Ok(accepted) => {
                entry.accept(accepted.id, accepted.expires_at_ms, ledger.now_us());
                return true;
            }
            // A connection that failed is an answer that did not come; a status of 4xx is one.
            Err(error) if error.to_string().starts_with('4') => return false,
            Err(_) => tokio::time::sleep_until(Instant::now() + REPEAT).await,
        }
    }
}

async fn recall(api: Api, entry: Arc<Entry>, after: Duration) {
    tokio::time::sleep(after).await;
    let Some(id) = entry.answer().id else { return };
    // Whether it is answered or not, it may have happened.
    entry.recall(false);
    if api.recall(id).await.unwrap_or(false) {
        entry.recall(true);
    }
}
