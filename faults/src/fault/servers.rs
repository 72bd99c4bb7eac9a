//! Harm to the servers that processes share: killed, stopped, cut off.

use crate::deployment::{Server, ServerKind};
use crate::network::lose;
use crate::stage::Stage;
use anyhow::{Context, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn server(stage: &Stage, kind: ServerKind) -> Result<&Arc<Server>> {
    stage.deployment.server(kind).with_context(|| format!("there is no {kind}"))
}

/// Kills it; for so long it is not started again. It is over when it was killed: starting belongs to recovery.
pub(super) async fn kill(stage: &Stage, kind: ServerKind, hold: Duration) -> Result<Instant> {
    let server = server(stage, kind)?;
    let killed = Instant::now();
    server.kill().await?;
    tokio::time::sleep(hold).await;
    server.start_again().await?;
    Ok(killed)
}

/// Stops it for a while; it knows nothing of that time.
pub(super) async fn stop(stage: &Stage, kind: ServerKind, hold: Duration) -> Result<()> {
    let stopped = Resumed(Arc::clone(server(stage, kind)?));
    stopped.0.pause();
    tokio::time::sleep(hold).await;
    Ok(())
}

/// It is not left stopped, whatever happens to us.
struct Resumed(Arc<Server>);

impl Drop for Resumed {
    fn drop(&mut self) {
        self.0.resume();
    }
}

/// Cuts it off from everybody.
pub(super) async fn cut(stage: &Stage, kind: ServerKind, hold: Duration) -> Result<()> {
    let address = server(stage, kind)?.host.to_string();
    lose(&address, true)?;
    tokio::time::sleep(hold).await;
    lose(&address, false)
}
