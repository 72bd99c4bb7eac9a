//! A store in memory: what is in it is durable, whoever crashes. It passes the suite that every store passes.

mod log;
mod purge;
mod reports;

use crate::clock::SimClock;
use crate::gate::Gates;
use async_trait::async_trait;
use gpusher_control::error::{Code, Error, Result};
use gpusher_control::store::{PAGE_MAX, READ_BYTES_MAX, Store};
use gpusher_proto::data::*;
use log::Log;
pub use log::LogKey;
use parking_lot::{Mutex, MutexGuard};
use reports::Reports;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// App, user, device.
pub type DeviceId = (u32, String, String);

/// A device's cursors moved.
#[derive(Debug, Clone)]
pub struct Moved {
    /// Whose.
    pub device: DeviceId,
    /// Own, app, everyone: before.
    pub from: [u64; 3],
    /// After.
    pub to: [u64; 3],
}

/// A device's row.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeviceRow {
    /// Where it began: what is up to here was its user's before it came.
    pub born: [u64; 3],
    /// When that was, monotonic.
    pub born_ms: u64,
    /// Received up to here.
    pub cursors: [u64; 3],
}

/// Everything that is stored.
#[derive(Debug, Default)]
pub struct Tables {
    apps: BTreeMap<u32, App>,
    app_ids_given: BTreeSet<u32>,
    users: BTreeMap<String, User>,
    next_user_id: u64,
    pub(crate) logs: BTreeMap<LogKey, Log>,
    pub(crate) recalled: BTreeMap<u64, i64>,
    pub(crate) devices: BTreeMap<DeviceId, DeviceRow>,
    pub(crate) reports: Reports,
    /// Since they were last taken.
    pub(crate) moved: Vec<Moved>,
    /// What was asked of the logs since it was last taken, for the trace.
    pub(crate) said: Vec<String>,
    /// Monotonic.
    mono_ms: u64,
}

/// The store. Clones share their tables.
#[derive(Clone)]
pub struct MemoryStore {
    tables: Arc<Mutex<Tables>>,
    gates: Gates,
    clock: SimClock,
    /// Moves cursors one further than asked: a bug to be found.
    pub overshoots: bool,
    /// Numbers some messages and does not keep them: a bug to be found.
    pub loses_appends: bool,
    /// Takes a page that one message fills for the last: a bug to be found.
    pub ends_full_pages: bool,
}

/// Of all memory stores.
pub const EPOCH: u64 = 77;

impl MemoryStore {
    /// A store with the default app.
    pub fn new(clock: SimClock, gates: Gates) -> Self {
        let mut tables = Tables::default();
        tables.add_app(1000, "app_gpusher");
        Self {
            tables: Arc::new(Mutex::new(tables)),
            gates,
            clock,
            overshoots: false,
            loses_appends: false,
            ends_full_pages: false,
        }
    }

    /// Looks at the tables, past the gates.
    pub fn with<R>(&self, look: impl FnOnce(&mut Tables) -> R) -> R {
        look(&mut self.tables.lock())
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        let mut tables = self.tables.lock();
        tables.mono_ms = self.clock.ms();
        tables
    }

    /// A call that its caller repeats until it works: it cannot fail, but it may be made twice.
    async fn call<R>(&self, name: &'static str, work: impl Fn(&mut Tables, i64) -> R) -> R {
        self.gates.pass(name).await;
        let mut result = work(&mut self.tables(), self.clock.unix());
        if self.gates.repeats() {
            self.gates.pass(name).await;
            result = work(&mut self.tables(), self.clock.unix());
        }
        self.gates.pass(name).await;
        result
    }

    /// A call that its caller may give up: it fails before its effect, or after it.
    async fn attempt<R>(
        &self,
        name: &'static str,
        work: impl Fn(&mut Tables, i64) -> Result<R>,
    ) -> Result<R> {
        self.gates.pass(name).await;
        self.gates.fails(name)?;
        let result = work(&mut self.tables(), self.clock.unix());
        self.gates.pass(name).await;
        self.gates.fails(name)?;
        result
    }
}

pub(crate) fn invalid(text: &str) -> Error {
    Error::new(Code::Invalid, text)
}

fn taken(text: &str) -> Error {
    Error::new(Code::AlreadyExists, text)
}

#[async_trait]
impl Store for MemoryStore {
    async fn create_app(&self, app: App) -> Result<App> {
        self.call("create app", |tables, _| tables.create_app(app.clone())).await
    }

    async fn list_apps(&self) -> Result<Vec<App>> {
        self.call("list apps", |tables, _| Ok(tables.apps.values().cloned().collect())).await
    }

    async fn delete_app(&self, id: u32) -> Result<bool> {
        self.call("delete app", |tables, _| Ok(tables.apps.remove(&id).is_some())).await
    }

    async fn create_user(&self, user: User) -> Result<User> {
        self.call("create user", |tables, _| tables.create_user(user.clone())).await
    }

    async fn update_user(&self, user: User) -> Result<bool> {
        self.call("update user", |tables, _| tables.update_user(user.clone())).await
    }

    async fn get_user(&self, uuid: &str) -> Result<Option<User>> {
        self.call("get user", |tables, _| Ok(tables.users.get(uuid).cloned())).await
    }

    async fn list_users(&self, after: &str, limit: u32) -> Result<Vec<User>> {
        self.call("list users", |tables, _| {
            let users = tables.users.values().filter(|user| user.uuid.as_str() > after);
            Ok(users.take(page_limit(limit)).cloned().collect())
        })
        .await
    }

    async fn delete_user(&self, uuid: &str) -> Result<bool> {
        self.call("delete user", |tables, _| Ok(tables.users.remove(uuid).is_some())).await
    }

    async fn append(&self, entries: Vec<Append>) -> Result<Vec<u64>> {
        self.call("append", |tables, _| {
            let seqs = tables.append(&entries);
            if self.loses_appends {
                tables.lose_some();
            }
            seqs
        })
        .await
    }

    async fn reserve(&self, entries: Vec<Reserve>) -> Result<Vec<u64>> {
        self.call("reserve", |tables, _| tables.reserve(&entries)).await
    }

    async fn read(&self, request: ReadRequest) -> Result<ReadPage> {
        self.attempt("read", |tables, _| {
            let mut page = tables.read(&request)?;
            page.more &= !self.ends_full_pages || page.messages.len() > 1;
            Ok(page)
        })
        .await
    }

    async fn heads(&self, channels: Vec<Channel>) -> Result<Vec<Head>> {
        self.attempt("heads", |tables, _| tables.heads(&channels)).await
    }

    async fn get_cursors(&self, devices: Vec<DeviceKey>) -> Result<Vec<Cursors>> {
        self.attempt("get cursors", |tables, _| {
            let row = |key: &DeviceKey| tables.device(key).cursors;
            Ok(devices.iter().map(row).map(to_cursors).collect())
        })
        .await
    }

    async fn advance_cursors(&self, updates: Vec<CursorUpdate>) -> Result<()> {
        self.attempt("advance cursors", |tables, _| {
            let surplus = u64::from(self.overshoots);
            // New devices start where their users were before.
            updates.iter().filter_map(|update| update.device.as_ref()).for_each(|key| {
                tables.device(key);
            });
            updates.iter().try_for_each(|update| tables.advance(update, surplus))
        })
        .await
    }

    async fn recall(&self, message: u64) -> Result<Vec<Placed>> {
        self.call("recall", |tables, now_ms| Ok(tables.recall(message, now_ms))).await
    }

    async fn recalled(&self, messages: Vec<u64>) -> Result<Vec<u64>> {
        self.call("recalled", |tables, _| Ok(tables.recalled(&messages))).await
    }

    async fn add_status(&self, deltas: Vec<Status>) -> Result<()> {
        self.attempt("add status", |tables, now_ms| {
            deltas.iter().for_each(|delta| tables.reports.add_status(delta, now_ms));
            Ok(())
        })
        .await
    }

    async fn get_status(&self, message: u64) -> Result<Option<Status>> {
        self.call("get status", |tables, _| Ok(tables.status(message))).await
    }

    async fn get_user_status(&self, message: u64, user: &str) -> Result<UserStatus> {
        self.call("get user status", |tables, now_ms| Ok(tables.user_status(message, user, now_ms)))
            .await
    }

    async fn add_dead_letters(&self, letters: Vec<DeadLetter>) -> Result<()> {
        self.call("add dead letters", |tables, _| tables.reports.add_letters(&letters)).await
    }

    async fn list_dead_letters(&self, page: AppPage) -> Result<Vec<DeadLetter>> {
        self.call("list dead letters", |tables, _| Ok(tables.reports.letters(&page))).await
    }

    async fn delete_dead_letters(&self, app_id: u32, up_to: u64) -> Result<bool> {
        self.call("delete dead letters", |tables, _| {
            Ok(tables.reports.delete_letters(app_id, up_to))
        })
        .await
    }

    async fn add_upstream(&self, messages: Vec<UpstreamMessage>) -> Result<()> {
        self.attempt("add upstream", |tables, _| {
            tables.reports.add_upstream(&messages);
            Ok(())
        })
        .await
    }

    async fn list_upstream(&self, page: AppPage) -> Result<Vec<UpstreamMessage>> {
        self.call("list upstream", |tables, _| Ok(tables.reports.upstream(&page))).await
    }

    async fn delete_upstream(&self, app_id: u32, up_to: u64) -> Result<bool> {
        self.call("delete upstream", |tables, _| Ok(tables.reports.delete_upstream(app_id, up_to)))
            .await
    }

    async fn epoch(&self) -> Result<u64> {
        Ok(EPOCH)
    }

    async fn purge(&self, request: PurgeRequest) -> Result<PurgeResult> {
        let result = self.call("purge", |tables, _| Ok(tables.purge(&request))).await;
        // Who purges without end must let others have their turn, where no gate holds anybody.
        tokio::task::yield_now().await;
        result
    }
}

impl Tables {
    /// Has an app, if it has not.
    pub(crate) fn add_app(&mut self, id: u32, tag: &str) {
        self.app_ids_given.insert(id);
        self.apps.insert(id, App { id, tag: tag.to_owned(), ..App::default() });
    }

    pub(crate) fn create_app(&mut self, mut app: App) -> Result<App> {
        if app.tag.is_empty() {
            return Err(invalid("an app has a tag"));
        }
        let tag_taken = self.apps.values().any(|other| other.tag == app.tag);
        if tag_taken || self.app_ids_given.contains(&app.id) {
            return Err(taken("the app's tag or id is taken"));
        }
        if app.id == 0 {
            app.id = self.app_ids_given.last().map_or(1, |last| last + 1);
        }
        self.app_ids_given.insert(app.id);
        self.apps.insert(app.id, app.clone());
        Ok(app)
    }

    fn create_user(&mut self, mut user: User) -> Result<User> {
        if user.uuid.is_empty() {
            return Err(invalid("a user has a uuid"));
        }
        if self.users.contains_key(&user.uuid) || self.name_taken(&user) {
            return Err(taken("the uuid, name or number is taken"));
        }
        if user.user_id == 0 {
            self.next_user_id += 1;
            user.user_id = self.next_user_id;
        }
        self.next_user_id = self.next_user_id.max(user.user_id);
        self.users.insert(user.uuid.clone(), user.clone());
        Ok(user)
    }

    fn name_taken(&self, user: &User) -> bool {
        let others = self.users.values().filter(|other| other.uuid != user.uuid);
        let number = |other: &User| user.user_id != 0 && other.user_id == user.user_id;
        others.into_iter().any(|other| other.username == user.username || number(other))
    }

    fn update_user(&mut self, user: User) -> Result<bool> {
        if self.name_taken(&User { user_id: 0, ..user.clone() }) {
            return Err(taken("the name is taken"));
        }
        let Some(known) = self.users.get_mut(&user.uuid) else { return Ok(false) };
        let hash = match user.password_hash.is_empty() {
            true => known.password_hash.clone(),
            false => user.password_hash.clone(),
        };
        let (user_id, created_at_ms) = (known.user_id, known.created_at_ms);
        *known = User { password_hash: hash, user_id, created_at_ms, ..user };
        Ok(true)
    }

    /// A device's row, made if it is new: it then starts at its user's furthest.
    pub(crate) fn device(&mut self, key: &DeviceKey) -> &mut DeviceRow {
        let id = (key.app_id, key.user.clone(), key.device.clone());
        let siblings = self.devices_of(key.app_id, &key.user);
        let furthest = siblings.fold([0; 3], |far, (_, row)| max(far, row.cursors));
        let row = DeviceRow { born: furthest, born_ms: self.mono_ms, cursors: furthest };
        self.devices.entry(id).or_insert(row)
    }

    pub(crate) fn devices_of(
        &self,
        app_id: u32,
        user: &str,
    ) -> impl Iterator<Item = (&DeviceId, &DeviceRow)> {
        self.devices.iter().filter(move |((app, name, _), _)| *app == app_id && name == user)
    }

    fn advance(&mut self, update: &CursorUpdate, surplus: u64) -> Result<()> {
        let key = update.device.as_ref().ok_or_else(|| invalid("a device is missing"))?;
        let Cursors { own, app, everyone } = update.cursors.unwrap_or_default();
        let row = self.device(key);
        let from = row.cursors;
        row.cursors = max(from, [own, app, everyone].map(|seq| seq + surplus.min(seq)));
        let to = row.cursors;
        let device = (key.app_id, key.user.clone(), key.device.clone());
        self.moved.push(Moved { device, from, to });
        Ok(())
    }
}

fn max(left: [u64; 3], right: [u64; 3]) -> [u64; 3] {
    std::array::from_fn(|channel| left[channel].max(right[channel]))
}

fn to_cursors([own, app, everyone]: [u64; 3]) -> Cursors {
    Cursors { own, app, everyone }
}

pub(crate) fn page_limit(limit: u32) -> usize {
    (if limit == 0 { PAGE_MAX } else { limit.min(PAGE_MAX) }) as usize
}

pub(crate) fn bytes_limit(bytes: u32) -> usize {
    if bytes == 0 { READ_BYTES_MAX } else { (bytes as usize).min(READ_BYTES_MAX) }
}
