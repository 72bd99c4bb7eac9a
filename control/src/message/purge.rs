//! The message role's own work: purging the store, for ever, a little at a time.

use crate::store::Store;
use gpusher_proto::data::PurgeRequest;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

/// How much to keep, and how often to look.
#[derive(Debug, Clone)]
pub struct PurgeOptions {
    /// Between two rounds.
    pub interval: Duration,
    /// Messages, statuses, dead letters and upstream messages older than this go. Zero: never.
    pub retention: Duration,
    /// A log's entries beyond this go, the oldest first. 0: none.
    pub per_channel_max: u64,
    /// Rows of one batch: for so long at most do other writers wait.
    pub batch_max: u32,
}

impl Default for PurgeOptions {
    /// Every minute; seven days, as long as a message can take to expire; 10,000 messages a log; a thousand rows at once.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
            retention: Duration::from_secs(7 * 24 * 3600),
            per_channel_max: 10_000,
            batch_max: 1000,
        }
    }
}

/// What purging counts.
#[derive(Debug, Clone, Default)]
pub struct PurgeMetrics {
    /// Rounds that came to their end.
    pub rounds: Counter,
    /// Rows removed.
    pub removed: Counter,
    /// Rounds given up because the store failed.
    pub failed: Counter,
}

impl PurgeMetrics {
    /// Adds the counters of purges to a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let these = Self::default();
        let registry = registry.sub_registry_with_prefix("gpusher_purge");
        let t = these.clone();
        registry.register("rounds", "Purges that came to their end", t.rounds);
        registry.register("removed", "Rows removed by purges", t.removed);
        registry.register("failed", "Purges given up: the store failed", t.failed);
        these
    }
}

/// Purges until told to stop.
pub async fn run(
    store: Arc<dyn Store>,
    options: PurgeOptions,
    metrics: PurgeMetrics,
    stop: CancellationToken,
) {
    let purging = async {
        loop {
            tokio::time::sleep(options.interval).await;
            round(&*store, &options, &metrics).await;
        }
    };
    tokio::select! {
        () = purging => {}
        () = stop.cancelled() => {}
    }
}

/// One batch after the other, between which others have their turn, until nothing is left to remove.
async fn round(store: &dyn Store, options: &PurgeOptions, metrics: &PurgeMetrics) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let request = PurgeRequest {
        now_ms: milliseconds(now),
        retention_ms: milliseconds(options.retention),
        per_channel_max: options.per_channel_max,
        batch_max: options.batch_max,
    };
    loop {
        match store.purge(request).await {
            Ok(result) => {
                metrics.removed.inc_by(result.removed);
                if !result.more {
                    metrics.rounds.inc();
                    return;
                }
            }
            Err(error) => {
                metrics.failed.inc();
                return tracing::warn!(%error, "purging the store");
            }
        }
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{SqliteOptions, SqliteStore};
    use gpusher_proto::data::{Append, Channel, Push, ReadRequest};
    use gpusher_proto::gateway::ChannelKind;

    #[tokio::test]
    async fn purges_in_batches_until_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions::new(folder.path().join("store.db"));
        let store = Arc::new(SqliteStore::open(options).await.unwrap());
        let channel = Channel { kind: ChannelKind::Own as i32, app_id: 1000, name: "ada".into() };
        let entry = |id| Append {
            channel: Some(channel.clone()),
            push: Some(Push { id, expires_at_ms: 1, ..Push::default() }),
        };
        store.append((1..=25).map(entry).collect()).await.unwrap();

        let mut registry = Registry::default();
        let metrics = PurgeMetrics::register(&mut registry);
        let stop = CancellationToken::new();
        let interval = Duration::from_millis(1);
        let options = PurgeOptions { interval, batch_max: 10, ..PurgeOptions::default() };
        let task = tokio::spawn(run(store.clone(), options, metrics.clone(), stop.clone()));
        while metrics.rounds.get() < 2 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
        task.await.unwrap();
        assert_eq!(metrics.removed.get(), 25);
        assert_eq!(metrics.failed.get(), 0);
        let read = ReadRequest { channel: Some(channel), ..ReadRequest::default() };
        assert!(store.read(read).await.unwrap().messages.is_empty());
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("gpusher_purge_removed_total 25\n"), "{text}");
    }
}
