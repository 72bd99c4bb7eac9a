//! Removes what hung on processes that are gone. Nobody sees it any more; it is only memory.

use super::member::{ProcessNumber, SHARDS};
use super::{RedisRoutes, failed};
use crate::error::Result;
use gpusher_redis::cmd;
use std::sync::Weak;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often it is looked for.
const EVERY: Duration = Duration::from_secs(2);
/// Bindings looked at in one call, during which the server does nothing else: less than a millisecond.
const MEMBERS_AT_ONCE: usize = 512;
/// A sweeper that has not said so for this long has died.
const SWEEPER_LEASE: Duration = Duration::from_secs(10);

/// Sweeps now and then, until the routes are dropped.
pub(super) async fn keep_swept(routes: Weak<RedisRoutes>) {
    loop {
        sleep(EVERY).await;
        let Some(routes) = routes.upgrade() else { return };
        if let Err(error) = routes.sweep().await {
            tracing::debug!(%error, "routes of gateways that are gone stay for now");
        }
    }
}

impl RedisRoutes {
    /// Removes what hung on processes that are gone, unless somebody is about it.
    pub(super) async fn sweep(&self) -> Result<()> {
        let table = self.leases.read().await?;
        if table.gone.is_empty() || !self.become_sweeper().await? {
            return Ok(());
        }
        let swept = self.sweep_all(&table.gone).await;
        let _: u64 = self.call(cmd("DEL").arg(&self.keys.sweeper)).await?;
        swept
    }

    async fn become_sweeper(&self) -> Result<bool> {
        let mut take = cmd("SET");
        take.arg(&self.keys.sweeper)
            .arg(1)
            .arg("NX")
            .arg("PX")
            .arg(SWEEPER_LEASE.as_millis() as u64);
        let taken: Option<String> = self.call(&take).await?;
        Ok(taken.is_some())
    }

    async fn stay_sweeper(&self) -> Result<()> {
        let mut stay = cmd("PEXPIRE");
        stay.arg(&self.keys.sweeper).arg(SWEEPER_LEASE.as_millis() as u64);
        let _: u64 = self.call(&stay).await?;
        Ok(())
    }

    async fn sweep_all(&self, gone: &[ProcessNumber]) -> Result<()> {
        let began = Instant::now();
        let numbers: Vec<u8> = gone.iter().flat_map(|process| process.to_bytes()).collect();
        let mut removed = 0;
        for shard in 0..SHARDS {
            removed += self.sweep_shard(shard, &numbers).await?;
        }
        for process in gone {
            self.stay_sweeper().await?;
            self.forget_audiences(*process).await?;
        }
        let mut done = cmd("SREM");
        done.arg(&self.keys.gone);
        gone.iter().for_each(|process| {
            done.arg(process.to_bytes().as_slice());
        });
        let _: u64 = self.call(&done).await?;
        let took_ms = began.elapsed().as_millis() as u64;
        tracing::info!(
            processes = gone.len(),
            routes = removed,
            took_ms,
            "routes of gateways that are gone removed"
        );
        Ok(())
    }

    async fn sweep_shard(&self, shard: u64, gone: &[u8]) -> Result<u64> {
        let mut after = Vec::new();
        let mut removed = 0;
        loop {
            let arguments = [gone.to_vec(), after, MEMBERS_AT_ONCE.to_string().into()];
            let swept = self.scripts.sweep.run(&self.redis, self.keys.of_shard(shard), &arguments);
            let (last, count): (Vec<u8>, u64) = swept.await.map_err(failed)?;
            removed += count;
            if last.is_empty() {
                return Ok(removed);
            }
            after = last;
            self.stay_sweeper().await?;
        }
    }
}
