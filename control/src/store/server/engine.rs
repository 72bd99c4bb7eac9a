//! What a database server has to do for a store, statement by statement. Checks, order, repetition and time limits are `ServerStore`'s.

use super::batch::{
    AppendBatch, ChannelRow, CursorRow, DeviceRow, EntryRow, PileItem, ReserveBatch,
};
use super::failure::{Done, Verdict};
use crate::server_url::ServerUrl;
use crate::store::rows::{AppRow, LetterRow, LogPage, UpstreamRow, UserRow};
use crate::store::tally::{COLUMNS, Kept};
use gpusher_proto::data::{App, ReadPage, User};
use sqlx::{Database, Pool};
use std::future::Future;
use std::time::Duration;

/// How a store is reached.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The server, the database, the user; the engine's parameters for TLS.
    pub url: ServerUrl,
    /// Connections at most. Calls beyond wait for one.
    pub connections: u32,
    /// A call that takes longer is given up. The server gives up a statement at the same time.
    pub call_timeout: Duration,
}

/// What applications read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Pile {
    DeadLetters,
    Upstream,
}

/// Where an entry was: (log, sequence, message).
pub(in crate::store) type Gone = (i64, i64, i64);

/// Where a message is: (kind, app, name, sequence).
pub(in crate::store) type PlacedRow = (i64, i64, Vec<u8>, i64);

/// A user, by app and name.
pub(in crate::store) type UserKey = (i64, Vec<u8>);

/// What a removed app leaves behind beside its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Leftover {
    /// Empty logs.
    Logs,
    DeadLetters,
    Upstream,
    Cursors,
}

/// What is kept for applications and operators to look up, and notes of recalls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Report {
    Statuses,
    DeadLetters,
    Upstream,
    Recalls,
}

/// The connection of an engine.
pub(in crate::store) type Connection<E> = <<E as Engine>::Database as Database>::Connection;

/// A database server. Methods that change something are atomic; a batch locks rows in its own order.
pub(in crate::store) trait Engine: Sized + Send + Sync + 'static {
    /// The driver.
    type Database: Database;
    /// The server's name, for messages.
    const NAME: &'static str;

    /// Nothing is asked yet.
    fn new(options: &ServerOptions) -> sqlx::Result<Self>;
    fn pool(&self) -> &Pool<Self::Database>;
    /// Brings the tables up to date; the epoch.
    fn prepare(&self) -> impl Future<Output = Done<u64>> + Send;
    /// What an error of the server means.
    fn judge(error: &dyn sqlx::error::DatabaseError) -> Verdict;

    fn create_app(&self, app: &App) -> impl Future<Output = Done<App>> + Send;
    fn list_apps(&self) -> impl Future<Output = Done<Vec<AppRow>>> + Send;
    fn delete_app(&self, id: i64) -> impl Future<Output = Done<bool>> + Send;

    /// The user's id, which is chosen if it is 0; none if uuid, username or id is taken.
    fn create_user(&self, user: &User) -> impl Future<Output = Done<Option<i64>>> + Send;
    /// An unique violation if the username is taken.
    fn update_user(&self, user: &User) -> impl Future<Output = Done<bool>> + Send;
    fn get_user(&self, uuid: &[u8]) -> impl Future<Output = Done<Option<UserRow>>> + Send;
    fn list_users(
        &self,
        after: &[u8],
        limit: i64,
    ) -> impl Future<Output = Done<Vec<UserRow>>> + Send;
    fn delete_user(&self, uuid: &[u8]) -> impl Future<Output = Done<bool>> + Send;

    /// A number per entry of the batch. Whoever gets a number of a log holds the log's row until the entries can be read.
    fn append(&self, batch: &AppendBatch) -> impl Future<Output = Done<Vec<i64>>> + Send;
    /// The last number of each log of the batch, which ends the range taken.
    fn reserve(&self, batch: &ReserveBatch) -> impl Future<Output = Done<Vec<i64>>> + Send;
    fn read(
        &self,
        channel: &ChannelRow,
        after: i64,
        now_ms: i64,
        page: LogPage,
    ) -> impl Future<Output = Done<ReadPage>> + Send;
    /// (index, end of what retention cut, last number) of those there are.
    fn heads(
        &self,
        channels: &[ChannelRow],
    ) -> impl Future<Output = Done<Vec<(i64, i64, i64)>>> + Send;

    /// (index, own, app, everyone) of those there are.
    fn find_cursors(
        &self,
        devices: &[DeviceRow],
    ) -> impl Future<Output = Done<Vec<(i64, i64, i64, i64)>>> + Send;
    /// Makes devices known, at their user's furthest; those that are known stay.
    fn register(&self, devices: &[DeviceRow]) -> impl Future<Output = Done<()>> + Send;
    /// Moves the cursors of devices that are known, how many those were; and notes the users for the purge.
    fn advance(&self, moves: &[CursorRow]) -> impl Future<Output = Done<u64>> + Send;

    /// Notes a recall; where the message is.
    fn recall(&self, message: i64, at_ms: i64)
    -> impl Future<Output = Done<Vec<PlacedRow>>> + Send;
    /// Those of these messages that are recalled.
    fn recalled(&self, messages: &[i64]) -> impl Future<Output = Done<Vec<i64>>> + Send;
    /// Whether a message is recalled, and whether it is a dead letter of a user.
    fn marks(&self, message: i64, user: &[u8]) -> impl Future<Output = Done<(bool, bool)>> + Send;
    /// The entry of a message that is for a user: of his own log first, then of those that he shares.
    fn entry_for(
        &self,
        message: i64,
        user: &[u8],
    ) -> impl Future<Output = Done<Option<EntryRow>>> + Send;
    /// Whether a cursor of the user has passed the entry, other than by way of the dead letters.
    fn passed(
        &self,
        entry: &EntryRow,
        message: i64,
        user: &[u8],
    ) -> impl Future<Output = Done<bool>> + Send;

    /// Rows in the order of locking, each id once.
    fn add_status(&self, rows: &[[i64; COLUMNS]]) -> impl Future<Output = Done<()>> + Send;
    fn get_status(&self, id: i64) -> impl Future<Output = Done<Option<[i64; COLUMNS]>>> + Send;
    /// A kept message.
    fn kept(&self, id: i64) -> impl Future<Output = Done<Option<Kept>>> + Send;

    /// Files what is not filed yet, at positions that are seen in their order.
    fn add(&self, pile: Pile, items: &[PileItem]) -> impl Future<Output = Done<()>> + Send;
    fn list_dead_letters(
        &self,
        app_id: i64,
        after: i64,
        limit: i64,
    ) -> impl Future<Output = Done<Vec<LetterRow>>> + Send;
    fn list_upstream(
        &self,
        app_id: i64,
        after: i64,
        limit: i64,
    ) -> impl Future<Output = Done<Vec<UpstreamRow>>> + Send;
    fn delete_up_to(
        &self,
        pile: Pile,
        app_id: i64,
        up_to: i64,
    ) -> impl Future<Output = Done<bool>> + Send;
}

/// A purge's statements, inside its transaction. Only one purge is under way at a time: nobody else takes entries away.
pub(in crate::store) trait PurgeStatements: Engine {
    /// Whether no other purge is under way; until the transaction ends, none will be.
    fn begin_purge(connection: &mut Connection<Self>) -> impl Future<Output = Done<bool>> + Send;

    fn expired(
        connection: &mut Connection<Self>,
        now_ms: i64,
        limit: i64,
    ) -> impl Future<Output = Done<Vec<Gone>>> + Send;
    /// Entries accepted before a time, the oldest first.
    fn old_entries(
        connection: &mut Connection<Self>,
        before_ms: i64,
        limit: i64,
    ) -> impl Future<Output = Done<Vec<Gone>>> + Send;
    /// (log, entries too many).
    fn full_logs(
        connection: &mut Connection<Self>,
        entries_max: i64,
        limit: i64,
    ) -> impl Future<Output = Done<Vec<(i64, i64)>>> + Send;
    fn oldest_entries(
        connection: &mut Connection<Self>,
        log: i64,
        limit: i64,
    ) -> impl Future<Output = Done<Vec<Gone>>> + Send;
    fn removed_apps_entries(
        connection: &mut Connection<Self>,
        limit: i64,
    ) -> impl Future<Output = Done<Vec<Gone>>> + Send;

    /// Users who are due to be looked at.
    fn acknowledging_users(
        connection: &mut Connection<Self>,
        now_ms: i64,
        limit: i64,
    ) -> impl Future<Output = Done<Vec<UserKey>>> + Send;
    /// Entries of the users' own logs that all their devices have, accepted before a time.
    fn acknowledged(
        connection: &mut Connection<Self>,
        users: &[UserKey],
        before_ms: i64,
        limit: i64,
    ) -> impl Future<Output = Done<Vec<Gone>>> + Send;
    /// When the oldest of the entries that all devices have was accepted: (index of the user, time).
    fn oldest_acknowledged(
        connection: &mut Connection<Self>,
        users: &[UserKey],
    ) -> impl Future<Output = Done<Vec<(i64, i64)>>> + Send;
    /// When to look at users again; none: when they acknowledge again.
    fn look_again(
        connection: &mut Connection<Self>,
        users: &[(UserKey, Option<i64>)],
    ) -> impl Future<Output = Done<()>> + Send;

    fn delete_entries(
        connection: &mut Connection<Self>,
        gone: &[Gone],
    ) -> impl Future<Output = Done<()>> + Send;
    /// Logs in the order of locking: (log, entries fewer, end of the cut or 0).
    fn shrink_logs(
        connection: &mut Connection<Self>,
        logs: &[(i64, i64, i64)],
    ) -> impl Future<Output = Done<()>> + Send;
    /// Removes those of the messages, in the order of locking, that are in no log.
    fn delete_orphans(
        connection: &mut Connection<Self>,
        messages: &[i64],
    ) -> impl Future<Output = Done<()>> + Send;

    fn delete_reports(
        connection: &mut Connection<Self>,
        report: Report,
        before_ms: i64,
        limit: i64,
    ) -> impl Future<Output = Done<u64>> + Send;
    fn delete_leftovers(
        connection: &mut Connection<Self>,
        leftover: Leftover,
        limit: i64,
    ) -> impl Future<Output = Done<u64>> + Send;
}
