//! The file: batches of records and the groups' committed positions.

use super::batch::Batch;
use crate::error::{Code, Error, Result};
use crate::store::sqlite::Durability;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteLockingMode, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Row};
use std::path::Path;

/// Kept in the file; a file of another format is refused.
const FORMAT: i64 = 1;

/// What the write-ahead log is cut to after a checkpoint.
const LOG_BYTES: &str = "67108864";

/// A batch's row is found by its last offset: the first row at or after an offset holds it.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS batches (
    last INTEGER PRIMARY KEY, records INTEGER NOT NULL, bytes INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS positions (
    consumer_group TEXT PRIMARY KEY, committed INTEGER NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = 1;
";

/// The writer's connection.
pub(super) struct Table {
    connection: SqliteConnection,
}

/// What is in the file when it is opened.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// Last offset ever given out.
    pub(super) end: u64,
    /// Records and bytes stored.
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// Committed position per group.
    pub(super) positions: Vec<(String, u64)>,
}

/// What one transaction changes.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// Batches with their last offset, in order.
    pub(super) batches: Vec<(u64, Batch)>,
    /// New committed positions.
    pub(super) positions: Vec<(String, u64)>,
    /// Batches up to here are no longer wanted.
    pub(super) trim: Option<u64>,
}

impl Change {
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.positions.is_empty()
    }
}

/// Records and bytes that a change freed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Freed {
    pub(super) records: u64,
    pub(super) bytes: u64,
}

impl Table {
    pub(super) async fn open(path: &Path, durability: Durability) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .locking_mode(SqliteLockingMode::Normal)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(match durability {
                Durability::Full => SqliteSynchronous::Full,
                Durability::Normal => SqliteSynchronous::Normal,
            })
            .pragma("journal_size_limit", LOG_BYTES)
            .thread_name(|_| "gpusher-queue".to_owned())
            .disable_statement_logging();
        let mut connection = SqliteConnection::connect_with(&options)
            .await
            .map_err(unavailable("open the queue"))?;
        let format: i64 = sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(&mut connection)
            .await
            .map_err(unavailable("read the queue"))?;
        if format != 0 && format != FORMAT {
            let text = format!("{} has format {format}, not {FORMAT}", path.display());
            return Err(Error::new(Code::Unavailable, text));
        }
        sqlx::raw_sql(SCHEMA)
            .execute(&mut connection)
            .await
            .map_err(unavailable("prepare the queue"))?;
        Ok(Self { connection })
    }

    pub(super) async fn summary(&mut self) -> Result<Summary> {
        self.read_summary().await.map_err(unavailable("read the queue"))
    }

    async fn read_summary(&mut self) -> sqlx::Result<Summary> {
        let batches = sqlx::query(
            "SELECT coalesce(max(last), 0), coalesce(sum(records), 0), coalesce(sum(bytes), 0) FROM batches",
        )
        .fetch_one(&mut self.connection)
        .await?;
        let positions = sqlx::query("SELECT consumer_group, committed FROM positions")
            .fetch_all(&mut self.connection)
            .await?;
        let positions: Vec<(String, u64)> =
            positions.iter().map(|row| (row.get(0), number(row, 1))).collect();
        // Once all is done and trimmed, only the positions remember how far the offsets went.
        let committed = positions.iter().map(|(_, committed)| *committed).max().unwrap_or(0);
        Ok(Summary {
            end: number(&batches, 0).max(committed),
            records: number(&batches, 1),
            bytes: number(&batches, 2),
            positions,
        })
    }

    /// Applies a change as a whole; it is durable when this returns. On an error nothing has changed.
    pub(super) async fn apply(&mut self, change: &Change) -> Result<Freed> {
        self.try_apply(change).await.map_err(unavailable("write the queue"))
    }

    async fn try_apply(&mut self, change: &Change) -> sqlx::Result<Freed> {
        let mut freed = Freed::default();
        if let ([(last, batch)], []) = (&change.batches[..], &change.positions[..]) {
            // The most frequent change needs no transaction of its own.
            insert(*last, batch, &mut self.connection).await?;
            return Ok(freed);
        }
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        for (last, batch) in &change.batches {
            insert(*last, batch, &mut transaction).await?;
        }
        for (group, committed) in &change.positions {
            sqlx::query(
                "INSERT OR REPLACE INTO positions (consumer_group, committed) VALUES (?, ?)",
            )
            .bind(group)
            .bind(*committed as i64)
            .execute(&mut *transaction)
            .await?;
        }
        if let Some(last) = change.trim {
            let rows = sqlx::query("DELETE FROM batches WHERE last <= ? RETURNING records, bytes")
                .bind(last as i64)
                .fetch_all(&mut *transaction)
                .await?;
            for row in rows {
                freed.records += number(&row, 0);
                freed.bytes += number(&row, 1);
            }
        }
        transaction.commit().await?;
        Ok(freed)
    }

    /// Moves the log into the file and closes it.
    pub(super) async fn close(self) {
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "the queue's file was not closed cleanly");
        }
    }
}

async fn insert(last: u64, batch: &Batch, into: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO batches (last, records, bytes, body) VALUES (?, ?, ?, ?)")
        .bind(last as i64)
        .bind(batch.records as i64)
        .bind(batch.bytes() as i64)
        .bind(&batch.body[..])
        .execute(into)
        .await?;
    Ok(())
}

/// A consumer's connection, for batches that are no longer in memory.
pub(super) struct Reader {
    connection: SqliteConnection,
}

impl Reader {
    pub(super) async fn open(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .thread_name(|_| "gpusher-queue-r".to_owned())
            .disable_statement_logging();
        let connection = SqliteConnection::connect_with(&options)
            .await
            .map_err(unavailable("open the queue"))?;
        Ok(Self { connection })
    }

    /// The batch that holds an offset, or the next one; with its last offset.
    pub(super) async fn read(&mut self, offset: u64) -> Result<Option<(u64, Batch)>> {
        let row = sqlx::query(
            "SELECT last, records, body FROM batches WHERE last >= ? ORDER BY last LIMIT 1",
        )
        .bind(offset as i64)
        .fetch_optional(&mut self.connection)
        .await
        .map_err(unavailable("read the queue"))?;
        Ok(row.map(|row| {
            let body: Vec<u8> = row.get(2);
            (number(&row, 0), Batch { records: number(&row, 1), body: body.into() })
        }))
    }
}

/// SQLite's integers are signed; all of ours were written from unsigned ones far below 2^63.
fn number(row: &sqlx::sqlite::SqliteRow, column: usize) -> u64 {
    row.get::<i64, _>(column) as u64
}

fn unavailable(what: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |error| Error::new(Code::Unavailable, format!("cannot {what}: {error}"))
}

#[cfg(test)]
impl Table {
    /// Pretends that another version wrote the file.
    pub(super) async fn set_format(&mut self, format: i64) {
        let sql = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {format}"));
        sqlx::raw_sql(sql).execute(&mut self.connection).await.unwrap();
    }
}
