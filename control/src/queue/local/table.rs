//! The file: batches of records and the groups' committed positions.

use super::batch::Batch;
use crate::error::{Code, Error, Result};
use crate::store::sqlite::Durability;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, TransactionBehavior, params};
use std::path::Path;

/// Kept in the file; a file of another format is refused.
const FORMAT: i64 = 1;

/// Pages of the write-ahead log before it is copied into the file. Once it was as long as this it is overwritten in place, and a sync then
/// has no new length of the file to write down: so it is rather short.
const CHECKPOINT_PAGES: i64 = 1024;
/// What the write-ahead log is cut to after a checkpoint.
const LOG_BYTES: i64 = 64 << 20;

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

/// The writer's connection. Its calls wait for the disk: they belong on a thread of their own.
pub(super) struct Table {
    connection: Connection,
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
    pub(super) fn open(path: &Path, durability: Durability) -> Result<Self> {
        let connection = Connection::open(path).map_err(unavailable("open the queue"))?;
        let format: i64 = connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(unavailable("read the queue"))?;
        if format != 0 && format != FORMAT {
            let text = format!("{} has format {format}, not {FORMAT}", path.display());
            return Err(Error::new(Code::Unavailable, text));
        }
        set_up(&connection, durability).map_err(unavailable("prepare the queue"))?;
        Ok(Self { connection })
    }

    pub(super) fn summary(&self) -> Result<Summary> {
        self.read_summary().map_err(unavailable("read the queue"))
    }

    fn read_summary(&self) -> rusqlite::Result<Summary> {
        let (last, records, bytes) = self.connection.query_row(
            "SELECT coalesce(max(last), 0), coalesce(sum(records), 0), coalesce(sum(bytes), 0) FROM batches",
            [],
            |row| Ok((number(row, 0)?, number(row, 1)?, number(row, 2)?)),
        )?;
        let mut statement =
            self.connection.prepare("SELECT consumer_group, committed FROM positions")?;
        let positions: Vec<(String, u64)> = statement
            .query_map([], |row| Ok((row.get(0)?, number(row, 1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        // Once all is done and trimmed, only the positions remember how far the offsets went.
        let committed = positions.iter().map(|(_, committed)| *committed).max().unwrap_or(0);
        Ok(Summary { end: last.max(committed), records, bytes, positions })
    }

    /// Applies a change as a whole; it is durable when this returns. On an error nothing has changed.
    pub(super) fn apply(&mut self, change: &Change) -> Result<Freed> {
        self.try_apply(change).map_err(unavailable("write the queue"))
    }

    fn try_apply(&mut self, change: &Change) -> rusqlite::Result<Freed> {
        let mut freed = Freed::default();
        if let ([(last, batch)], []) = (&change.batches[..], &change.positions[..]) {
            // The most frequent change needs no transaction of its own.
            insert(*last, batch, &self.connection)?;
            return Ok(freed);
        }
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (last, batch) in &change.batches {
            insert(*last, batch, &transaction)?;
        }
        for (group, committed) in &change.positions {
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO positions (consumer_group, committed) VALUES (?, ?)",
                )?
                .execute(params![group, *committed as i64])?;
        }
        if let Some(last) = change.trim {
            let mut statement = transaction
                .prepare_cached("DELETE FROM batches WHERE last <= ? RETURNING records, bytes")?;
            let mut rows = statement.query([last as i64])?;
            while let Some(row) = rows.next()? {
                freed.records += number(row, 0)?;
                freed.bytes += number(row, 1)?;
            }
        }
        transaction.commit()?;
        Ok(freed)
    }

    /// Moves the log into the file and closes it.
    pub(super) fn close(self) {
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "the queue's file was not closed cleanly");
        }
    }
}

fn set_up(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Normal => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    connection.execute_batch(SCHEMA)
}

fn insert(last: u64, batch: &Batch, into: &Connection) -> rusqlite::Result<()> {
    into.prepare_cached("INSERT INTO batches (last, records, bytes, body) VALUES (?, ?, ?, ?)")?
        .execute(params![
            last as i64,
            batch.records as i64,
            batch.bytes() as i64,
            &batch.body[..]
        ])?;
    Ok(())
}

/// A consumer's connection, for batches that are no longer in memory.
pub(super) struct Reader {
    connection: Connection,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(path, flags).map_err(unavailable("open the queue"))?;
        Ok(Self { connection })
    }

    /// The batch that holds an offset, or the next one; with its last offset.
    pub(super) fn read(&self, offset: u64) -> Result<Option<(u64, Batch)>> {
        self.try_read(offset).map_err(unavailable("read the queue"))
    }

    fn try_read(&self, offset: u64) -> rusqlite::Result<Option<(u64, Batch)>> {
        self.connection
            .prepare_cached(
                "SELECT last, records, body FROM batches WHERE last >= ? ORDER BY last LIMIT 1",
            )?
            .query_row([offset as i64], |row| {
                let body: Vec<u8> = row.get(2)?;
                Ok((number(row, 0)?, Batch { records: number(row, 1)?, body: body.into() }))
            })
            .optional()
    }
}

/// SQLite's integers are signed; all of ours were written from unsigned ones far below 2^63.
fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|number| number as u64)
}

fn unavailable(what: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |error| Error::new(Code::Unavailable, format!("cannot {what}: {error}"))
}

#[cfg(test)]
impl Table {
    /// Pretends that another version wrote the file.
    pub(super) fn set_format(&mut self, format: i64) {
        self.connection.pragma_update(None, "user_version", format).unwrap();
    }
}
