//! Recalls, and where a message stands for one user.

use super::json;
use crate::store::server::batch::EntryRow;
use crate::store::server::engine::PlacedRow;
use crate::store::server::failure::Done;
use gpusher_proto::gateway::ChannelKind;
use sqlx::MySqlPool;

/// Two statements: what is appended while the recall is being noted is seen by the second.
pub(super) async fn recall(pool: &MySqlPool, message: i64, at_ms: i64) -> Done<Vec<PlacedRow>> {
    sqlx::query(
        "INSERT INTO recalls (message_id, at_ms) VALUES (?, ?)
         ON DUPLICATE KEY UPDATE at_ms = recalls.at_ms",
    )
    .bind(message)
    .bind(at_ms)
    .execute(pool)
    .await?;
    let placed = sqlx::query_as(
        "SELECT c.kind, c.app_id, c.name, l.seq
         FROM log l JOIN channels c ON c.id = l.channel_id
         WHERE l.message_id = ?
         ORDER BY l.channel_id",
    )
    .bind(message)
    .fetch_all(pool)
    .await?;
    Ok(placed)
}

pub(super) async fn recalled(pool: &MySqlPool, messages: &[i64]) -> Done<Vec<i64>> {
    let rows = json::list(messages, |&message, row| {
        row.number(message);
    });
    let found = sqlx::query_scalar(
        "SELECT r.message_id
         FROM JSON_TABLE(?, '$[*]' COLUMNS (message_id BIGINT PATH '$[0]')) AS j
         STRAIGHT_JOIN recalls r ON r.message_id = j.message_id",
    )
    .bind(rows)
    .fetch_all(pool)
    .await?;
    Ok(found)
}

pub(super) async fn marks(pool: &MySqlPool, message: i64, user: &[u8]) -> Done<(bool, bool)> {
    let marks = sqlx::query_as(
        "SELECT EXISTS (SELECT 1 FROM recalls WHERE message_id = ?),
                EXISTS (SELECT 1 FROM dead_letters WHERE message_id = ? AND user = ?)",
    )
    .bind(message)
    .bind(message)
    .bind(user)
    .fetch_one(pool)
    .await?;
    Ok(marks)
}

pub(super) async fn entry_for(
    pool: &MySqlPool,
    message: i64,
    user: &[u8],
) -> Done<Option<EntryRow>> {
    let row: Option<(i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT c.kind, c.app_id, l.seq, m.expires_at_ms
         FROM log l
         JOIN channels c ON c.id = l.channel_id
         JOIN messages m ON m.id = l.message_id
         WHERE l.message_id = ? AND (c.kind <> 0 OR c.name = ?)
         ORDER BY c.kind
         LIMIT 1",
    )
    .bind(message)
    .bind(user)
    .fetch_optional(pool)
    .await?;
    let entry =
        row.map(|(kind, app_id, seq, expires_at_ms)| EntryRow { kind, app_id, seq, expires_at_ms });
    Ok(entry)
}

pub(super) async fn passed(
    pool: &MySqlPool,
    entry: &EntryRow,
    message: i64,
    user: &[u8],
) -> Done<bool> {
    let (own, everyone) = (ChannelKind::Own as i64, ChannelKind::Everyone as i64);
    let query = match entry.kind {
        kind if kind == own => {
            "SELECT EXISTS (SELECT 1 FROM cursors k
             WHERE k.app_id = ? AND k.user = ? AND k.own >= ? AND NOT EXISTS
                 (SELECT 1 FROM dead_letters d WHERE d.message_id = ? AND d.app_id = k.app_id
                      AND d.user = k.user AND d.device = k.device))"
        }
        kind if kind == everyone => {
            "SELECT EXISTS (SELECT 1 FROM apps a STRAIGHT_JOIN cursors k ON k.app_id = a.id
             WHERE a.id >= ? AND k.user = ? AND k.everyone >= ? AND NOT EXISTS
                 (SELECT 1 FROM dead_letters d WHERE d.message_id = ? AND d.app_id = k.app_id
                      AND d.user = k.user AND d.device = k.device))"
        }
        _ => {
            "SELECT EXISTS (SELECT 1 FROM cursors k
             WHERE k.app_id = ? AND k.user = ? AND k.app >= ? AND NOT EXISTS
                 (SELECT 1 FROM dead_letters d WHERE d.message_id = ? AND d.app_id = k.app_id
                      AND d.user = k.user AND d.device = k.device))"
        }
    };
    let passed = sqlx::query_scalar(query)
        .bind(entry.app_id)
        .bind(user)
        .bind(entry.seq)
        .bind(message)
        .fetch_one(pool)
        .await?;
    Ok(passed)
}
