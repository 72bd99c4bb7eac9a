//! The store on PostgreSQL.
//!
//! Lists go into statements as arrays that `unnest` takes apart, so that a batch of any size is the same prepared statement and, where it
//! can be, one round trip and a transaction by itself.

mod accounts;
mod cursors;
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
use super::server::failure::{Done, Verdict};
use super::server::{ServerMetrics, ServerStore};
use super::tally::{COLUMNS, Kept};
use crate::error::Result;
use gpusher_proto::data::{App, ReadPage, User};
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, Postgres};
use sqlx::{ConnectOptions, Connection, Executor};
use std::sync::Arc;
use std::time::Duration;

/// Opens the store in a PostgreSQL database, 13 or later; brings its tables up to date. A server that does not answer is no error: it may
/// come later, and until then calls are `unavailable`.
///
/// # Errors
/// `invalid` if the URL is none, `unavailable` if the server refuses it, `internal` if a newer version made the tables.
pub async fn open(options: ServerOptions, metrics: ServerMetrics) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(ServerStore::<PostgresEngine>::open(options, metrics).await?))
}

/// A connection that has been idle for longer is asked whether it still lives.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// PostgreSQL's statements.
struct PostgresEngine {
    pool: PgPool,
}

impl Engine for PostgresEngine {
    type Database = Postgres;
    const NAME: &'static str = "PostgreSQL";

    fn new(options: &ServerOptions) -> sqlx::Result<Self> {
        let connect: PgConnectOptions = options.url.reveal().parse()?;
        let connect = connect.application_name("gpusher").disable_statement_logging();
        let timeout_ms = options.call_timeout.as_millis();
        // A plan made without knowing how long a list is takes it for short, and walks two of them in one another's loop.
        let settings = format!(
            "SET statement_timeout = {timeout_ms};
             SET idle_in_transaction_session_timeout = {timeout_ms};
             SET plan_cache_mode = force_custom_plan"
        );
        let pool = PgPoolOptions::new()
            .max_connections(options.connections.max(1))
            .acquire_timeout(options.call_timeout / 4)
            .test_before_acquire(false)
            .before_acquire(|connection, about| {
                Box::pin(async move {
                    if about.idle_for > TRUSTED_IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(move |connection, _| {
                let settings = sqlx::AssertSqlSafe(settings.clone());
                Box::pin(async move {
                    connection.execute(sqlx::raw_sql(settings)).await?;
                    Ok(())
                })
            })
            .connect_lazy_with(connect);
        Ok(Self { pool })
    }

    fn pool(&self) -> &PgPool {
        &self.pool
    }

    async fn prepare(&self) -> Done<u64> {
        // A connection of its own: should it fail, the lock of the migration goes with it. And who is not there says so at once.
        let mut connection = self.pool.connect_options().connect().await?;
        sqlx::migrate!("migrations/postgres").run_direct(None, &mut connection, false).await?;
        let epoch = sqlx::query_scalar("SELECT value FROM meta WHERE name = 'epoch'")
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        Ok(unsigned(epoch))
    }

    fn judge(error: &dyn DatabaseError) -> Verdict {
        judge(error.code().as_deref().unwrap_or_default())
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

/// By SQLSTATE (postgresql.org/docs/current/errcodes-appendix.html).
fn judge(code: &str) -> Verdict {
    match code {
        // Serialization failure, deadlock.
        "40001" | "40P01" => Verdict::Lost,
        "53100" => Verdict::Away("its disk is full, free some space"),
        "53300" => Verdict::Away("it has no connection left, raise its max_connections"),
        "25006" => Verdict::Away("it only reads; name the primary server in store.url"),
        "57014" => Verdict::Away("a statement took too long"),
        "3D000" => Verdict::Denied("create the database, or correct store.url"),
        "42501" => Verdict::Denied("the user of store.url needs more rights"),
        _ => match code.get(..2) {
            Some("08" | "53" | "55" | "57" | "58") => Verdict::Away("it cannot now"),
            Some("28") => Verdict::Denied("it refuses user or password of store.url"),
            Some("22" | "54") => Verdict::Invalid("it cannot hold that"),
            _ => Verdict::Unknown,
        },
    }
}
