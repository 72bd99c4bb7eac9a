//! Recalls, and where a message stands for one user.

use crate::store::server::batch::EntryRow;
use crate::store::server::engine::PlacedRow;
use crate::store::server::failure::Done;
use gpusher_proto::gateway::ChannelKind;
use sqlx::PgPool;

/// Two statements: what is appended while the recall is being noted is seen by the second.
pub(super) async fn recall(pool: &PgPool, message: i64, at_ms: i64) -> Done<Vec<PlacedRow>> {
    sqlx::query("INSERT INTO recalls (message_id, at_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(message)
        .bind(at_ms)
        .execute(pool)
        .await?;
    let placed = sqlx::query_as(
        "SELECT c.kind, c.app_id, c.name, l.seq
         FROM log l JOIN channels c ON c.id = l.channel_id
         WHERE l.message_id = $1
         ORDER BY l.channel_id",
    )
    .bind(message)
    .fetch_all(pool)
    .await?;
    Ok(placed)
}

pub(super) async fn recalled(pool: &PgPool, messages: &[i64]) -> Done<Vec<i64>> {
    let found =
        sqlx::query_scalar("SELECT message_id FROM recalls WHERE message_id = ANY($1::bigint[])")
            .bind(messages)
            .fetch_all(pool)
            .await?;
    Ok(found)
}

pub(super) async fn marks(pool: &PgPool, message: i64, user: &[u8]) -> Done<(bool, bool)> {
    let marks = sqlx::query_as(
        r#"SELECT EXISTS (SELECT 1 FROM recalls WHERE message_id = $1),
                  EXISTS (SELECT 1 FROM dead_letters WHERE message_id = $1 AND "user" = $2)"#,
    )
    .bind(message)
    .bind(user)
    .fetch_one(pool)
    .await?;
    Ok(marks)
}

pub(super) async fn entry_for(pool: &PgPool, message: i64, user: &[u8]) -> Done<Option<EntryRow>> {
    let row: Option<(i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT c.kind, c.app_id, l.seq, m.expires_at_ms
         FROM log l
         JOIN channels c ON c.id = l.channel_id
         JOIN messages m ON m.id = l.message_id
         WHERE l.message_id = $1 AND (c.kind <> 0 OR c.name = $2)
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

/// The apps of the cursors that an entry is for: everyone's are those of all apps.
pub(super) async fn passed(
    pool: &PgPool,
    entry: &EntryRow,
    message: i64,
    user: &[u8],
) -> Done<bool> {
    let passed = sqlx::query_scalar(
        r#"SELECT EXISTS (SELECT 1 FROM cursors k
           WHERE k.app_id IN (SELECT id FROM apps WHERE $5::bigint = $6::bigint UNION ALL SELECT $1::bigint)
             AND k."user" = $2
             AND CASE $5 WHEN $7::bigint THEN k.own WHEN $6 THEN k.everyone ELSE k.app END >= $3
             AND NOT EXISTS
                 (SELECT 1 FROM dead_letters d WHERE d.message_id = $4 AND d.app_id = k.app_id
                      AND d."user" = k."user" AND d.device = k.device))"#,
    )
    .bind(entry.app_id)
    .bind(user)
    .bind(entry.seq)
    .bind(message)
    .bind(entry.kind)
    .bind(ChannelKind::Everyone as i64)
    .bind(ChannelKind::Own as i64)
    .fetch_one(pool)
    .await?;
    Ok(passed)
}
