//! Too much at once from clients that mean well: all come back together, two replace each other for ever, one is sent more than fits. The
//! product has an answer to each, and here it is seen to give it: what is missed is a complaint.

use super::clients::{push_to, some, version_1};
use crate::crowd::{APPS, Mood, greeting};
use crate::deployment::Role;
use crate::metrics::Metrics;
use crate::random::Random;
use crate::recovery::arrives;
use crate::stage::Stage;
use std::fmt::Write;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Logins a second that each logic lets in during a storm.
pub(super) const RATE: u64 = 100;
/// The same as the configuration says it.
pub(super) const RATE_KEY: (&str, &str) = ("logic.limits.logins_per_s", "100");
/// More than the rate, in a hundred: the second in which it is measured begins anywhere.
const RATE_SLACK: u64 = 10;
/// Devices that have a twin.
const TWINS: usize = 4;
/// In a thousand of the clients: read nothing while much is sent to them.
const STUCK: u64 = 5;
const STUCK_MAX: usize = 8;
/// To each of them, so that it does not fit into what the kernel holds and the outbox: messages, of so many random bytes as text.
const MESSAGES: usize = 24;
const WORDS: u64 = 20_000;
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// Everybody's program ends; all come back at once. Returns when they began to.
pub(super) async fn come_back_at_once(stage: &Stage, hold: Duration) -> Instant {
    let devices = version_1(stage);
    devices.iter().for_each(|&device| stage.crowd.set_mood(device, Mood::Away));
    tokio::time::sleep(hold).await;
    let counters = Metrics::of(&stage.deployment, Role::Logic);
    let deferred = counters.sum("gpusher_logic_logins_deferred_total").await;
    let rate = RATE * stage.deployment.with_role(Role::Logic).len() as u64;
    let begun = Instant::now();
    devices.iter().for_each(|&device| stage.crowd.set_mood(device, Mood::Present));
    let back = || devices.iter().filter(|&&device| stage.crowd.is_online(device)).count();
    while back() < devices.len() && begun.elapsed() < PATIENCE {
        tokio::time::sleep(LOOK).await;
        // A second's worth at once, and then one after the other.
        let allowed = rate as f64 * (1.0 + begun.elapsed().as_secs_f64());
        let allowed = allowed as u64 * (100 + RATE_SLACK) / 100 + RATE_SLACK;
        if back() as u64 > allowed {
            stage.complain(format!("{} logins were let in, {allowed} may be", back()));
            break;
        }
    }
    let since = counters.sum("gpusher_logic_logins_deferred_total").await;
    if devices.len() as u64 > 2 * rate && since <= deferred {
        stage.complain(format!("nobody was told to come back later: {since:?}"));
    }
    begun
}

/// Somebody else logs in as a device again and again, as a copied installation does.
pub(super) async fn replace_each_other(stage: &Stage, hold: Duration, random: &mut Random) {
    let counters = Metrics::of(&stage.deployment, Role::Logic);
    let before = counters.sum("gpusher_logic_kick_loops_total").await;
    let devices = version_1(stage);
    let gateways = stage.deployment.gateways();
    let mut twins = JoinSet::new();
    for _ in 0..TWINS {
        let profile = &stage.crowd.population.devices[*random.pick(&devices) as usize];
        let token = stage.deployment.secrets.token(&profile.user);
        let says = greeting::login(APPS[profile.app].1, &profile.user, profile.name, &token);
        twins.spawn(come_again(random.pick(&gateways).clone(), says));
    }
    tokio::time::sleep(hold).await;
    twins.shutdown().await;
    match (before, counters.sum("gpusher_logic_kick_loops_total").await) {
        (Some(before), Some(after)) if after > before => {}
        (before, after) => {
            stage.complain(format!("no kick loop was noticed: {before:?} before, {after:?} after"));
        }
    }
}

/// For ever.
async fn come_again(gateway: String, says: Vec<u8>) {
    loop {
        // Replaced, refused or reset: all the same to it.
        let _ = stay(&gateway, &says).await;
        tokio::time::sleep(LOOK).await;
    }
}

async fn stay(gateway: &str, says: &[u8]) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(gateway).await?;
    stream.write_all(says).await?;
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Some read nothing while more is kept for them than their outboxes hold; then they read, on the same connections.
pub(super) async fn overflow(stage: &Stage, hold: Duration, random: &mut Random) {
    let counters = Metrics::of(&stage.deployment, Role::Gateway);
    let before = counted(&counters).await;
    let mut stuck = some(stage, STUCK, random);
    stuck.truncate(STUCK_MAX);
    stuck.iter().for_each(|&device| stage.crowd.set_mood(device, Mood::Deaf));
    let mut entries = Vec::new();
    for &device in &stuck {
        for _ in 0..MESSAGES {
            entries.extend(push_to(stage, device, &long_text(WORDS, random)).await);
        }
    }
    tokio::time::sleep(hold).await;
    stuck.iter().for_each(|&device| stage.crowd.set_mood(device, Mood::Present));
    for entry in &entries {
        if !arrives(entry, PATIENCE).await {
            return stage.complain("what had spilled did not come when it was read".to_owned());
        }
    }
    let after = counted(&counters).await;
    let (Some((spilled, accepted)), Some((spilled_since, accepted_since))) = (before, after) else {
        return stage.complain("a gateway does not tell its metrics".to_owned());
    };
    if !stuck.is_empty() && spilled_since == spilled {
        stage.complain("nothing has spilled".to_owned());
    }
    if accepted_since != accepted {
        stage.complain(format!("{} clients had to connect again", accepted_since - accepted));
    }
}

/// Times messages have spilled, and connections accepted.
async fn counted(counters: &Metrics) -> Option<(u64, u64)> {
    let spilled = counters.sum("gpusher_gateway_spilled_total").await?;
    Some((spilled, counters.sum("gpusher_gateway_accepted_total").await?))
}

/// What does not compress well.
pub(super) fn long_text(words: u64, random: &mut Random) -> String {
    let mut text = String::new();
    (0..words).for_each(|_| {
        let _ = write!(text, "{:016x}", random.bits());
    });
    text
}
