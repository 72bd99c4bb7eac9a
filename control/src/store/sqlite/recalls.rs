//! Recalls, and where a message stands for one user.

use super::failure::explain;
use super::writer::Write;
use crate::error::Result;
use crate::store::rows::{json, signed, unsigned};
use crate::store::unix_ms;
use async_trait::async_trait;
use gpusher_proto::data::{Channel, Placed, UserStatus};
use gpusher_proto::gateway::ChannelKind;
use sqlx::{Row, SqliteConnection, SqlitePool};

/// Notes a withdrawal, even of a message that has not been appended yet.
pub(super) struct Recall(pub u64);

#[async_trait]
impl Write for Recall {
    type Output = Vec<Placed>;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<Vec<Placed>> {
        sqlx::query(
            "INSERT INTO recalls (message_id, at_ms) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        )
        .bind(signed(self.0))
        .bind(unix_ms())
        .execute(&mut *connection)
        .await
        .map_err(explain)?;
        let rows: Vec<(i32, u32, String, i64)> = sqlx::query_as(
            "SELECT c.kind, c.app_id, c.name, l.seq
             FROM log l JOIN channels c ON c.id = l.channel_id
             WHERE l.message_id = ?1
             ORDER BY l.channel_id",
        )
        .bind(signed(self.0))
        .fetch_all(connection)
        .await
        .map_err(explain)?;
        let placed = rows.into_iter().map(|(kind, app_id, name, seq)| Placed {
            channel: Some(Channel { kind, app_id, name }),
            seq: unsigned(seq),
        });
        Ok(placed.collect())
    }
}

pub(super) async fn recalled(readers: &SqlitePool, messages: &[u64]) -> Result<Vec<u64>> {
    let messages: Vec<i64> = messages.iter().copied().map(signed).collect();
    let found: Vec<i64> = sqlx::query_scalar(
        "SELECT r.message_id FROM json_each(?1) e CROSS JOIN recalls r ON r.message_id = e.value",
    )
    .bind(json(&messages))
    .fetch_all(readers)
    .await
    .map_err(explain)?;
    Ok(found.into_iter().map(unsigned).collect())
}

/// One entry of a log, as far as a user's status depends on it.
struct Entry {
    kind: ChannelKind,
    app_id: u32,
    seq: i64,
    expires_at_ms: i64,
}

pub(super) async fn user_status(
    readers: &SqlitePool,
    message: u64,
    user: &str,
) -> Result<UserStatus> {
    let mut status = UserStatus::default();
    (status.recalled, status.dead) = sqlx::query_as(
        "SELECT EXISTS (SELECT 1 FROM recalls WHERE message_id = ?1),
                EXISTS (SELECT 1 FROM dead_letters WHERE message_id = ?1 AND user = ?2)",
    )
    .bind(signed(message))
    .bind(user)
    .fetch_one(readers)
    .await
    .map_err(explain)?;
    if let Some(entry) = entry_for(readers, message, user).await? {
        status.known = true;
        status.seq = unsigned(entry.seq);
        status.expired = entry.expires_at_ms != 0 && entry.expires_at_ms <= unix_ms();
        status.acknowledged = acknowledged(readers, &entry, message, user).await?;
    }
    Ok(status)
}

/// The user's own log first, then those that it shares.
async fn entry_for(readers: &SqlitePool, message: u64, user: &str) -> Result<Option<Entry>> {
    let row = sqlx::query(
        "SELECT c.kind, c.app_id, l.seq, m.expires_at_ms
         FROM log l
         JOIN channels c ON c.id = l.channel_id
         JOIN messages m ON m.id = l.message_id
         WHERE l.message_id = ?1 AND (c.kind <> 0 OR c.name = ?2)
         ORDER BY c.kind
         LIMIT 1",
    )
    .bind(signed(message))
    .bind(user)
    .fetch_optional(readers)
    .await
    .map_err(explain)?;
    let entry = row.map(|row| -> sqlx::Result<Entry> {
        Ok(Entry {
            kind: ChannelKind::try_from(row.try_get::<i32, _>(0)?).unwrap_or(ChannelKind::Topic),
            app_id: row.try_get(1)?,
            seq: row.try_get(2)?,
            expires_at_ms: row.try_get(3)?,
        })
    });
    entry.transpose().map_err(explain)
}

/// Whether a device's cursor has passed the entry, other than by way of the dead letters.
async fn acknowledged(
    readers: &SqlitePool,
    entry: &Entry,
    message: u64,
    user: &str,
) -> Result<bool> {
    let query = match entry.kind {
        ChannelKind::Own => {
            "SELECT EXISTS (SELECT 1 FROM cursors k
             WHERE k.app_id = ?1 AND k.user = ?2 AND k.own >= ?3 AND NOT EXISTS
                 (SELECT 1 FROM dead_letters d WHERE d.message_id = ?4 AND d.app_id = k.app_id
                      AND d.user = k.user AND d.device = k.device))"
        }
        ChannelKind::App => {
            "SELECT EXISTS (SELECT 1 FROM cursors k
             WHERE k.app_id = ?1 AND k.user = ?2 AND k.app >= ?3 AND NOT EXISTS
                 (SELECT 1 FROM dead_letters d WHERE d.message_id = ?4 AND d.app_id = k.app_id
                      AND d.user = k.user AND d.device = k.device))"
        }
        ChannelKind::Everyone => {
            "SELECT EXISTS (SELECT 1 FROM apps a CROSS JOIN cursors k
             WHERE k.app_id = a.id AND k.user = ?2 AND k.everyone >= ?3 AND NOT EXISTS
                 (SELECT 1 FROM dead_letters d WHERE d.message_id = ?4 AND d.app_id = k.app_id
                      AND d.user = k.user AND d.device = k.device))"
        }
        // Positions in topics are the clients' own.
        ChannelKind::Topic => return Ok(false),
    };
    sqlx::query_scalar(query)
        .bind(entry.app_id)
        .bind(user)
        .bind(entry.seq)
        .bind(signed(message))
        .fetch_one(readers)
        .await
        .map_err(explain)
}
