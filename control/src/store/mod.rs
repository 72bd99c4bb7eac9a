//! Users, apps, message logs, cursors, statuses, dead letters: what outlives every process.
//!
//! The trait mirrors the `Store` service of `proto/data.proto`, whose comments are its contract; every backend
//! passes `suite`.

#[cfg(feature = "mysql")]
pub mod mysql;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod remote;
mod rows;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server;
pub mod sqlite;
#[cfg(any(test, feature = "suites"))]
pub mod suite;
mod tally;

pub use self::remote::RemoteStore;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub use self::server::{ServerMetrics, ServerOptions};
pub use self::sqlite::{Durability, SqliteOptions, SqliteStore};

use crate::error::{Code, Error, Result};
use async_trait::async_trait;
use gpusher_proto::data::*;
use gpusher_proto::gateway::ChannelKind;
use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// Most items of one page; asked for 0 or more, this many come.
pub const PAGE_MAX: u32 = 1000;
/// Most bytes of pushes in one page, unless a single one has more; asked for 0 or more, this many come.
pub const READ_BYTES_MAX: usize = 4 << 20;
/// Rows that a purge removes when asked for 0.
pub const PURGE_BATCH: u32 = 1000;
/// An acknowledged message stays in its log until it was accepted this long ago: a queue record that is worked on again after a
/// crash then finds the sequence that the message has, and the client recognises the repeat.
pub const REPEAT_WINDOW_MS: i64 = 10 * 60 * 1000;

/// The durable part of the data layer. Methods take batches; a call is durable when it returns.
#[async_trait]
pub trait Store: Send + Sync {
    /// Adds an app. `already_exists` if its tag or id is taken, or the id was once; id 0 lets the store choose.
    async fn create_app(&self, app: App) -> Result<App>;
    /// All apps, by id.
    async fn list_apps(&self) -> Result<Vec<App>>;
    /// Removes an app; its logs go with the next purges.
    async fn delete_app(&self, id: u32) -> Result<bool>;

    /// Adds a user. `already_exists` if uuid, username or user id is taken.
    async fn create_user(&self, user: User) -> Result<User>;
    /// Changes a user other than its uuid and id; an empty password hash leaves the old one.
    async fn update_user(&self, user: User) -> Result<bool>;
    /// Looks a user up by uuid.
    async fn get_user(&self, uuid: &str) -> Result<Option<User>>;
    /// Users after a uuid, in order.
    async fn list_users(&self, after: &str, limit: u32) -> Result<Vec<User>>;
    /// Removes a user.
    async fn delete_user(&self, uuid: &str) -> Result<bool>;

    /// Appends kept messages to their logs; returns a sequence per entry. Idempotent by (channel, message id).
    ///
    /// A push is stored as given, once for all its channels: a caller that has no use for `users` when reading it leaves it empty.
    async fn append(&self, entries: Vec<Append>) -> Result<Vec<u64>>;
    /// Takes sequence numbers for live messages; returns the first of each range.
    async fn reserve(&self, entries: Vec<Reserve>) -> Result<Vec<u64>>;
    /// Kept messages of one channel after a sequence: neither expired nor recalled, oldest first.
    async fn read(&self, request: ReadRequest) -> Result<ReadPage>;
    /// Where each log begins and the last sequence given out. From `first` on, every kept message is there except what
    /// expired or every device acknowledged: a reader at a position below `first - 1` has lost something to retention.
    async fn heads(&self, channels: Vec<Channel>) -> Result<Vec<Head>>;
    /// Cursors per device asked for; a new device starts at its user's furthest, a new user at 0. Makes the devices known:
    /// from then on their users' own messages are kept for them too.
    async fn get_cursors(&self, devices: Vec<DeviceKey>) -> Result<Vec<Cursors>>;
    /// Moves cursors forward only.
    async fn advance_cursors(&self, updates: Vec<CursorUpdate>) -> Result<()>;
    /// Withdraws a kept message; returns where it was. One that is appended later is withdrawn as well.
    async fn recall(&self, message: u64) -> Result<Vec<Placed>>;
    /// Those of these messages that were recalled, in any order.
    async fn recalled(&self, messages: Vec<u64>) -> Result<Vec<u64>>;

    /// Adds to the counters of pushes. What is not a counter is set by the first delta that has it.
    async fn add_status(&self, deltas: Vec<Status>) -> Result<()>;
    /// The counters of one push. Of a kept one, what it is stays known as long as it is in a log, even if its counters were lost.
    async fn get_status(&self, message: u64) -> Result<Option<Status>>;
    /// Where a kept push stands for one user, as long as it is in a log.
    async fn get_user_status(&self, message: u64, user: &str) -> Result<UserStatus>;

    /// Files dead letters. Idempotent by (message id, device).
    async fn add_dead_letters(&self, letters: Vec<DeadLetter>) -> Result<()>;
    /// Dead letters of an app after a position. A page may be shorter than asked for; an empty one is the end.
    async fn list_dead_letters(&self, page: AppPage) -> Result<Vec<DeadLetter>>;
    /// Removes dead letters up to a position.
    async fn delete_dead_letters(&self, app_id: u32, up_to: u64) -> Result<bool>;

    /// Files clients' messages to the application. Idempotent by message id.
    async fn add_upstream(&self, messages: Vec<UpstreamMessage>) -> Result<()>;
    /// Clients' messages of an app after a position. A page may be shorter than asked for; an empty one is the end.
    async fn list_upstream(&self, page: AppPage) -> Result<Vec<UpstreamMessage>>;
    /// Removes clients' messages up to a position.
    async fn delete_upstream(&self, app_id: u32, up_to: u64) -> Result<bool>;

    /// Epoch of the logs.
    async fn epoch(&self) -> Result<u64>;
    /// Removes what is expired, acknowledged by all devices, or beyond retention. A limit of 0 is none.
    async fn purge(&self, request: PurgeRequest) -> Result<PurgeResult>;

    /// Refuses further calls, finishes those under way and lets go of the file or connection.
    async fn close(&self) {}
}

/// Refuses what no push is: 0 is no message's id.
fn check_push(push: Option<&Push>) -> Result<()> {
    match push {
        Some(push) if push.id != 0 => Ok(()),
        _ => Err(invalid("a push with an id is missing")),
    }
}

/// What the ids of apps that the store chooses are above: the id of the app that every store begins with.
const FIRST_APP_ID: u32 = 1000;

/// The id after the highest that there is or was.
fn next_app_id(highest: i64) -> Result<u32> {
    u32::try_from(highest.max(FIRST_APP_ID.into()) + 1)
        .map_err(|_| invalid("the highest id is taken, name a free one"))
}

fn app_removed(app: &App) -> Error {
    let text = format!("app {} was removed, and its id is not given again", app.id);
    Error::new(Code::AlreadyExists, text)
}

fn app_taken(app: &App) -> Error {
    let text = format!("the tag {:?} or the id {} is taken", app.tag, app.id);
    Error::new(Code::AlreadyExists, text)
}

fn user_taken() -> Error {
    Error::new(Code::AlreadyExists, "the uuid, the username or the user id is taken")
}

fn invalid(text: &str) -> Error {
    Error::new(Code::Invalid, text)
}

/// Refuses what names no log.
fn check_channel(channel: Option<&Channel>) -> Result<()> {
    let channel = channel.ok_or_else(|| invalid("a channel is missing"))?;
    let kind =
        ChannelKind::try_from(channel.kind).map_err(|_| invalid("no such kind of channel"))?;
    let named = !channel.name.is_empty();
    match kind {
        ChannelKind::Own | ChannelKind::Topic if !named => Err(invalid("the channel needs a name")),
        ChannelKind::App | ChannelKind::Everyone if named => {
            Err(invalid("the channel has no name"))
        }
        ChannelKind::Everyone if channel.app_id != 0 => Err(invalid("the channel is of no app")),
        _ => Ok(()),
    }
}

/// One update per device: a statement must not meet the same row twice. Cursors: own, app, everyone.
fn furthest_per_device(updates: &[CursorUpdate]) -> HashMap<&DeviceKey, [i64; 3]> {
    let mut furthest = HashMap::<&DeviceKey, [i64; 3]>::new();
    for update in updates {
        let (Some(device), Some(cursors)) = (&update.device, &update.cursors) else { continue };
        let [own, app, everyone] = furthest.entry(device).or_default();
        *own = rows::position(cursors.own).max(*own);
        *app = rows::position(cursors.app).max(*app);
        *everyone = rows::position(cursors.everyone).max(*everyone);
    }
    furthest
}

fn page_limit(limit: u32) -> u32 {
    if limit == 0 { PAGE_MAX } else { limit.min(PAGE_MAX) }
}

/// The wall clock, for records that carry no time of their own.
fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
