//! What became of each push, as counters that several writers add to.

use super::failure::explain;
use super::writer::Write;
use crate::error::Result;
use crate::store::rows::signed;
use crate::store::tally::{COLUMNS, Kept, described, from_row, is_described, sum_per_push, to_row};
use crate::store::unix_ms;
use async_trait::async_trait;
use gpusher_proto::data::Status;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};
use std::sync::LazyLock;

pub(super) struct AddStatus(pub Vec<Status>);

/// Rows of one statement. A row costs a third of what it does as JSON; the largest statement takes most, so that few calls are made.
const STATEMENT_ROWS: [usize; 3] = [256, 16, 1];

static STATEMENTS: LazyLock<[String; 3]> = LazyLock::new(|| STATEMENT_ROWS.map(statement));

fn statement(rows: usize) -> String {
    let row = format!("({})", vec!["?"; COLUMNS].join(","));
    format!(
        "INSERT INTO statuses (id, filed_at_ms, app_id, type, accepted_at_ms, expires_at_ms,
             recalled, gateways, stored, written, queued, acked, absent, expired, overflowed,
             replayed, redelivered, dead, withdrawn, done)
         VALUES {}
         ON CONFLICT (id) DO UPDATE SET
             app_id = max(app_id, excluded.app_id),
             type = max(type, excluded.type),
             accepted_at_ms = max(accepted_at_ms, excluded.accepted_at_ms),
             expires_at_ms = max(expires_at_ms, excluded.expires_at_ms),
             recalled = max(recalled, excluded.recalled),
             gateways = gateways + excluded.gateways,
             stored = stored + excluded.stored,
             written = written + excluded.written,
             queued = queued + excluded.queued,
             acked = acked + excluded.acked,
             absent = absent + excluded.absent,
             expired = expired + excluded.expired,
             overflowed = overflowed + excluded.overflowed,
             replayed = replayed + excluded.replayed,
             redelivered = redelivered + excluded.redelivered,
             dead = dead + excluded.dead,
             withdrawn = withdrawn + excluded.withdrawn,
             done = done + excluded.done",
        vec![row; rows].join(",")
    )
}

#[async_trait]
impl Write for AddStatus {
    type Output = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<()> {
        let sums = sum_per_push(&self.0);
        let filed_at_ms = unix_ms();
        let mut rest = &sums[..];
        for (count, sql) in STATEMENT_ROWS.iter().zip(&*STATEMENTS) {
            while let Some((rows, others)) = rest.split_at_checked(*count) {
                insert(connection, sql, rows, filed_at_ms).await?;
                rest = others;
            }
        }
        Ok(())
    }
}

async fn insert(
    connection: &mut SqliteConnection,
    sql: &'static str,
    rows: &[Status],
    filed_at_ms: i64,
) -> Result<()> {
    let mut query = sqlx::query(sql);
    for value in rows.iter().flat_map(|status| to_row(status, filed_at_ms)) {
        query = query.bind(value);
    }
    query.execute(connection).await.map_err(explain)?;
    Ok(())
}

/// Of a kept push also if its counters were lost with a killed process.
pub(super) async fn get(readers: &SqlitePool, message: u64) -> Result<Option<Status>> {
    let status = counters(readers, message).await?;
    if is_described(&status) {
        return Ok(status);
    }
    let kept: Option<Kept> = sqlx::query_as(
        "SELECT push, (SELECT count(*) FROM log WHERE message_id = messages.id)
         FROM messages WHERE id = ?1",
    )
    .bind(signed(message))
    .fetch_optional(readers)
    .await
    .map_err(explain)?;
    kept.map_or(Ok(status), |kept| described(message, status, &kept).map(Some))
}

async fn counters(readers: &SqlitePool, message: u64) -> Result<Option<Status>> {
    let row = sqlx::query(
        "SELECT id, filed_at_ms, app_id, type, accepted_at_ms, expires_at_ms, recalled, gateways,
             stored, written, queued, acked, absent, expired, overflowed, replayed, redelivered,
             dead, withdrawn, done
         FROM statuses WHERE id = ?1",
    )
    .bind(signed(message))
    .fetch_optional(readers)
    .await
    .map_err(explain)?;
    row.map(|row| status_of(&row).map_err(explain)).transpose()
}

fn status_of(row: &SqliteRow) -> sqlx::Result<Status> {
    let mut values = [0; COLUMNS];
    for (at, value) in values.iter_mut().enumerate() {
        *value = row.try_get(at)?;
    }
    Ok(from_row(values))
}
