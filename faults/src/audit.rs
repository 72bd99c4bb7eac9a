//! What the product itself says in the end, held against the ledger: topics' logs, dead letters, receipts, and whether it still delivers.

use crate::crowd::{APPS, Mood, Profile, TOPICS, topic_name};
use crate::deployment::Role;
use crate::ledger::{Dead, Entry, Fate, Kind, Order, Receipt};
use crate::recovery::arrives;
use crate::stage::Stage;
use crate::traffic::push_until_accepted;
use anyhow::{Context, Result};
use gpusher_client::{Client, Config, Event, Positions};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// For a latecomer to read all logs from their beginnings.
const LATECOMER_PATIENCE: Duration = Duration::from_secs(60);
/// An answered join has brought everything; this is for taking it.
const TAKE: Duration = Duration::from_millis(200);
/// For a live message, when nothing is wrong.
const LIVE_PATIENCE: Duration = Duration::from_secs(20);
/// For receipts to be what the clients saw: twice what the writing of them may take.
const RECEIPT_PATIENCE: Duration = Duration::from_secs(15);
/// What all devices have acknowledged leaves the log ten minutes after it was accepted.
const PURGED: Duration = Duration::from_secs(590);
/// Pushes whose receipts are asked for.
const RECEIPTS: usize = 400;

/// Receipts that were compared.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Receipts {
    /// Asked for.
    pub checked: u64,
    /// Of pushes whose status is forgotten: logic writes it a moment late, and was killed meanwhile.
    pub forgotten: u64,
    /// That say something else than the clients saw.
    pub wrong: u64,
    /// Some of those in words.
    pub examples: Vec<String>,
}

impl Receipts {
    /// Those of another run are added.
    pub fn add(&mut self, other: Self) {
        self.checked += other.checked;
        self.forgotten += other.forgotten;
        self.wrong += other.wrong;
        self.examples.extend(other.examples);
    }
}

/// Numbers of pushes that somebody finds who joins the topics from their beginning.
///
/// # Errors
/// If he is not let in, or does not get to the end.
pub async fn read_topics(stage: &Stage) -> Result<HashSet<u64>> {
    let mut found = HashSet::new();
    let gateways = stage.deployment.gateways();
    let mut config = Config::new(gateways[0].clone(), APPS[0].1, "latecomer");
    config.device = "phone".into();
    config.token = stage.deployment.secrets.token("latecomer");
    let mut client = Client::start(config, Positions::default());
    let reading = async {
        while !matches!(client.next().await.context("the client ended")?, Event::Online { .. }) {}
        for topic in 0..TOPICS {
            let sender = client.sender();
            let join = async move { sender.join(&topic_name(topic), Some(0)).await };
            let mut join = std::pin::pin!(join);
            loop {
                tokio::select! {
                    joined = &mut join => break joined.map(drop)?,
                    event = client.next() => note(event, &mut found),
                }
            }
        }
        while let Ok(event) = tokio::time::timeout(TAKE, client.next()).await {
            note(event, &mut found);
        }
        Ok(found)
    };
    tokio::time::timeout(LATECOMER_PATIENCE, reading).await.context("topics cannot be read")?
}

fn note(event: Option<Event>, found: &mut HashSet<u64>) {
    if let Some(Event::Message(message)) = event {
        let receipt = Receipt { id: message.id, content: message.content };
        found.extend(receipt.number());
    }
}

/// All dead letters.
///
/// # Errors
/// If they cannot be read.
pub async fn dead_letters(stage: &Stage) -> Result<Dead> {
    let devices = stage.crowd.population.devices.iter();
    let by_name: BTreeMap<(&str, &str), u32> =
        devices.map(|device| ((device.user.as_str(), device.name), device.number)).collect();
    let mut dead = Dead::new();
    for (app, _) in APPS {
        let mut after = "0".to_owned();
        loop {
            let letters = stage.webs[0].dead_letters(app, &after).await?;
            let Some(last) = letters.last() else { break };
            after.clone_from(&last.position);
            dead.extend(letters.iter().filter_map(|letter| {
                let device = by_name.get(&(letter.user.as_str(), letter.device.as_str()))?;
                Some((letter.id, *device))
            }));
        }
    }
    Ok(dead)
}

/// One live push of each type while nothing is wrong; returns those that did not reach everybody who is connected.
pub async fn push_live(stage: &Stage) -> Vec<String> {
    let population = &stage.crowd.population;
    let pushes = [
        (Kind::User, 0, json!({"uuid": population.users[0].name}), population.audience(&[0])),
        (Kind::App, 0, json!({}), Arc::clone(&population.apps[0])),
        (Kind::Everyone, 0, json!({}), Arc::clone(&population.everyone)),
        (Kind::Topic, 0, json!({"topic": topic_name(0)}), Arc::clone(&population.topics[0])),
        (Kind::Users, 0, json!({"uuids": [population.users[1].name]}), population.audience(&[1])),
    ];
    let mut missed = Vec::new();
    for (kind, target, mut body, audience) in pushes {
        body["type"] = json!(kind as u8);
        let there = audience.iter().copied().filter(|&device| stage.crowd.is_online(device));
        let audience: Vec<u32> = there.collect();
        let order =
            Order { kind, target, kept: false, expire_time_s: 0, audience: audience.into() };
        let body = json!({"tag": APPS[0].0, "body": body});
        let entry = push_until_accepted(&stage.webs[0], &stage.ledger, order, body).await;
        match entry {
            None => missed.push(format!("{}: refused", kind.name())),
            Some(entry) if arrives(&entry, LIVE_PATIENCE).await => {}
            Some(entry) => {
                let (count, first) = (entry.unseen().count(), entry.unseen().next());
                missed.push(format!("{}: {count} without it, first {first:?}", kind.name()));
            }
        }
    }
    missed
}

/// Asks where kept pushes stand for one of their receivers, and for a while again where the answer is another than expected:
/// acknowledgements are written late, those of version 0 by seconds.
///
/// # Errors
/// If nobody answers.
pub async fn compare_receipts(stage: &Stage, dead: &Dead) -> Result<Receipts> {
    let entries = stage.ledger.entries();
    let is_kept = |entry: &&Arc<Entry>| entry.order.kept && entry.order.kind != Kind::Topic;
    let kept: Vec<_> = entries.iter().filter(is_kept).collect();
    let mut receipts = Receipts::default();
    let until = Instant::now() + RECEIPT_PATIENCE;
    for (index, entry) in kept.iter().enumerate().step_by(kept.len().div_ceil(RECEIPTS).max(1)) {
        let Some(id) = entry.answer().id else { continue };
        let audience = &entry.order.audience;
        let device = audience[index % audience.len()];
        let user = &stage.crowd.population.devices[device as usize].user;
        receipts.checked += 1;
        loop {
            let expected = expected(stage, entry, user, dead);
            let Some(standing) = stage.webs[0].standing(id, user).await? else {
                receipts.forgotten += 1;
                break;
            };
            if expected.contains(&standing.user.as_str()) {
                break;
            }
            if Instant::now() >= until {
                receipts.wrong += 1;
                receipts.examples.push(format!(
                    "push {} ({}), message {id}, {user}: {} instead of {expected:?}",
                    entry.number,
                    entry.order.kind.name(),
                    standing.user
                ));
                break;
            }
            tokio::time::sleep(TAKE).await;
        }
    }
    receipts.examples.truncate(20);
    Ok(receipts)
}

/// What may be said of a push for a user, after what his devices saw.
fn expected(stage: &Stage, entry: &Entry, user: &str, dead: &Dead) -> Vec<&'static str> {
    let devices = stage.crowd.population.devices.iter().filter(|device| device.user == user);
    let devices: Vec<&Profile> = devices.collect();
    let acknowledges =
        devices.iter().any(|device| device.version == 1 && entry.is_seen_by(device.number));
    let devices: Vec<u32> = devices.iter().map(|device| device.number).collect();
    let seen = devices.iter().any(|&device| entry.is_seen_by(device));
    let clocks = stage.ledger.clocks();
    let fates = devices.iter().map(|&device| {
        let away = stage.crowd.mood(device) == Mood::Away;
        entry.fate(device, away, dead, &clocks)
    });
    let mut expected: Vec<&str> = fates
        .map(|fate| match fate {
            Fate::Recalled => "recalled",
            Fate::Expired => "expired",
            Fate::Dead => "dead",
            Fate::Pending | Fate::Delivered | Fate::Lost => "waiting",
        })
        .collect();
    let pushed = Duration::from_micros(entry.begun_us);
    let now = Duration::from_micros(stage.ledger.now_us());
    let age = now.saturating_sub(pushed) + Duration::from_millis(clocks.apart_ms());
    if seen && age > PURGED {
        expected.push("unknown");
    }
    if clocks.may_have_expired(entry.begun_us, entry.answer().expires_at_ms) {
        // It may have been passed, or have left the log; or who was ahead has left it out, and it waits there for the next login.
        expected.extend(["acknowledged", "unknown"]);
        let is_over = clocks.has_expired(entry.answer().expires_at_ms);
        expected.extend((!seen && !is_over).then_some("waiting"));
    }
    if seen {
        // Acknowledged by one is acknowledged; what is over may have been so before the acknowledgement. Version 0 acknowledges nothing, and
        // what its sockets took of shared channels is noted when a broadcast has gone straight to everybody, or the connection ends; while several
        // logics disagree who of them is there, what its sockets took is not noted at all.
        let shared = matches!(entry.order.kind, Kind::App | Kind::Everyone);
        let late = shared || stage.deployment.with_role(Role::Logic).len() > 1;
        expected.retain(|state| *state != "waiting" || (late && !acknowledges));
        expected.push("acknowledged");
    } else {
        // What was recalled before logic came to it was never kept.
        expected.extend(entry.answer().recalled.then_some("unknown"));
        // The cursor passes what is over.
        let over = expected.iter().any(|state| *state != "waiting");
        expected.extend(over.then_some("acknowledged"));
    }
    expected.sort_unstable();
    expected.dedup();
    expected
}
