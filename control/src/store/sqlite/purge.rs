//! Removes what nobody needs any more, a bounded batch at a time.
//!
//! Entries leave their logs by rule; with each batch go the messages that are in no log any more, and the channels'
//! counts are put right. What retention or a log's maximum takes moves the channel's `cut_seq`, because somebody may still
//! have wanted it; what expired or was acknowledged does not.

use super::failure::explain;
use super::log::forget_entries;
use super::writer::Write;
use crate::error::Result;
use crate::store::rows::{json, position};
use crate::store::{PURGE_BATCH, REPEAT_WINDOW_MS};
use async_trait::async_trait;
use gpusher_proto::data::{PurgeRequest, PurgeResult};
use rustc_hash::FxHashMap;
use sqlx::SqliteConnection;

pub(super) struct Purge(pub PurgeRequest);

#[async_trait]
impl Write for Purge {
    type Output = PurgeResult;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<PurgeResult> {
        let limit = if self.0.batch_max == 0 { PURGE_BATCH } else { self.0.batch_max };
        let mut batch = Batch { connection, left: i64::from(limit), removed: 0 };
        let now_ms = self.0.now_ms;
        batch.expired(now_ms).await?;
        batch.acknowledged(now_ms).await?;
        if self.0.retention_ms > 0 {
            let cutoff_ms = now_ms.saturating_sub(self.0.retention_ms);
            batch.beyond_retention(cutoff_ms).await?;
            batch.old_reports(cutoff_ms).await?;
        }
        if self.0.per_channel_max > 0 {
            batch.beyond_maximum(position(self.0.per_channel_max)).await?;
        }
        batch.removed_apps().await?;
        Ok(PurgeResult { removed: batch.removed, more: batch.left == 0 })
    }
}

/// A purge under way, and how many rows it may still remove.
struct Batch<'c> {
    connection: &'c mut SqliteConnection,
    left: i64,
    removed: u64,
}

/// An entry that was deleted: (channel id, sequence, message id).
type Gone = (i64, i64, i64);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// Nobody wanted the entries.
    None,
    /// Somebody may have: `heads` has to tell.
    Log,
}

impl Batch<'_> {
    fn count(&mut self, rows: u64) {
        self.removed += rows;
        self.left = self.left.saturating_sub_unsigned(rows).max(0);
    }

    /// Settles what a deletion of entries leaves behind.
    async fn entries_gone(&mut self, gone: &[Gone], cut: Cut) -> Result<()> {
        if gone.is_empty() {
            return Ok(());
        }
        self.count(gone.len() as u64);
        let fewer: Vec<_> = gone.iter().map(|(channel_id, ..)| (*channel_id, 1)).collect();
        forget_entries(self.connection, &fewer).await?;
        let messages: Vec<_> = gone.iter().map(|(.., message_id)| *message_id).collect();
        sqlx::query(
            "DELETE FROM messages
             WHERE id IN (SELECT e.value FROM json_each(?1) e)
               AND NOT EXISTS (SELECT 1 FROM log l WHERE l.message_id = messages.id)",
        )
        .bind(json(&messages))
        .execute(&mut *self.connection)
        .await
        .map_err(explain)?;
        if cut == Cut::Log {
            self.raise_cuts(gone).await?;
        }
        Ok(())
    }

    async fn raise_cuts(&mut self, gone: &[Gone]) -> Result<()> {
        let mut cuts = FxHashMap::<i64, i64>::default();
        for (channel_id, seq, _) in gone {
            let cut = cuts.entry(*channel_id).or_default();
            *cut = (*cut).max(*seq);
        }
        let cuts: Vec<_> = cuts.into_iter().collect();
        sqlx::query(
            "UPDATE channels SET cut_seq = max(cut_seq, cut.seq)
             FROM (SELECT e.value ->> 0 AS id, e.value ->> 1 AS seq FROM json_each(?1) e) AS cut
             WHERE channels.id = cut.id",
        )
        .bind(json(&cuts))
        .execute(&mut *self.connection)
        .await
        .map_err(explain)?;
        Ok(())
    }

    async fn expired(&mut self, now_ms: i64) -> Result<()> {
        let gone = sqlx::query_as(
            "DELETE FROM log WHERE (channel_id, seq) IN
                 (SELECT l.channel_id, l.seq
                  FROM messages m CROSS JOIN log l ON l.message_id = m.id
                  WHERE m.expires_at_ms > 0 AND m.expires_at_ms <= ?1
                  LIMIT ?2)
             RETURNING channel_id, seq, message_id",
        )
        .bind(now_ms)
        .bind(self.left)
        .fetch_all(&mut *self.connection)
        .await
        .map_err(explain)?;
        self.entries_gone(&gone, Cut::None).await
    }

    async fn beyond_retention(&mut self, cutoff_ms: i64) -> Result<()> {
        let gone = sqlx::query_as(
            "DELETE FROM log WHERE (channel_id, seq) IN
                 (SELECT l.channel_id, l.seq
                  FROM messages m CROSS JOIN log l ON l.message_id = m.id
                  WHERE m.accepted_at_ms < ?1
                  ORDER BY m.accepted_at_ms
                  LIMIT ?2)
             RETURNING channel_id, seq, message_id",
        )
        .bind(cutoff_ms)
        .bind(self.left)
        .fetch_all(&mut *self.connection)
        .await
        .map_err(explain)?;
        self.entries_gone(&gone, Cut::Log).await
    }

    /// Own messages that every known device has, for users whose cursors moved.
    async fn acknowledged(&mut self, now_ms: i64) -> Result<()> {
        let users: Vec<(u32, String)> = sqlx::query_as(
            "SELECT app_id, user FROM acknowledged WHERE due_ms <= ?1 ORDER BY due_ms LIMIT ?2",
        )
        .bind(now_ms)
        .bind(self.left)
        .fetch_all(&mut *self.connection)
        .await
        .map_err(explain)?;
        if users.is_empty() {
            return Ok(());
        }
        let keys = json(&users);
        let gone = sqlx::query_as(
            "DELETE FROM log WHERE (channel_id, seq) IN
                 (SELECT l.channel_id, l.seq
                  FROM json_each(?1) e
                  CROSS JOIN channels c
                      ON c.kind = 0 AND c.app_id = e.value ->> 0 AND c.name = e.value ->> 1
                  CROSS JOIN log l ON l.channel_id = c.id AND l.seq <=
                      (SELECT min(k.own) FROM cursors k
                       WHERE k.app_id = c.app_id AND k.user = c.name)
                  CROSS JOIN messages m ON m.id = l.message_id
                  WHERE m.accepted_at_ms < ?2
                  LIMIT ?3)
             RETURNING channel_id, seq, message_id",
        )
        .bind(&keys)
        .bind(now_ms.saturating_sub(REPEAT_WINDOW_MS))
        .bind(self.left)
        .fetch_all(&mut *self.connection)
        .await
        .map_err(explain)?;
        self.entries_gone(&gone, Cut::None).await?;
        self.look_again(&users, &keys).await
    }

    /// Users whose acknowledged entries are too young come up again when the oldest of these is due.
    async fn look_again(&mut self, users: &[(u32, String)], keys: &str) -> Result<()> {
        let oldest: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT e.key, min(m.accepted_at_ms)
             FROM json_each(?1) e
             CROSS JOIN channels c
                 ON c.kind = 0 AND c.app_id = e.value ->> 0 AND c.name = e.value ->> 1
             CROSS JOIN log l ON l.channel_id = c.id AND l.seq <=
                 (SELECT min(k.own) FROM cursors k WHERE k.app_id = c.app_id AND k.user = c.name)
             CROSS JOIN messages m ON m.id = l.message_id
             GROUP BY e.key",
        )
        .bind(keys)
        .fetch_all(&mut *self.connection)
        .await
        .map_err(explain)?;
        let oldest: FxHashMap<i64, i64> = oldest.into_iter().collect();
        const DONE: i64 = -1;
        let due = |key| oldest.get(&key).map_or(DONE, |at_ms| at_ms + REPEAT_WINDOW_MS + 1);
        let due: Vec<_> =
            (0..).zip(users).map(|(key, (app_id, user))| (app_id, user, due(key))).collect();
        sqlx::query(
            "UPDATE acknowledged SET due_ms = e.value ->> 2 FROM json_each(?1) e
             WHERE acknowledged.app_id = e.value ->> 0 AND acknowledged.user = e.value ->> 1",
        )
        .bind(json(&due))
        .execute(&mut *self.connection)
        .await
        .map_err(explain)?;
        sqlx::query("DELETE FROM acknowledged WHERE due_ms = ?1")
            .bind(DONE)
            .execute(&mut *self.connection)
            .await
            .map_err(explain)?;
        Ok(())
    }

    async fn beyond_maximum(&mut self, entries_max: i64) -> Result<()> {
        // The index covers logs of 64 entries and more; a smaller maximum, which only small systems have, scans.
        let full: Vec<(i64, i64)> = sqlx::query_as(if entries_max >= 64 {
            "SELECT id, entries - ?1 FROM channels
             WHERE entries > ?1 AND entries >= 64 LIMIT ?2"
        } else {
            "SELECT id, entries - ?1 FROM channels WHERE entries > ?1 LIMIT ?2"
        })
        .bind(entries_max)
        .bind(self.left)
        .fetch_all(&mut *self.connection)
        .await
        .map_err(explain)?;
        for (channel_id, excess) in full {
            if self.left == 0 {
                break;
            }
            let gone = sqlx::query_as(
                "DELETE FROM log WHERE channel_id = ?1 AND seq IN
                     (SELECT seq FROM log WHERE channel_id = ?1 ORDER BY seq LIMIT ?2)
                 RETURNING channel_id, seq, message_id",
            )
            .bind(channel_id)
            .bind(excess.min(self.left))
            .fetch_all(&mut *self.connection)
            .await
            .map_err(explain)?;
            self.entries_gone(&gone, Cut::Log).await?;
        }
        Ok(())
    }

    /// What is kept for applications and operators to look up, and notes of recalls.
    async fn old_reports(&mut self, cutoff_ms: i64) -> Result<()> {
        const OLD: [&str; 4] = [
            "DELETE FROM statuses WHERE id IN
                 (SELECT id FROM statuses WHERE filed_at_ms < ?1 ORDER BY filed_at_ms LIMIT ?2)",
            "DELETE FROM dead_letters WHERE position IN
                 (SELECT position FROM dead_letters WHERE at_ms < ?1 ORDER BY at_ms LIMIT ?2)",
            "DELETE FROM upstream WHERE position IN
                 (SELECT position FROM upstream WHERE at_ms < ?1 ORDER BY at_ms LIMIT ?2)",
            "DELETE FROM recalls WHERE message_id IN
                 (SELECT message_id FROM recalls WHERE at_ms < ?1 ORDER BY at_ms LIMIT ?2)",
        ];
        for query in OLD {
            let deleted = sqlx::query(query)
                .bind(cutoff_ms)
                .bind(self.left)
                .execute(&mut *self.connection)
                .await
                .map_err(explain)?;
            self.count(deleted.rows_affected());
        }
        Ok(())
    }

    async fn removed_apps(&mut self) -> Result<()> {
        let gone = sqlx::query_as(
            "DELETE FROM log WHERE (channel_id, seq) IN
                 (SELECT l.channel_id, l.seq
                  FROM removed_apps a
                  CROSS JOIN channels c ON c.kind IN (0, 1, 3) AND c.app_id = a.id
                  CROSS JOIN log l ON l.channel_id = c.id
                  LIMIT ?1)
             RETURNING channel_id, seq, message_id",
        )
        .bind(self.left)
        .fetch_all(&mut *self.connection)
        .await
        .map_err(explain)?;
        self.entries_gone(&gone, Cut::None).await?;
        const REST: [&str; 3] = [
            "DELETE FROM channels WHERE id IN
                 (SELECT c.id FROM removed_apps a
                  CROSS JOIN channels c ON c.kind IN (0, 1, 3) AND c.app_id = a.id
                  WHERE c.entries <= 0 LIMIT ?1)",
            "DELETE FROM dead_letters WHERE position IN
                 (SELECT d.position
                  FROM removed_apps a CROSS JOIN dead_letters d ON d.app_id = a.id LIMIT ?1)",
            "DELETE FROM upstream WHERE position IN
                 (SELECT u.position
                  FROM removed_apps a CROSS JOIN upstream u ON u.app_id = a.id LIMIT ?1)",
        ];
        for query in REST {
            let deleted = sqlx::query(query)
                .bind(self.left)
                .execute(&mut *self.connection)
                .await
                .map_err(explain)?;
            self.count(deleted.rows_affected());
        }
        self.removed_apps_cursors().await
    }

    /// A range of users of one app at a time, because that is how the table is ordered.
    async fn removed_apps_cursors(&mut self) -> Result<()> {
        while self.left > 0 {
            let app: Option<u32> = sqlx::query_scalar(
                "SELECT a.id FROM removed_apps a
                 WHERE EXISTS (SELECT 1 FROM cursors k WHERE k.app_id = a.id) LIMIT 1",
            )
            .fetch_optional(&mut *self.connection)
            .await
            .map_err(explain)?;
            let Some(app) = app else { break };
            let deleted = sqlx::query(
                "DELETE FROM cursors WHERE app_id = ?1 AND user <= coalesce(
                     (SELECT user FROM cursors WHERE app_id = ?1 ORDER BY user LIMIT 1 OFFSET ?2),
                     (SELECT max(user) FROM cursors WHERE app_id = ?1))",
            )
            .bind(app)
            .bind(self.left)
            .execute(&mut *self.connection)
            .await
            .map_err(explain)?;
            self.count(deleted.rows_affected());
        }
        Ok(())
    }
}
