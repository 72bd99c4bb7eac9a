//! Clients that never acknowledge: what they are sent ends among the dead letters, and only that.

use super::clients::{push_to, some};
use crate::audit::dead_letters;
use crate::crowd::Mood;
use crate::ledger::Entry;
use crate::random::Random;
use crate::stage::Stage;
use anyhow::Result;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Redelivery that gives up within six seconds: two attempts, two seconds apart and after the first.
pub(super) const KEYS: &[(&str, &str)] =
    &[("delivery.ack_timeout_ms", "2000"), ("delivery.attempts_max", "2")];
/// In a thousand of the clients.
const HUNG: u64 = 50;
/// For what was pushed at the begin to be given up, beyond the time that it is held.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(200);

/// Some applications hang: their clients keep connected and take what comes, and nobody asks them for it. Then they are started again, with
/// nothing stored. What they were sent first has to be given up by then.
pub(super) async fn never_acknowledge(
    stage: &Stage,
    hold: Duration,
    random: &mut Random,
) -> Result<()> {
    let hung = some(stage, HUNG, random);
    hung.iter().for_each(|&device| stage.crowd.set_mood(device, Mood::Hung));
    let begun = Instant::now();
    let mut pushed = Vec::new();
    for &device in &hung {
        pushed.extend(push_to(stage, device, "").await.map(|entry| (entry, device)));
    }
    tokio::time::sleep(hold).await;
    let mut left = pushed.len();
    while left > 0 && begun.elapsed() < hold + PATIENCE {
        let dead = dead_letters(stage).await?;
        let given_up = |(entry, device): &&(Arc<Entry>, u32)| {
            entry.answer().id.is_some_and(|id| dead.contains(&(id, *device)))
        };
        left = pushed.iter().filter(|pushed| !given_up(pushed)).count();
        tokio::time::sleep(LOOK).await;
    }
    if left > 0 {
        stage.complain(format!("{left} of {} messages were not given up", pushed.len()));
    }
    hung.iter().for_each(|&device| stage.crowd.set_mood(device, Mood::Present));
    Ok(())
}
