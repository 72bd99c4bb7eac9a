//! Wall clocks that jump: what they date, order and let expire has to bear it. Monotonic clocks do not jump.

use super::clients;
use crate::deployment::{Part, Role};
use crate::random::Random;
use crate::stage::Stage;
use anyhow::Result;
use std::time::Duration;

/// Ahead or back, by so much.
const JUMP_MS: (u64, u64) = (2_000, 300_000);

/// Lets the clock of a process jump, and back after a while. Meanwhile programs of clients end and start again, so that connections are
/// dated by it.
pub(super) async fn jump(
    stage: &Stage,
    role: Option<Role>,
    killed: bool,
    hold: Duration,
    random: &mut Random,
) -> Result<()> {
    let parts = match role {
        Some(role) => stage.deployment.with_role(role),
        None => stage.deployment.parts().to_vec(),
    };
    let part = random.pick(&parts);
    let by_ms = random.between(JUMP_MS.0, JUMP_MS.1) as i64;
    let wrong = Wrong::begin(stage, part, if random.permille(500) { by_ms } else { -by_ms })?;
    if killed {
        part.kill(true);
    }
    clients::reconnect_some(stage, random).await;
    tokio::time::sleep(hold).await;
    wrong.end()
}

/// A clock that is wrong, and is right again whatever happens to us.
struct Wrong<'a> {
    stage: &'a Stage,
    part: &'a Part,
}

impl<'a> Wrong<'a> {
    fn begin(stage: &'a Stage, part: &'a Part, ahead_ms: i64) -> Result<Self> {
        let wrong = Self { stage, part };
        // Excused is what expires by it from before it shows that until after it has.
        stage.ledger.clock_jumps(ahead_ms);
        part.set_clock(ahead_ms)?;
        Ok(wrong)
    }

    fn end(self) -> Result<()> {
        self.part.set_clock(0)
    }
}

impl Drop for Wrong<'_> {
    fn drop(&mut self) {
        // Unless its file cannot be written, which was told.
        let _ = self.part.set_clock(0);
        self.stage.ledger.clock_jumps(0);
    }
}
