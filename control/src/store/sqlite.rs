//! The store in one SQLite file: what a single machine needs, with nothing to install.
//!
//! One connection writes (`writer`), a few read. The file is in write-ahead-log mode, so that readers and the writer do
//! not wait for each other, and a killed process leaves it intact.

mod apps;
mod cursors;
mod failure;
mod letters;
mod log;
mod numbers;
mod purge;
mod recalls;
mod statuses;
mod users;
mod writer;

use self::failure::explain;
use self::letters::{DeleteUpTo, Pile};
use self::numbers::Numbers;
use self::writer::Writer;
use super::rows::unsigned;
use super::{Store, check_channel, check_push, invalid};
use crate::error::{Code, Error, Result};
use async_trait::async_trait;
use gpusher_proto::data::*;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, SqliteConnection};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What a call that has returned survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Power failures and kernel crashes: each group of calls waits for the disk.
    #[default]
    Full,
    /// The end of the process in any way, `kill -9` too. A power failure or kernel crash may take the last calls
    /// with it; the file stays intact.
    Normal,
}

/// How to open a store.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The file; created if missing, its folder too.
    pub path: PathBuf,
    /// What a call that has returned survives.
    pub durability: Durability,
    /// Connections that read. Each has a thread of its own.
    pub readers: u32,
    /// Pages that the writer keeps in memory, in bytes.
    pub cache_bytes_max: u64,
}

impl SqliteOptions {
    /// Fully durable, with two readers and 64 MiB.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let (durability, readers, cache_bytes_max) = (Durability::Full, 2, 64 << 20);
        Self { path: path.into(), durability, readers, cache_bytes_max }
    }
}

/// A new owner waits this long for the last one to let go of the file.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// A read that gets no connection within this time is refused as overload.
const READER_WAIT: Duration = Duration::from_secs(5);
/// Pages of the write-ahead log before it is copied into the file: 16 MiB.
const CHECKPOINT_PAGES: &str = "4096";
/// What the write-ahead log is cut to after a checkpoint.
const LOG_BYTES: &str = "67108864";

/// The store in one SQLite file. One process at a time owns it.
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    numbers: Arc<Numbers>,
    epoch: u64,
}

impl SqliteStore {
    /// Opens the file, bringing its tables up to date.
    ///
    /// # Errors
    /// `unavailable` if another process has it, or the file or folder cannot be used.
    pub async fn open(options: SqliteOptions) -> Result<Self> {
        let lock = lock(&options.path, LOCK_WAIT).await?;
        let connect = SqliteConnectOptions::new()
            .filename(&options.path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(match options.durability {
                Durability::Full => SqliteSynchronous::Full,
                Durability::Normal => SqliteSynchronous::Normal,
            })
            .busy_timeout(READER_WAIT)
            .pragma("temp_store", "memory")
            .disable_statement_logging();
        let mut connection = connect
            .clone()
            // Negative: in KiB, not in pages.
            .pragma("cache_size", format!("-{}", (options.cache_bytes_max >> 10).max(1)))
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .pragma("journal_size_limit", LOG_BYTES)
            .connect()
            .await
            .map_err(explain)?;
        migrate(&mut connection).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(options.readers.max(1))
            .acquire_timeout(READER_WAIT)
            .test_before_acquire(false)
            .connect_with(connect.read_only(true))
            .await
            .map_err(explain)?;
        let epoch = sqlx::query_scalar("SELECT value FROM meta WHERE name = 'epoch'")
            .fetch_one(&mut connection)
            .await
            .map_err(explain)?;
        let numbers = Arc::new(log::open_numbers(&mut connection).await?);
        let writer = Writer::start(connection, lock);
        Ok(Self { writer, readers, numbers, epoch: unsigned(epoch) })
    }
}

async fn migrate(connection: &mut SqliteConnection) -> Result<()> {
    sqlx::migrate!("migrations/sqlite").run_direct(None, connection, false).await.map_err(|error| {
        Error::new(
            Code::Internal,
            format!("the store's tables cannot be brought up to date: {error}"),
        )
    })
}

/// Two writers would not harm the file, but each other's order; a lock file beside it keeps them apart. The kernel
/// takes the lock off a dead process.
async fn lock(path: &Path, wait: Duration) -> Result<File> {
    let unusable = |path: &Path, error: std::io::Error| {
        Error::new(Code::Unavailable, format!("{} cannot be used: {error}", path.display()))
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| unusable(folder, error))?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let file = File::options().create(true).truncate(false).write(true).open(&name);
    let file = file.map_err(|error| unusable(&name, error))?;
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(unusable(&name, error)),
            Err(TryLockError::WouldBlock) if tokio::time::Instant::now() >= deadline => {
                let text = format!("another process has the store {} open", path.display());
                return Err(Error::new(Code::Unavailable, text));
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn create_app(&self, app: App) -> Result<App> {
        if app.tag.is_empty() {
            return Err(invalid("an app needs a tag"));
        }
        self.writer.write(apps::CreateApp(app)).await
    }

    async fn list_apps(&self) -> Result<Vec<App>> {
        apps::list(&self.readers).await
    }

    async fn delete_app(&self, id: u32) -> Result<bool> {
        self.writer.write(apps::DeleteApp(id)).await
    }

    async fn create_user(&self, user: User) -> Result<User> {
        if user.uuid.is_empty() {
            return Err(invalid("a user needs a uuid"));
        }
        self.writer.write(users::CreateUser(user)).await
    }

    async fn update_user(&self, user: User) -> Result<bool> {
        self.writer.write(users::UpdateUser(user)).await
    }

    async fn get_user(&self, uuid: &str) -> Result<Option<User>> {
        users::get(&self.readers, uuid).await
    }

    async fn list_users(&self, after: &str, limit: u32) -> Result<Vec<User>> {
        users::list(&self.readers, after, limit).await
    }

    async fn delete_user(&self, uuid: &str) -> Result<bool> {
        self.writer.write(users::DeleteUser(uuid.to_owned())).await
    }

    async fn append(&self, entries: Vec<Append>) -> Result<Vec<u64>> {
        for entry in &entries {
            check_channel(entry.channel.as_ref())?;
            check_push(entry.push.as_ref())?;
        }
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let numbers = self.numbers.clone();
        let appended = self.writer.write(log::AppendEntries { entries, numbers }).await?;
        if let Some(ceiling) = appended.ceiling {
            self.numbers.raise(ceiling);
        }
        drop(appended.uncommitted);
        Ok(appended.seqs)
    }

    async fn reserve(&self, entries: Vec<Reserve>) -> Result<Vec<u64>> {
        for entry in &entries {
            check_channel(entry.channel.as_ref())?;
            if entry.count == 0 {
                return Err(invalid("a range of no numbers"));
            }
        }
        let wanted =
            entries.iter().filter_map(|entry| Some((entry.channel.as_ref()?, entry.count)));
        let (firsts, ceiling) = self.numbers.take(wanted);
        if let Some(ceiling) = ceiling {
            self.writer.write(log::RaiseCeiling(ceiling)).await?;
            self.numbers.raise(ceiling);
        }
        Ok(firsts)
    }

    async fn read(&self, request: ReadRequest) -> Result<ReadPage> {
        check_channel(request.channel.as_ref())?;
        log::read(&self.readers, request).await
    }

    async fn heads(&self, channels: Vec<Channel>) -> Result<Vec<Head>> {
        log::heads(&self.readers, &self.numbers, &channels).await
    }

    async fn get_cursors(&self, devices: Vec<DeviceKey>) -> Result<Vec<Cursors>> {
        let mut known = cursors::get(&self.readers, &devices).await?;
        let missing = std::iter::zip(&devices, &known).filter(|(_, cursors)| cursors.is_none());
        let missing: Vec<_> = missing.map(|(device, _)| device.clone()).collect();
        if !missing.is_empty() {
            let mut registered = self.writer.write(cursors::Register(missing)).await?.into_iter();
            known.iter_mut().filter(|known| known.is_none()).for_each(|k| *k = registered.next());
        }
        Ok(known.into_iter().map(Option::unwrap_or_default).collect())
    }

    async fn advance_cursors(&self, updates: Vec<CursorUpdate>) -> Result<()> {
        if updates.iter().any(|update| update.device.is_none() || update.cursors.is_none()) {
            return Err(invalid("an update needs a device and cursors"));
        }
        if updates.is_empty() {
            return Ok(());
        }
        self.writer.write(cursors::Advance(updates)).await
    }

    async fn recall(&self, message: u64) -> Result<Vec<Placed>> {
        self.writer.write(recalls::Recall(message)).await
    }

    async fn recalled(&self, messages: Vec<u64>) -> Result<Vec<u64>> {
        recalls::recalled(&self.readers, &messages).await
    }

    async fn add_status(&self, deltas: Vec<Status>) -> Result<()> {
        if deltas.is_empty() {
            return Ok(());
        }
        self.writer.write(statuses::AddStatus(deltas)).await
    }

    async fn get_status(&self, message: u64) -> Result<Option<Status>> {
        statuses::get(&self.readers, message).await
    }

    async fn get_user_status(&self, message: u64, user: &str) -> Result<UserStatus> {
        recalls::user_status(&self.readers, message, user).await
    }

    async fn add_dead_letters(&self, letters: Vec<DeadLetter>) -> Result<()> {
        letters.iter().try_for_each(|letter| check_push(letter.push.as_ref()))?;
        self.writer.write(letters::AddDeadLetters(letters)).await
    }

    async fn list_dead_letters(&self, page: AppPage) -> Result<Vec<DeadLetter>> {
        letters::list_dead_letters(&self.readers, page).await
    }

    async fn delete_dead_letters(&self, app_id: u32, up_to: u64) -> Result<bool> {
        self.writer.write(DeleteUpTo { pile: Pile::DeadLetters, app_id, up_to }).await
    }

    async fn add_upstream(&self, messages: Vec<UpstreamMessage>) -> Result<()> {
        self.writer.write(letters::AddUpstream(messages)).await
    }

    async fn list_upstream(&self, page: AppPage) -> Result<Vec<UpstreamMessage>> {
        letters::list_upstream(&self.readers, page).await
    }

    async fn delete_upstream(&self, app_id: u32, up_to: u64) -> Result<bool> {
        self.writer.write(DeleteUpTo { pile: Pile::Upstream, app_id, up_to }).await
    }

    async fn epoch(&self) -> Result<u64> {
        Ok(self.epoch)
    }

    async fn purge(&self, request: PurgeRequest) -> Result<PurgeResult> {
        self.writer.write(purge::Purge(request)).await
    }

    async fn close(&self) {
        // The connection that closes last folds the write-ahead log into the file: that is the writer's.
        self.readers.close().await;
        self.writer.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::suite::{Fixture, store_suite};

    /// A file in a folder of its own.
    struct InFile(tempfile::TempDir);

    async fn in_file() -> InFile {
        InFile(tempfile::tempdir().unwrap())
    }

    impl Fixture for InFile {
        async fn open(&self) -> Arc<dyn Store> {
            Arc::new(open(self).await.unwrap())
        }
    }

    async fn open(fixture: &InFile) -> Result<SqliteStore> {
        SqliteStore::open(SqliteOptions::new(fixture.0.path().join("data/store.db"))).await
    }

    store_suite!(in_file);

    #[tokio::test]
    async fn a_second_owner_is_refused() {
        let fixture = in_file().await;
        let path = fixture.0.path().join("store.db");
        let _held = lock(&path, LOCK_WAIT).await.unwrap();
        let error = lock(&path, Duration::ZERO).await.unwrap_err();
        assert_eq!(error.code, Code::Unavailable);
        assert!(error.text.contains("another process"), "{error}");
    }

    #[tokio::test]
    async fn closing_leaves_one_file_and_refuses_calls() {
        let fixture = in_file().await;
        let path = fixture.0.path().join("data/store.db");
        let store = open(&fixture).await.unwrap();
        let app = App { tag: "kept".into(), ..App::default() };
        store.create_app(app.clone()).await.unwrap();
        assert!(path.with_extension("db-wal").exists());
        store.close().await;
        store.close().await;
        assert!(!path.with_extension("db-wal").exists());
        assert_eq!(store.create_app(app).await.unwrap_err().code, Code::Unavailable);
        assert_eq!(store.list_apps().await.unwrap_err().code, Code::Unavailable);
        let store = open(&fixture).await.unwrap();
        assert_eq!(store.list_apps().await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_foreign_file_is_named_as_such() {
        let fixture = in_file().await;
        let path = fixture.0.path().join("store.db");
        std::fs::write(&path, "this is not a database, and long enough to be seen as none")
            .unwrap();
        let error = SqliteStore::open(SqliteOptions::new(path)).await.err().unwrap();
        assert!(error.text.contains("not an SQLite database"), "{error}");
    }
}
