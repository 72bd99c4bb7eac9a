//! Store, routes and queue in memory. What the web role does not call answers with an internal error.

use async_trait::async_trait;
use gpusher_control::error::{Code, Error, Result};
use gpusher_control::queue::{Consumer, Queue};
use gpusher_control::routes::Routes;
use gpusher_control::store::Store;
use gpusher_control::web::Credentials;
use gpusher_proto::data::*;
use parking_lot::Mutex;
use std::collections::BTreeMap;

fn not_for_web<T>() -> Result<T> {
    Err(Error::new(Code::Internal, "the web role does not call this"))
}

#[derive(Default)]
pub(crate) struct FakeStore {
    pub(crate) down: Mutex<Option<Code>>,
    pub(crate) apps: Mutex<Vec<App>>,
    pub(crate) users: Mutex<BTreeMap<String, User>>,
    pub(crate) statuses: Mutex<BTreeMap<u64, Status>>,
    pub(crate) user_statuses: Mutex<BTreeMap<(u64, String), UserStatus>>,
    pub(crate) letters: Mutex<Vec<DeadLetter>>,
    pub(crate) upstream: Mutex<Vec<UpstreamMessage>>,
}

impl FakeStore {
    fn up(&self) -> Result<()> {
        match *self.down.lock() {
            Some(code) => Err(Error::new(code, "the store was told to fail")),
            None => Ok(()),
        }
    }
}

fn page<T: Clone>(rows: &[T], page: AppPage, key: impl Fn(&T) -> (u32, u64)) -> Vec<T> {
    let wanted = rows.iter().filter(|row| key(row).0 == page.app_id && key(row).1 > page.after);
    wanted.take(page.limit as usize).cloned().collect()
}

#[async_trait]
impl Store for FakeStore {
    async fn create_app(&self, mut app: App) -> Result<App> {
        self.up()?;
        let mut apps = self.apps.lock();
        if app.id == 0 {
            app.id = apps.iter().map(|app| app.id).max().unwrap_or(999) + 1;
        }
        if apps.iter().any(|other| other.id == app.id || other.tag == app.tag) {
            return Err(Error::new(Code::AlreadyExists, "tag or id is taken"));
        }
        apps.push(app.clone());
        Ok(app)
    }
    async fn list_apps(&self) -> Result<Vec<App>> {
        self.up()?;
        Ok(self.apps.lock().clone())
    }
    async fn delete_app(&self, id: u32) -> Result<bool> {
        let mut apps = self.apps.lock();
        let before = apps.len();
        apps.retain(|app| app.id != id);
        Ok(apps.len() < before)
    }
    async fn create_user(&self, user: User) -> Result<User> {
        self.up()?;
        let mut users = self.users.lock();
        if users.values().any(|other| other.uuid == user.uuid || other.username == user.username) {
            return Err(Error::new(Code::AlreadyExists, "uuid or username is taken"));
        }
        let user = User { user_id: users.len() as u64 + 1, ..user };
        users.insert(user.uuid.clone(), user.clone());
        Ok(user)
    }
    async fn update_user(&self, user: User) -> Result<bool> {
        let mut users = self.users.lock();
        let Some(old) = users.get_mut(&user.uuid) else { return Ok(false) };
        let kept = std::mem::take(&mut old.password_hash);
        let hash = if user.password_hash.is_empty() { kept } else { user.password_hash.clone() };
        *old = User { password_hash: hash, ..user };
        Ok(true)
    }
    async fn get_user(&self, uuid: &str) -> Result<Option<User>> {
        self.up()?;
        Ok(self.users.lock().get(uuid).cloned())
    }
    async fn list_users(&self, after: &str, limit: u32) -> Result<Vec<User>> {
        let users = self.users.lock();
        let wanted = users.values().filter(|user| user.uuid.as_str() > after);
        Ok(wanted.take(limit as usize).cloned().collect())
    }
    async fn delete_user(&self, uuid: &str) -> Result<bool> {
        Ok(self.users.lock().remove(uuid).is_some())
    }
    async fn append(&self, _: Vec<Append>) -> Result<Vec<u64>> {
        not_for_web()
    }
    async fn reserve(&self, _: Vec<Reserve>) -> Result<Vec<u64>> {
        not_for_web()
    }
    async fn read(&self, _: ReadRequest) -> Result<ReadPage> {
        not_for_web()
    }
    async fn heads(&self, _: Vec<Channel>) -> Result<Vec<Head>> {
        not_for_web()
    }
    async fn get_cursors(&self, _: Vec<DeviceKey>) -> Result<Vec<Cursors>> {
        not_for_web()
    }
    async fn advance_cursors(&self, _: Vec<CursorUpdate>) -> Result<()> {
        not_for_web()
    }
    async fn recall(&self, _: u64) -> Result<Vec<Placed>> {
        not_for_web()
    }
    async fn recalled(&self, _: Vec<u64>) -> Result<Vec<u64>> {
        not_for_web()
    }
    async fn add_status(&self, _: Vec<Status>) -> Result<()> {
        not_for_web()
    }
    async fn get_status(&self, message: u64) -> Result<Option<Status>> {
        self.up()?;
        Ok(self.statuses.lock().get(&message).copied())
    }
    async fn get_user_status(&self, message: u64, user: &str) -> Result<UserStatus> {
        let key = (message, user.to_owned());
        Ok(self.user_statuses.lock().get(&key).copied().unwrap_or_default())
    }
    async fn add_dead_letters(&self, _: Vec<DeadLetter>) -> Result<()> {
        not_for_web()
    }
    async fn list_dead_letters(&self, asked: AppPage) -> Result<Vec<DeadLetter>> {
        Ok(page(&self.letters.lock(), asked, |letter| (letter.app_id, letter.position)))
    }
    async fn delete_dead_letters(&self, app_id: u32, up_to: u64) -> Result<bool> {
        let mut letters = self.letters.lock();
        let before = letters.len();
        letters.retain(|letter| letter.app_id != app_id || letter.position > up_to);
        Ok(letters.len() < before)
    }
    async fn add_upstream(&self, _: Vec<UpstreamMessage>) -> Result<()> {
        not_for_web()
    }
    async fn list_upstream(&self, asked: AppPage) -> Result<Vec<UpstreamMessage>> {
        self.up()?;
        Ok(page(&self.upstream.lock(), asked, |message| (message.app_id, message.position)))
    }
    async fn delete_upstream(&self, app_id: u32, up_to: u64) -> Result<bool> {
        let mut messages = self.upstream.lock();
        let before = messages.len();
        messages.retain(|message| message.app_id != app_id || message.position > up_to);
        Ok(messages.len() < before)
    }
    async fn epoch(&self) -> Result<u64> {
        self.up()?;
        Ok(77)
    }
    async fn purge(&self, _: PurgeRequest) -> Result<PurgeResult> {
        not_for_web()
    }
}

#[derive(Default)]
pub(crate) struct FakeRoutes {
    pub(crate) routes: Mutex<Vec<Route>>,
    pub(crate) gateways: Mutex<Vec<GatewayLease>>,
}

#[async_trait]
impl Routes for FakeRoutes {
    async fn bind(&self, _: Vec<Route>) -> Result<Vec<Vec<Route>>> {
        not_for_web()
    }
    async fn unbind(&self, _: Vec<ConnKey>) -> Result<()> {
        not_for_web()
    }
    async fn locate(&self, users: Vec<UserInApp>) -> Result<Vec<Vec<Route>>> {
        let routes = self.routes.lock();
        let of = |key: &UserInApp| {
            routes
                .iter()
                .filter(|r| r.app_id == key.app_id && r.user == key.user)
                .cloned()
                .collect()
        };
        Ok(users.iter().map(of).collect())
    }
    async fn attach(&self, _: GatewayLease) -> Result<()> {
        not_for_web()
    }
    async fn renew(&self, _: GatewayLease) -> Result<bool> {
        not_for_web()
    }
    async fn detach(&self, _: u32, _: u64) -> Result<()> {
        not_for_web()
    }
    async fn gateways(&self) -> Result<Vec<GatewayLease>> {
        Ok(self.gateways.lock().clone())
    }
    async fn announce(&self, _: Vec<GatewayMembership>) -> Result<()> {
        not_for_web()
    }
    async fn members(&self, _: AudienceKey) -> Result<Vec<u32>> {
        not_for_web()
    }
    async fn counts(&self, _: u32) -> Result<Vec<Count>> {
        let connections = self.routes.lock().len() as u64;
        Ok(vec![Count { app_id: 1000, connections, users: connections }])
    }
    async fn list(&self, asked: RoutePage) -> Result<Vec<Route>> {
        let routes = self.routes.lock();
        let after = (asked.after_user, asked.after_conn);
        let wanted =
            routes.iter().filter(|r| r.app_id == asked.app_id && (r.user.clone(), r.conn) > after);
        Ok(wanted.take(asked.limit as usize).cloned().collect())
    }
}

#[derive(Default)]
pub(crate) struct FakeQueue {
    pub(crate) down: Mutex<Option<Code>>,
    pub(crate) records: Mutex<Vec<Record>>,
    pub(crate) publishes: Mutex<usize>,
    /// While locked, publishing waits.
    pub(crate) gate: tokio::sync::Mutex<()>,
}

#[async_trait]
impl Queue for FakeQueue {
    async fn publish(&self, records: Vec<Record>) -> Result<()> {
        let _open = self.gate.lock().await;
        if let Some(code) = *self.down.lock() {
            return Err(Error::new(code, "the queue was told to fail"));
        }
        *self.publishes.lock() += 1;
        self.records.lock().extend(records);
        Ok(())
    }
    async fn consume(&self, _: &str) -> Result<Box<dyn Consumer>> {
        not_for_web()
    }
    async fn depth(&self, _: &str) -> Result<u64> {
        match *self.down.lock() {
            Some(code) => Err(Error::new(code, "the queue was told to fail")),
            None => Ok(self.records.lock().len() as u64),
        }
    }
}

/// Passwords whose hash is the password in brackets.
pub(crate) struct FakeCredentials;

impl Credentials for FakeCredentials {
    fn sign(&self, uuid: &str) -> Result<String> {
        if uuid == "unsignable" {
            return Err(Error::new(Code::Internal, "no key"));
        }
        Ok(format!("token of {uuid}"))
    }
    fn hash(&self, password: &str) -> Result<String> {
        Ok(format!("<{password}>"))
    }
    fn verify(&self, password: &str, hash: &str) -> bool {
        format!("<{password}>") == hash
    }
}
