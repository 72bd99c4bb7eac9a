//! Harm to processes: killed, stopped, cut off.

use crate::deployment::{Part, Role};
use crate::random::Random;
use crate::stage::Stage;
use anyhow::Result;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Kills one process; for so long it is not started again. It is over when it was killed: starting belongs to recovery.
pub(super) async fn kill(
    stage: &Stage,
    role: Option<Role>,
    hold: Duration,
    random: &mut Random,
) -> Instant {
    let parts = match role {
        Some(role) => stage.deployment.with_role(role),
        None => stage.deployment.parts().to_vec(),
    };
    let part = random.pick(&parts);
    let killed = Instant::now();
    part.kill(false);
    tokio::time::sleep(hold).await;
    part.start();
    killed
}

/// Stops one process for a while; it knows nothing of that time.
pub(super) async fn stop(stage: &Stage, role: Role, hold: Duration, random: &mut Random) {
    let parts = stage.deployment.with_role(role);
    let stopped = Resumed(Arc::clone(random.pick(&parts)));
    stopped.0.pause();
    tokio::time::sleep(hold).await;
}

/// No process is left stopped, whatever happens to us.
struct Resumed(Arc<Part>);

impl Drop for Resumed {
    fn drop(&mut self) {
        self.0.resume();
    }
}

/// Cuts one gateway off from all logics.
pub(super) async fn cut_link(stage: &Stage, hold: Duration, random: &mut Random) {
    let gateway = random.index(stage.deployment.with_role(Role::Gateway).len());
    stage.deployment.set_link(gateway, false);
    tokio::time::sleep(hold).await;
    stage.deployment.set_link(gateway, true);
}

/// Pulls the cable of one process's host.
pub(super) async fn cut_host(stage: &Stage, hold: Duration, random: &mut Random) -> Result<()> {
    let part = random.pick(stage.deployment.parts());
    stage.deployment.set_cable(part, false)?;
    tokio::time::sleep(hold).await;
    stage.deployment.set_cable(part, true)
}

/// Takes all logics away, so that what is pushed meanwhile waits in the queue. Where logic is in one process with the rest, nothing can be
/// pushed meanwhile; then it is a long outage.
pub(super) async fn leave_behind(stage: &Stage, hold: Duration) {
    let logics = stage.deployment.with_role(Role::Logic);
    logics.iter().for_each(|part| part.kill(false));
    tokio::time::sleep(hold).await;
    logics.iter().for_each(|part| part.start());
}
