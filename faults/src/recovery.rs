//! Whether it works again: a push through every web reaches users at every gateway.

use crate::crowd::PROBES;
use crate::ledger::{Entry, Kind, Order};
use crate::stage::Stage;
use crate::traffic::push_until_accepted;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A probe that has not arrived by then is followed by another: it may have been accepted by a process that was about to be killed.
const PROBE_PATIENCE: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(2);

/// How long it takes from now until a kept push that is begun from now on, through each web, has reached all probes. None: longer than the
/// patience.
pub async fn recover(stage: &Stage, patience: Duration) -> Option<Duration> {
    let begun = Instant::now();
    let all = async {
        for web in 0..stage.webs.len() {
            while !probe(stage, web).await {}
        }
    };
    tokio::time::timeout(patience, all).await.ok().map(|()| begun.elapsed())
}

/// Whether a push has reached all probes in a while.
async fn probe(stage: &Stage, web: usize) -> bool {
    let population = &stage.crowd.population;
    let users: Vec<usize> = (0..PROBES).collect();
    let names: Vec<&str> =
        population.users[..PROBES].iter().map(|user| user.name.as_str()).collect();
    let body = json!({"tag": crate::crowd::APPS[0].0,
        "body": {"type": Kind::Users as u8, "uuids": names, "offlinePush": true}});
    let audience = population.audience(&users);
    let order = Order { kind: Kind::Users, target: 0, kept: true, expire_time_s: 0, audience };
    let entry = push_until_accepted(&stage.webs[web], &stage.ledger, order, body).await;
    let Some(entry) = entry else { return false };
    arrives(&entry, PROBE_PATIENCE).await
}

/// Whether all receivers have it in a while.
pub async fn arrives(entry: &Arc<Entry>, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    while entry.seen_count() < entry.order.audience.len() {
        if Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
    true
}
