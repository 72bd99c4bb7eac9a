//! Group commit: one task owns the only writing connection, and calls that arrive together share a transaction.
//!
//! A transaction's price is the wait for the disk, so under load it is paid once for many calls, and an idle
//! store still answers a single call at once: nothing waits for company.

use super::failure::explain;
use crate::error::{Code, Error, Result};
use async_trait::async_trait;
use sqlx::{Connection, SqliteConnection};
use std::fs::File;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Calls in one transaction. More gain nothing, and make the first of them wait.
const GROUP_CALLS_MAX: usize = 256;
/// Calls that wait for the writer; beyond it callers wait to get in.
const WAITING_CALLS_MAX: usize = 1024;

/// One change. It may be applied twice: when its group fails it runs again by itself.
#[async_trait]
pub(super) trait Write: Send + Sync + 'static {
    /// What the caller gets once it is durable.
    type Output: Send + 'static;

    /// Makes the change inside the transaction that `connection` is in. An error rolls it back.
    async fn apply(&self, connection: &mut SqliteConnection) -> Result<Self::Output>;
}

/// The way to the writing task; the task ends, and lets go of the file, when this is dropped or closed.
pub(super) struct Writer {
    calls: mpsc::Sender<Box<dyn Call>>,
    stop: CancellationToken,
    stopped: CancellationToken,
}

impl Writer {
    /// Starts the task. `lock` is held for as long as it writes.
    pub(super) fn start(connection: SqliteConnection, lock: File) -> Self {
        let (calls, waiting) = mpsc::channel(WAITING_CALLS_MAX);
        let (stop, stopped) = (CancellationToken::new(), CancellationToken::new());
        let task = run(connection, waiting, lock, stop.clone());
        let end = stopped.clone().drop_guard();
        tokio::spawn(async move {
            task.await;
            drop(end);
        });
        Self { calls, stop, stopped }
    }

    /// Refuses further changes, and returns when those that wait are made and the file is free.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        self.stopped.cancelled().await;
    }

    /// Makes a change; durable when this returns. A caller that goes away in between does not stop it.
    pub(super) async fn write<W: Write>(&self, write: W) -> Result<W::Output> {
        let (reply, outcome) = oneshot::channel();
        let call = Box::new(Pending { write, output: None, reply });
        self.calls.send(call).await.map_err(|_| stopped())?;
        outcome.await.map_err(|_| stopped())?
    }
}

fn stopped() -> Error {
    Error::new(Code::Unavailable, "the store is closed")
}

/// A [`Write`] and its caller, without their types.
#[async_trait]
trait Call: Send {
    async fn apply(&mut self, connection: &mut SqliteConnection) -> Result<()>;
    /// Tells the caller how its transaction ended.
    fn finish(self: Box<Self>, outcome: Result<()>);
}

struct Pending<W: Write> {
    write: W,
    output: Option<W::Output>,
    reply: oneshot::Sender<Result<W::Output>>,
}

#[async_trait]
impl<W: Write> Call for Pending<W> {
    async fn apply(&mut self, connection: &mut SqliteConnection) -> Result<()> {
        self.output = Some(self.write.apply(connection).await?);
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<()>) {
        let Self { output, reply, .. } = *self;
        let output = outcome.map(|()| output.expect("a committed call has been applied"));
        // The caller may have given up; the change stands.
        let _ = reply.send(output);
    }
}

async fn run(
    mut connection: SqliteConnection,
    mut waiting: mpsc::Receiver<Box<dyn Call>>,
    lock: File,
    stop: CancellationToken,
) {
    let mut group = Vec::with_capacity(GROUP_CALLS_MAX);
    loop {
        let calls = tokio::select! {
            calls = waiting.recv_many(&mut group, GROUP_CALLS_MAX) => calls,
            () = stop.cancelled(), if !waiting.is_closed() => {
                waiting.close();
                continue;
            }
        };
        if calls == 0 {
            break;
        }
        let outcome = commit(&mut connection, &mut group).await;
        let alone = group.len() == 1;
        for mut call in group.drain(..) {
            let outcome = match &outcome {
                // One call's fault must not become its neighbours'.
                Err(_) if !alone => commit(&mut connection, std::slice::from_mut(&mut call)).await,
                outcome => outcome.clone(),
            };
            call.finish(outcome);
        }
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "closing the store");
    }
    drop(lock);
}

/// Makes the changes in one transaction; an error leaves none of them.
///
/// By statements of our own: when the disk is full or fails, SQLite rolls back by itself, which `sqlx::Transaction` does not notice. It
/// would take the connection for one inside a transaction for ever.
async fn commit(connection: &mut SqliteConnection, group: &mut [Box<dyn Call>]) -> Result<()> {
    let outcome = try_commit(connection, group).await;
    if outcome.is_err() {
        // Refused where SQLite has done it; what else keeps it from being done fails the next BEGIN, and is told by that.
        let _ = execute(connection, "ROLLBACK").await;
    }
    outcome
}

async fn try_commit(connection: &mut SqliteConnection, group: &mut [Box<dyn Call>]) -> Result<()> {
    execute(connection, "BEGIN IMMEDIATE").await?;
    for call in group {
        call.apply(connection).await?;
    }
    execute(connection, "COMMIT").await
}

async fn execute(connection: &mut SqliteConnection, statement: &'static str) -> Result<()> {
    sqlx::query(statement).execute(connection).await.map(drop).map_err(explain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::ConnectOptions;
    use sqlx::sqlite::SqliteConnectOptions;

    /// A row of so many bytes.
    struct Row(i64);

    #[async_trait]
    impl Write for Row {
        type Output = ();

        async fn apply(&self, connection: &mut SqliteConnection) -> Result<()> {
            let row = sqlx::query("INSERT INTO t VALUES (zeroblob(?))").bind(self.0);
            row.execute(connection).await.map(drop).map_err(explain)
        }
    }

    #[tokio::test]
    async fn a_disk_that_was_full_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let mut connection = options.connect().await.unwrap();
        let tables = "CREATE TABLE t (x BLOB); PRAGMA max_page_count = 8";
        sqlx::raw_sql(tables).execute(&mut connection).await.unwrap();
        let writer = Writer::start(connection, File::create(folder.path().join("lock")).unwrap());
        for _ in 0..3 {
            let full = writer.write(Row(100_000)).await.unwrap_err();
            assert_eq!(full.code, Code::Unavailable, "{full}");
            writer.write(Row(10)).await.unwrap();
        }
        writer.close().await;
        let mut connection = options.connect().await.unwrap();
        let rows = sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(&mut connection);
        let rows: i64 = rows.await.unwrap();
        assert_eq!(rows, 3);
    }
}
