//! Users, apps, message logs, cursors, statuses, dead letters: what outlives every process.
//!
//! The trait mirrors the `Store` service of `proto/data.proto`, whose comments are its contract; every backend
//! passes `suite`.

use crate::error::Result;
use async_trait::async_trait;
use gpusher_proto::data::*;

/// The durable part of the data layer. Methods take batches; a call is durable when it returns.
#[async_trait]
pub trait Store: Send + Sync {
    /// Adds an app. `already_exists` if its tag or id is taken; id 0 lets the store choose.
    async fn create_app(&self, app: App) -> Result<App>;
    /// All apps, by id.
    async fn list_apps(&self) -> Result<Vec<App>>;
    /// Removes an app; its logs go with the next purges.
    async fn delete_app(&self, id: u32) -> Result<bool>;

    /// Adds a user. `already_exists` if uuid or username is taken.
    async fn create_user(&self, user: User) -> Result<User>;
    /// Changes a user; an empty password hash leaves the old one.
    async fn update_user(&self, user: User) -> Result<bool>;
    /// Looks a user up by uuid.
    async fn get_user(&self, uuid: &str) -> Result<Option<User>>;
    /// Users after a uuid, in order.
    async fn list_users(&self, after: &str, limit: u32) -> Result<Vec<User>>;
    /// Removes a user.
    async fn delete_user(&self, uuid: &str) -> Result<bool>;

    /// Appends kept messages to their logs; returns a sequence per entry. Idempotent by (channel, message id).
    async fn append(&self, entries: Vec<Append>) -> Result<Vec<u64>>;
    /// Takes sequence numbers for live messages; returns the first of each range.
    async fn reserve(&self, entries: Vec<Reserve>) -> Result<Vec<u64>>;
    /// Kept messages of one channel after a sequence: neither expired nor recalled, oldest first.
    async fn read(&self, request: ReadRequest) -> Result<ReadPage>;
    /// First sequence still in each log and last one given out.
    async fn heads(&self, channels: Vec<Channel>) -> Result<Vec<Head>>;
    /// Cursors per device asked for; a new device starts at its user's furthest, a new user at 0.
    async fn get_cursors(&self, devices: Vec<DeviceKey>) -> Result<Vec<Cursors>>;
    /// Moves cursors forward only.
    async fn advance_cursors(&self, updates: Vec<CursorUpdate>) -> Result<()>;
    /// Withdraws a kept message; returns where it was.
    async fn recall(&self, message: u64) -> Result<Vec<Placed>>;

    /// Adds to the counters of pushes.
    async fn add_status(&self, deltas: Vec<Status>) -> Result<()>;
    /// The counters of one push.
    async fn get_status(&self, message: u64) -> Result<Option<Status>>;
    /// Where a kept push stands for one user.
    async fn get_user_status(&self, message: u64, user: &str) -> Result<UserStatus>;

    /// Files dead letters.
    async fn add_dead_letters(&self, letters: Vec<DeadLetter>) -> Result<()>;
    /// Dead letters of an app after a position.
    async fn list_dead_letters(&self, page: AppPage) -> Result<Vec<DeadLetter>>;
    /// Removes dead letters up to a position.
    async fn delete_dead_letters(&self, app_id: u32, up_to: u64) -> Result<bool>;

    /// Files clients' messages to the application. Idempotent by message id.
    async fn add_upstream(&self, messages: Vec<UpstreamMessage>) -> Result<()>;
    /// Clients' messages of an app after a position.
    async fn list_upstream(&self, page: AppPage) -> Result<Vec<UpstreamMessage>>;
    /// Removes clients' messages up to a position.
    async fn delete_upstream(&self, app_id: u32, up_to: u64) -> Result<bool>;

    /// Epoch of the logs.
    async fn epoch(&self) -> Result<u64>;
    /// Removes what is expired, acknowledged by all devices, or beyond retention.
    async fn purge(&self, request: PurgeRequest) -> Result<PurgeResult>;
}
