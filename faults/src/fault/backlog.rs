//! A queue that is far behind: much is pushed while logic is away.

use crate::api::Api;
use crate::crowd::{APPS, Population};
use crate::deployment::Role;
use crate::ledger::{Entry, Kind, Ledger, Order};
use crate::stage::Stage;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// For each client; a thousand clients make it a million.
const PUSHES_PER_CLIENT: usize = 1_000;
/// In one request.
const BATCH: usize = 500;
/// Requests at a time.
const LINES: usize = 4;
const REPEAT: Duration = Duration::from_millis(50);

/// Returns when logic was started again: what is pushed from then on comes after all that.
pub(super) async fn fall_behind(stage: &Stage) -> Instant {
    let logics = stage.deployment.with_role(Role::Logic);
    logics.iter().for_each(|part| part.kill(false));
    let batches = stage.crowd.population.devices.len() * PUSHES_PER_CLIENT / BATCH;
    let mut lines = JoinSet::new();
    for line in 0..LINES {
        let api = stage.webs[line % stage.webs.len()].clone();
        let (population, ledger) = (Arc::clone(&stage.crowd.population), Arc::clone(&stage.ledger));
        lines.spawn(async move {
            for batch in (line..batches).step_by(LINES) {
                push(&api, &population, &ledger, batch).await;
            }
        });
    }
    lines.join_all().await;
    logics.iter().for_each(|part| part.start());
    Instant::now()
}

/// Kept messages to single users, one after the other.
async fn push(api: &Api, population: &Population, ledger: &Ledger, batch: usize) {
    let users = (batch * BATCH..(batch + 1) * BATCH).map(|at| at % population.users.len());
    let (entries, bodies): (Vec<Arc<Entry>>, Vec<Value>) = users
        .map(|user| {
            let found = &population.users[user];
            let audience = population.audience(&[user]);
            let target = user as u32;
            let order = Order { kind: Kind::User, target, kept: true, expire_time_s: 0, audience };
            let entry = ledger.open(order);
            let body = json!({"tag": APPS[found.app].0, "body": {"type": Kind::User as u8,
                "uuid": found.name, "offlinePush": true, "content": entry.number.to_string()}});
            (entry, body)
        })
        .unzip();
    let key = format!("batch-{}", entries[0].number);
    loop {
        entries.iter().for_each(|entry| entry.attempt());
        match api.push_batch(&bodies, &key).await {
            Ok(accepted) => {
                let now_us = ledger.now_us();
                entries.iter().zip(accepted).for_each(|(entry, accepted)| {
                    entry.accept(accepted.id, accepted.expires_at_ms, now_us);
                });
                return;
            }
            // As a single push is: with the same key until it is answered.
            Err(_) => tokio::time::sleep(REPEAT).await,
        }
    }
}
