//! No memory is left for a process: what it asks for beyond what it has is refused. It may end, if it says why; it may not hang.

use super::clients::{push_to, reconnect_some, some};
use super::limited::Limited;
use super::storms::long_text;
use crate::deployment::Role;
use crate::random::Random;
use crate::stage::Stage;
use anyhow::Result;
use rustix::process::Resource;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

/// Above what it has: at most so many bytes, and often next to none.
const MARGIN_BYTES_MAX: u64 = 4 << 20;
/// What asks for more: so many messages, of so many words of 16 random digits.
const MESSAGES: usize = 24;
const WORDS: u64 = 20_000;
/// How Rust's standard library and librdkafka say it.
const SAYS_SO: [&str; 2] = ["memory allocation of", "rd_malloc: Assertion"];

/// Limits one process while clients come back and long messages are pushed, and lets it have more again.
pub(super) async fn take(
    stage: &Stage,
    role: Role,
    hold: Duration,
    random: &mut Random,
) -> Result<()> {
    let parts = stage.deployment.with_role(role);
    let part = random.pick(&parts);
    let said = File::open(part.with_process(|process| process.log().to_owned()))?;
    let said_bytes = said.metadata()?.len();
    let margin_bytes = random.below(MARGIN_BYTES_MAX) >> random.below(12);
    let has_bytes = part.with_process(|process| process.data_bytes());
    let limited = Limited::begin(part, Resource::Data, has_bytes.map(|has| has + margin_bytes));
    reconnect_some(stage, random).await;
    let held = async {
        tokio::time::sleep(hold).await;
        limited.end()
    };
    let (ended, ()) = tokio::join!(held, ask_for_more(stage, random));
    if ended {
        stage.count("processes ended for want of memory", 1);
        let words = words_since(said, said_bytes)?;
        if !SAYS_SO.iter().any(|text| words.contains(text)) {
            stage.complain(format!("{} ended for want of memory, and said: {words}", part.name));
        }
    }
    Ok(())
}

async fn ask_for_more(stage: &Stage, random: &mut Random) {
    let devices = some(stage, 1_000, random);
    for _ in 0..MESSAGES.min(devices.len()) {
        let text = long_text(random.below(WORDS), random);
        push_to(stage, *random.pick(&devices), &text).await;
    }
}

fn words_since(mut log: File, from: u64) -> Result<String> {
    let mut bytes = Vec::new();
    log.seek(SeekFrom::Start(from))?;
    log.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}
