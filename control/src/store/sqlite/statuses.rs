//! What became of each push, as counters that several writers add to.

use super::failure::explain;
use super::writer::Write;
use super::{position, signed, unsigned};
use crate::error::Result;
use crate::store::unix_ms;
use async_trait::async_trait;
use gpusher_proto::data::Status;
use rustc_hash::FxHashMap;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};
use std::sync::LazyLock;

pub(super) struct AddStatus(pub Vec<Status>);

const COLUMNS: usize = 20;

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

/// A batch reports the same push many times, as batches of one fan-out do: one row is written for it.
fn sum_per_push(deltas: &[Status]) -> Vec<Status> {
    let mut index = FxHashMap::default();
    let mut sums = Vec::<Status>::new();
    for delta in deltas {
        let at = *index.entry(delta.id).or_insert(sums.len());
        match sums.get_mut(at) {
            Some(sum) => add(sum, delta),
            None => sums.push(*delta),
        }
    }
    sums
}

fn add(sum: &mut Status, delta: &Status) {
    sum.app_id = sum.app_id.max(delta.app_id);
    sum.r#type = sum.r#type.max(delta.r#type);
    sum.accepted_at_ms = sum.accepted_at_ms.max(delta.accepted_at_ms);
    sum.expires_at_ms = sum.expires_at_ms.max(delta.expires_at_ms);
    sum.recalled |= delta.recalled;
    for (total, more) in counters_mut(sum).into_iter().zip(counters(delta)) {
        *total = total.saturating_add(more);
    }
}

fn counters_mut(status: &mut Status) -> [&mut u64; 13] {
    [
        &mut status.gateways,
        &mut status.stored,
        &mut status.written,
        &mut status.queued,
        &mut status.acked,
        &mut status.absent,
        &mut status.expired,
        &mut status.overflowed,
        &mut status.replayed,
        &mut status.redelivered,
        &mut status.dead,
        &mut status.withdrawn,
        &mut status.done,
    ]
}

fn counters(status: &Status) -> [u64; 13] {
    let mut copy = *status;
    counters_mut(&mut copy).map(|counter| *counter)
}

fn to_row(status: &Status, filed_at_ms: i64) -> [i64; COLUMNS] {
    let mut row = [0; COLUMNS];
    let (fixed, counts) = row.split_at_mut(7);
    fixed.copy_from_slice(&[
        signed(status.id),
        filed_at_ms,
        i64::from(status.app_id),
        i64::from(status.r#type),
        status.accepted_at_ms,
        status.expires_at_ms,
        i64::from(status.recalled),
    ]);
    for (value, counter) in counts.iter_mut().zip(counters(status)) {
        *value = position(counter);
    }
    row
}

pub(super) async fn get(readers: &SqlitePool, message: u64) -> Result<Option<Status>> {
    let row = sqlx::query(
        "SELECT app_id, type, accepted_at_ms, expires_at_ms, recalled, gateways, stored, written,
             queued, acked, absent, expired, overflowed, replayed, redelivered, dead, withdrawn,
             done
         FROM statuses WHERE id = ?1",
    )
    .bind(signed(message))
    .fetch_optional(readers)
    .await
    .map_err(explain)?;
    row.map(|row| from_row(message, &row).map_err(explain)).transpose()
}

fn from_row(id: u64, row: &SqliteRow) -> sqlx::Result<Status> {
    let mut status = Status {
        id,
        app_id: row.try_get(0)?,
        r#type: row.try_get(1)?,
        accepted_at_ms: row.try_get(2)?,
        expires_at_ms: row.try_get(3)?,
        recalled: row.try_get(4)?,
        ..Status::default()
    };
    for (at, counter) in counters_mut(&mut status).into_iter().enumerate() {
        *counter = unsigned(row.try_get(5 + at)?);
    }
    Ok(status)
}
