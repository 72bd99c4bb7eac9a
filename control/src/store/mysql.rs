//! The store on MariaDB (10.6 and later) or MySQL (8.0 and later).
//!
//! What only one of the two understands is not used: no `RETURNING`. Lists go into statements as JSON that `JSON_TABLE` takes apart, and contents
//! as one blob with offsets, so that a batch of any size is the same few prepared statements.

mod accounts;
mod cursors;
mod json;
mod log;
mod piles;
mod purge;
mod recalls;
mod statuses;
#[cfg(test)]
mod tests;

use super::Store;
use super::rows::{AppRow, LetterRow, LogPage, UpstreamRow, UserRow, unsigned};
use super::server::batch::{
    AppendBatch, ChannelRow, CursorRow, DeviceRow, EntryRow, PileItem, ReserveBatch,
};
use super::server::engine::{Engine, Pile, PlacedRow, ServerOptions};
use super::server::failure::{Done, Failure, Verdict};
use super::server::{ServerMetrics, ServerStore};
use super::tally::{COLUMNS, Kept};
use crate::error::Result;
use gpusher_proto::data::{App, ReadPage, User};
use sqlx::error::DatabaseError;
use sqlx::mysql::{
    MySql, MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlPool, MySqlPoolOptions,
};
use sqlx::{ConnectOptions, Connection, Executor};
use std::sync::Arc;
use std::time::Duration;

/// Opens the store in a database of a MariaDB or MySQL server; brings its tables up to date. A server that does not answer is no error: it may
/// come later, and until then calls are `unavailable`.
///
/// # Errors
/// `invalid` if the URL is none, `unavailable` if the server refuses it, `internal` if a newer version made the tables.
pub async fn open(options: ServerOptions, metrics: ServerMetrics) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(ServerStore::<MySqlEngine>::open(options, metrics).await?))
}

/// A connection that has been idle for longer is asked whether it still lives.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// The statements that MariaDB and MySQL share.
struct MySqlEngine {
    pool: MySqlPool,
    timeout: Duration,
}

/// Locks of the rows that are changed and no more; text that does not fit is an error; nothing waits for ever.
async fn settle(connection: &mut MySqlConnection, timeout: Duration) -> sqlx::Result<()> {
    let (seconds, timeout_ms) = (timeout.as_secs().max(1), timeout.as_millis());
    let settings = format!(
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;
         SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES');
         SET SESSION innodb_lock_wait_timeout = {seconds}"
    );
    connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(settings))).await?;
    // The two name their limit of a statement differently; MySQL's is for reading only.
    for limit in [
        format!("SET SESSION max_statement_time = {}", timeout.as_secs_f64()),
        format!("SET SESSION max_execution_time = {timeout_ms}"),
    ] {
        match connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(limit))).await {
            Err(sqlx::Error::Database(cause)) if number(&*cause) == UNKNOWN_VARIABLE => {}
            result => {
                result?;
            }
        }
    }
    Ok(())
}

impl Engine for MySqlEngine {
    type Database = MySql;
    const NAME: &'static str = "MariaDB or MySQL";

    fn new(options: &ServerOptions) -> sqlx::Result<Self> {
        let connect: MySqlConnectOptions = options.url.reveal().parse()?;
        let connect = connect.disable_statement_logging();
        let timeout = options.call_timeout;
        let pool = MySqlPoolOptions::new()
            .max_connections(options.connections.max(1))
            .acquire_timeout(timeout / 4)
            .test_before_acquire(false)
            .before_acquire(|connection, about| {
                Box::pin(async move {
                    if about.idle_for > TRUSTED_IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(move |connection, _| Box::pin(settle(connection, timeout)))
            .connect_lazy_with(connect);
        Ok(Self { pool, timeout })
    }

    fn pool(&self) -> &MySqlPool {
        &self.pool
    }

    async fn prepare(&self) -> Done<u64> {
        // A connection of its own: should it fail, the lock of the migration goes with it. And who is not there says so at once.
        let mut connection = self.pool.connect_options().connect().await?;
        // The driver's own lock is none on MariaDB, which takes "for ever" for "not at all".
        let locked: Option<i64> =
            sqlx::query_scalar("SELECT GET_LOCK(CONCAT('gpusher/', SHA1(DATABASE())), ?)")
                .bind(self.timeout.as_secs_f64())
                .fetch_one(&mut connection)
                .await?;
        if locked != Some(1) {
            return Err(Failure::Lost);
        }
        let mut migrator = sqlx::migrate!("migrations/mysql");
        migrator.set_locking(false).run_direct(None, &mut connection, false).await?;
        let epoch = sqlx::query_scalar("SELECT value FROM meta WHERE name = 'epoch'")
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        Ok(unsigned(epoch))
    }

    fn judge(error: &dyn DatabaseError) -> Verdict {
        judge(number(error))
    }

    async fn create_app(&self, app: &App) -> Done<App> {
        accounts::create_app(&self.pool, app).await
    }

    async fn list_apps(&self) -> Done<Vec<AppRow>> {
        accounts::list_apps(&self.pool).await
    }

    async fn delete_app(&self, id: i64) -> Done<bool> {
        accounts::delete_app(&self.pool, id).await
    }

    async fn create_user(&self, user: &User) -> Done<Option<i64>> {
        accounts::create_user(&self.pool, user).await
    }

    async fn update_user(&self, user: &User) -> Done<bool> {
        accounts::update_user(&self.pool, user).await
    }

    async fn get_user(&self, uuid: &[u8]) -> Done<Option<UserRow>> {
        accounts::get_user(&self.pool, uuid).await
    }

    async fn list_users(&self, after: &[u8], limit: i64) -> Done<Vec<UserRow>> {
        accounts::list_users(&self.pool, after, limit).await
    }

    async fn delete_user(&self, uuid: &[u8]) -> Done<bool> {
        accounts::delete_user(&self.pool, uuid).await
    }

    async fn append(&self, batch: &AppendBatch) -> Done<Vec<i64>> {
        log::append(&self.pool, batch).await
    }

    async fn reserve(&self, batch: &ReserveBatch) -> Done<Vec<i64>> {
        log::reserve(&self.pool, batch).await
    }

    async fn read(
        &self,
        channel: &ChannelRow,
        after: i64,
        now_ms: i64,
        page: LogPage,
    ) -> Done<ReadPage> {
        log::read(&self.pool, channel, after, now_ms, page).await
    }

    async fn heads(&self, channels: &[ChannelRow]) -> Done<Vec<(i64, i64, i64)>> {
        log::heads(&self.pool, channels).await
    }

    async fn find_cursors(&self, devices: &[DeviceRow]) -> Done<Vec<(i64, i64, i64, i64)>> {
        cursors::find(&self.pool, devices).await
    }

    async fn register(&self, devices: &[DeviceRow]) -> Done<()> {
        cursors::register(&self.pool, devices).await
    }

    async fn advance(&self, moves: &[CursorRow]) -> Done<u64> {
        cursors::advance(&self.pool, moves).await
    }

    async fn recall(&self, message: i64, at_ms: i64) -> Done<Vec<PlacedRow>> {
        recalls::recall(&self.pool, message, at_ms).await
    }

    async fn recalled(&self, messages: &[i64]) -> Done<Vec<i64>> {
        recalls::recalled(&self.pool, messages).await
    }

    async fn marks(&self, message: i64, user: &[u8]) -> Done<(bool, bool)> {
        recalls::marks(&self.pool, message, user).await
    }

    async fn entry_for(&self, message: i64, user: &[u8]) -> Done<Option<EntryRow>> {
        recalls::entry_for(&self.pool, message, user).await
    }

    async fn passed(&self, entry: &EntryRow, message: i64, user: &[u8]) -> Done<bool> {
        recalls::passed(&self.pool, entry, message, user).await
    }

    async fn add_status(&self, rows: &[[i64; COLUMNS]]) -> Done<()> {
        statuses::add(&self.pool, rows).await
    }

    async fn get_status(&self, id: i64) -> Done<Option<[i64; COLUMNS]>> {
        statuses::get(&self.pool, id).await
    }

    async fn kept(&self, id: i64) -> Done<Option<Kept>> {
        statuses::kept(&self.pool, id).await
    }

    async fn add(&self, pile: Pile, items: &[PileItem]) -> Done<()> {
        piles::add(&self.pool, pile, items).await
    }

    async fn list_dead_letters(&self, app_id: i64, after: i64, limit: i64) -> Done<Vec<LetterRow>> {
        piles::list_dead_letters(&self.pool, app_id, after, limit).await
    }

    async fn list_upstream(&self, app_id: i64, after: i64, limit: i64) -> Done<Vec<UpstreamRow>> {
        piles::list_upstream(&self.pool, app_id, after, limit).await
    }

    async fn delete_up_to(&self, pile: Pile, app_id: i64, up_to: i64) -> Done<bool> {
        piles::delete_up_to(&self.pool, pile, app_id, up_to).await
    }
}

/// "Unknown system variable"
const UNKNOWN_VARIABLE: u16 = 1193;

fn number(error: &dyn DatabaseError) -> u16 {
    error.try_downcast_ref::<MySqlDatabaseError>().map_or(0, MySqlDatabaseError::number)
}

/// By error number (mariadb.com/docs/server/reference/error-codes); those above 1900 mean different things to the two.
fn judge(number: u16) -> Verdict {
    match number {
        // Deadlock; changed since it was read.
        1213 | 1020 => Verdict::Lost,
        1205 => Verdict::Away("it waited too long for a lock"),
        1021 | 1114 => Verdict::Away("its disk is full, free some space"),
        1040 | 1203 | 1226 => Verdict::Away("it has no connection left, raise its max_connections"),
        1290 | 1792 | 1836 => Verdict::Away("it only reads; name the primary server in store.url"),
        // Interrupted, too slow (MariaDB, MySQL).
        1317 | 1969 | 3024 => Verdict::Away("a statement took too long"),
        // Shutting down, or the connection was killed.
        1053 | 1077 | 1079 | 1080 | 1152 | 1158..=1161 | 1184 | 1927 => {
            Verdict::Away("it is going away")
        }
        1049 => Verdict::Denied("create the database, or correct store.url"),
        1045 | 1698 => Verdict::Denied("it refuses user or password of store.url"),
        1044 | 1142 | 1143 | 1227 => Verdict::Denied("the user of store.url needs more rights"),
        1048 | 1153 | 1264 | 1406 => Verdict::Invalid("it cannot hold that"),
        _ => Verdict::Unknown,
    }
}
