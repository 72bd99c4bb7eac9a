//! Removes what nobody needs any more, a bounded batch at a time and in one transaction, as `store::sqlite::purge` does.
//!
//! Entries leave their logs by rule; with each rule go the messages that are in no log any more, and the logs' counts are put right. What
//! retention or a log's maximum takes moves the log's `cut_seq`, because somebody may still have wanted it; what expired or was
//! acknowledged does not.

use super::engine::{Connection, Gone, Leftover, PurgeStatements, Report};
use super::failure::Done;
use crate::store::rows::position;
use crate::store::{PURGE_BATCH, REPEAT_WINDOW_MS};
use gpusher_proto::data::{PurgeRequest, PurgeResult};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// One batch. While another process purges, nothing is left to do here.
pub(super) async fn purge<E: PurgeStatements>(
    engine: &E,
    request: &PurgeRequest,
) -> Done<PurgeResult> {
    let mut transaction = engine.pool().begin().await?;
    if !E::begin_purge(&mut transaction).await? {
        return Ok(PurgeResult::default());
    }
    let limit = if request.batch_max == 0 { PURGE_BATCH } else { request.batch_max };
    let mut batch = Batch::<E> { connection: &mut transaction, left: i64::from(limit), removed: 0 };
    let now_ms = request.now_ms;
    batch.expired(now_ms).await?;
    batch.acknowledged(now_ms).await?;
    if request.retention_ms > 0 {
        let cutoff_ms = now_ms.saturating_sub(request.retention_ms);
        batch.beyond_retention(cutoff_ms).await?;
        batch.old_reports(cutoff_ms).await?;
    }
    if request.per_channel_max > 0 {
        batch.beyond_maximum(position(request.per_channel_max)).await?;
    }
    batch.removed_apps().await?;
    let result = PurgeResult { removed: batch.removed, more: batch.left == 0 };
    transaction.commit().await?;
    Ok(result)
}

/// A purge under way, and how many rows it may still remove.
struct Batch<'c, E: PurgeStatements> {
    connection: &'c mut Connection<E>,
    left: i64,
    removed: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// Nobody wanted the entries.
    None,
    /// Somebody may have: `heads` has to tell.
    Log,
}

impl<E: PurgeStatements> Batch<'_, E> {
    fn count(&mut self, rows: u64) {
        self.removed += rows;
        self.left = self.left.saturating_sub_unsigned(rows).max(0);
    }

    /// Takes entries out of their logs, and settles what they leave behind.
    async fn remove(&mut self, gone: Vec<Gone>, cut: Cut) -> Done<()> {
        if gone.is_empty() {
            return Ok(());
        }
        let mut logs = BTreeMap::<i64, (i64, i64)>::new();
        for (log, seq, _) in &gone {
            let (fewer, end) = logs.entry(*log).or_default();
            *fewer += 1;
            if cut == Cut::Log {
                *end = (*end).max(*seq);
            }
        }
        let logs: Vec<_> = logs.into_iter().map(|(log, (fewer, end))| (log, fewer, end)).collect();
        let mut messages: Vec<i64> = gone.iter().map(|(.., message)| *message).collect();
        messages.sort_unstable();
        messages.dedup();
        // The same order as that of an append: logs, then messages.
        E::shrink_logs(self.connection, &logs).await?;
        E::delete_entries(self.connection, &gone).await?;
        E::delete_orphans(self.connection, &messages).await?;
        self.count(gone.len() as u64);
        Ok(())
    }

    async fn expired(&mut self, now_ms: i64) -> Done<()> {
        let gone = E::expired(self.connection, now_ms, self.left).await?;
        self.remove(gone, Cut::None).await
    }

    async fn beyond_retention(&mut self, cutoff_ms: i64) -> Done<()> {
        let gone = E::old_entries(self.connection, cutoff_ms, self.left).await?;
        self.remove(gone, Cut::Log).await
    }

    /// Own messages that every known device has, for users whose cursors moved.
    async fn acknowledged(&mut self, now_ms: i64) -> Done<()> {
        let users = E::acknowledging_users(self.connection, now_ms, self.left).await?;
        if users.is_empty() {
            return Ok(());
        }
        let before_ms = now_ms.saturating_sub(REPEAT_WINDOW_MS);
        let gone = E::acknowledged(self.connection, &users, before_ms, self.left).await?;
        self.remove(gone, Cut::None).await?;
        // Users whose acknowledged entries are too young come up again when the oldest of these is due.
        let oldest = E::oldest_acknowledged(self.connection, &users).await?;
        let oldest: FxHashMap<i64, i64> = oldest.into_iter().collect();
        let due = |index| oldest.get(&index).map(|at_ms| at_ms + REPEAT_WINDOW_MS + 1);
        let again: Vec<_> =
            users.into_iter().zip(0..).map(|(user, index)| (user, due(index))).collect();
        E::look_again(self.connection, &again).await
    }

    async fn beyond_maximum(&mut self, entries_max: i64) -> Done<()> {
        for (log, excess) in E::full_logs(self.connection, entries_max, self.left).await? {
            if self.left == 0 {
                break;
            }
            let limit = excess.min(self.left);
            let gone = E::oldest_entries(self.connection, log, limit).await?;
            self.remove(gone, Cut::Log).await?;
        }
        Ok(())
    }

    async fn old_reports(&mut self, cutoff_ms: i64) -> Done<()> {
        for report in [Report::Statuses, Report::DeadLetters, Report::Upstream, Report::Recalls] {
            let rows = E::delete_reports(self.connection, report, cutoff_ms, self.left).await?;
            self.count(rows);
        }
        Ok(())
    }

    async fn removed_apps(&mut self) -> Done<()> {
        let gone = E::removed_apps_entries(self.connection, self.left).await?;
        self.remove(gone, Cut::None).await?;
        for leftover in
            [Leftover::Logs, Leftover::DeadLetters, Leftover::Upstream, Leftover::Cursors]
        {
            let rows = E::delete_leftovers(self.connection, leftover, self.left).await?;
            self.count(rows);
        }
        Ok(())
    }
}
