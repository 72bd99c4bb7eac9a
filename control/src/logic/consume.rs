//! Reads the queue for the core, and commits what it has done.

use super::data::{Data, jittered};
use crate::queue::Consumer;
use gpusher_proto::data::Record;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// The consumer group of logic.
const GROUP: &str = "logic";
const PAUSE: Duration = Duration::from_millis(500);

/// Records in the order of the queue.
pub(super) struct Taken {
    pub(super) records: Vec<Record>,
    /// Another instance may have worked on them, or on some that follow.
    pub(super) took_over: bool,
}

/// Runs until the core takes no more records and has committed its last. One batch waits at most.
pub(super) async fn consume(
    data: Data,
    batch_records: usize,
    records: mpsc::Sender<Taken>,
    mut commits: watch::Receiver<Option<u64>>,
) {
    let mut consumer = tokio::select! {
        consumer = data.persist("open queue", || data.queue.consume_early(GROUP)) => consumer,
        () = ended(&mut commits) => return,
    };
    let mut ready: Option<Taken> = None;
    loop {
        tokio::select! {
            changed = commits.changed() => {
                if changed.is_err() {
                    return;
                }
                commit(&mut *consumer, &mut commits).await;
            }
            permit = records.reserve(), if ready.is_some() => {
                match (permit, ready.take()) {
                    (Ok(permit), Some(batch)) => permit.send(batch),
                    // Nobody takes records any more: only commits are left.
                    _ => return finish(&mut *consumer, &mut commits).await,
                }
            }
            batch = consumer.next(batch_records), if ready.is_none() => match batch {
                Ok(records) if records.is_empty() => {}
                Ok(records) => ready = Some(Taken { records, took_over: consumer.took_over() }),
                Err(error) => {
                    tracing::warn!(%error, "queue not readable");
                    tokio::time::sleep(jittered(PAUSE)).await;
                }
            },
        }
    }
}

async fn finish(consumer: &mut dyn Consumer, commits: &mut watch::Receiver<Option<u64>>) {
    while commits.changed().await.is_ok() {
        commit(consumer, commits).await;
    }
}

/// A commit that fails is made up for by the next one; at worst records come again after a restart.
async fn commit(consumer: &mut dyn Consumer, commits: &mut watch::Receiver<Option<u64>>) {
    let offset = *commits.borrow_and_update();
    if let Some(offset) = offset
        && let Err(error) = consumer.commit(offset).await
    {
        tracing::warn!(%error, offset, "queue position not committed");
    }
}

async fn ended(commits: &mut watch::Receiver<Option<u64>>) {
    while commits.changed().await.is_ok() {}
}
