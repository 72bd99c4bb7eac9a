//! Clients that misbehave without breaking the protocol. Only devices of version 1 take part: what a socket of version 0 took counts as received,
//! so one that ends with bytes unread has lost them, as the contract says.

use super::host;
use crate::crowd::{APPS, Mood};
use crate::ledger::{Entry, Kind, Order};
use crate::random::Random;
use crate::stage::Stage;
use crate::traffic::push_until_accepted;
use anyhow::Result;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// In a thousand of the clients.
const DEAF: u64 = 10;
const RESTARTED: u64 = 200;
const LOOK: Duration = Duration::from_millis(5);

/// Those who are there, of version 1, the probes apart.
pub(super) fn version_1(stage: &Stage) -> Vec<u32> {
    let population = &stage.crowd.population;
    let candidates = population.devices.iter().filter(|device| {
        device.version == 1
            && !population.is_probe(device.number)
            && stage.crowd.mood(device.number) == Mood::Present
    });
    candidates.map(|device| device.number).collect()
}

pub(super) fn some(stage: &Stage, share: u64, random: &mut Random) -> Vec<u32> {
    let mut chosen = version_1(stage);
    chosen.retain(|_| random.permille(share));
    chosen
}

async fn hold(stage: &Stage, devices: &[u32], mood: Mood, hold: Duration) {
    devices.iter().for_each(|&device| stage.crowd.set_mood(device, mood));
    tokio::time::sleep(hold).await;
    devices.iter().for_each(|&device| stage.crowd.set_mood(device, Mood::Present));
}

/// One in a hundred reads nothing for a while.
pub(super) async fn stop_reading(stage: &Stage, time: Duration, random: &mut Random) {
    hold(stage, &some(stage, DEAF, random), Mood::Deaf, time).await;
}

/// A fifth of the programs ends and starts again.
pub(super) async fn restart(stage: &Stage, time: Duration, random: &mut Random) {
    hold(stage, &some(stage, RESTARTED, random), Mood::Away, time).await;
}

/// A fifth of the programs ends, and starts again as soon as all have; returns which.
pub(super) async fn reconnect_some(stage: &Stage, random: &mut Random) -> Vec<u32> {
    let chosen = some(stage, RESTARTED, random);
    chosen.iter().for_each(|&device| stage.crowd.set_mood(device, Mood::Away));
    while chosen.iter().any(|&device| stage.crowd.is_online(device)) {
        tokio::time::sleep(LOOK).await;
    }
    chosen.iter().for_each(|&device| stage.crowd.set_mood(device, Mood::Present));
    chosen
}

/// A kept message to a device's user.
pub(super) async fn push_to(stage: &Stage, device: u32, content: &str) -> Option<Arc<Entry>> {
    let population = &stage.crowd.population;
    let name = &population.devices[device as usize].user;
    let user = population.users.iter().position(|user| user.name == *name)?;
    let order = Order {
        kind: Kind::User,
        target: user as u32,
        kept: true,
        expire_time_s: 0,
        audience: population.audience(&[user]),
    };
    let body = json!({"tag": APPS[population.users[user].app].0,
        "body": {"type": Kind::User as u8, "uuid": name, "offlinePush": true, "content": content}});
    push_until_accepted(&stage.webs[0], &stage.ledger, order, body).await
}

/// The mobile clients' packets are lost both ways; meanwhile their programs end, which nobody hears of, and come back afterwards.
pub(super) async fn vanish(stage: &Stage, time: Duration) -> Result<()> {
    let population = &stage.crowd.population;
    let mobile = population.devices.iter().filter(|device| device.source.is_some());
    let mobile: Vec<u32> = mobile.map(|device| device.number).collect();
    host::set_blackhole(true)?;
    hold(stage, &mobile, Mood::Away, time).await;
    host::set_blackhole(false)
}
