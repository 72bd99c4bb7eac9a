//! A store on a database server, which several processes may use at once.
//!
//! `ServerStore` is the part that does not depend on the server: checks, batches in the order of locking, repetition after a conflict, time
//! limits, what errors mean. An `Engine` is the statements. What keeps several writers apart is in the database alone: nothing here is
//! remembered from one call to the next but that the tables are up to date.

pub(super) mod batch;
pub(super) mod engine;
pub(super) mod failure;
mod metrics;
mod purge;
#[cfg(test)]
pub(super) mod tests;

pub use self::engine::ServerOptions;
pub use self::metrics::ServerMetrics;

use self::batch::{AppendBatch, ChannelRow, PileItem, ReserveBatch, cursor_rows, distinct};
use self::engine::{Engine, Pile, PurgeStatements};
use self::failure::{Done, Failure, Verdict, explain, judge};
use super::rows::{LogPage, PilePage, all, app_id, position, signed, text, unsigned};
use super::tally::{described, from_row, is_described, sum_per_push, to_row};
use super::*;
use prost::Message;
use rand::RngExt;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

/// A call that lost a race is done again this often.
const REPEATS_MAX: u32 = 20;
/// Longest pause before that; the first is shorter.
const PAUSE_MS_MAX: u64 = 50;
/// An opening waits no longer than this for a server that may come later.
const FIRST_CONTACT: Duration = Duration::from_secs(3);

/// A store on a server.
pub(super) struct ServerStore<E> {
    engine: E,
    call_timeout: Duration,
    metrics: ServerMetrics,
    /// The epoch, once the tables are up to date.
    epoch: OnceCell<u64>,
}

impl<E: PurgeStatements> ServerStore<E> {
    /// Connects, and brings the tables up to date. A server that does not answer is no error: it may come later, and until then calls are
    /// `unavailable`.
    ///
    /// # Errors
    /// `invalid` if the URL is none, `unavailable` if the server refuses it, `internal` if a newer version made the tables.
    pub(super) async fn open(options: ServerOptions, metrics: ServerMetrics) -> Result<Self> {
        let engine = E::new(&options).map_err(|error| explain::<E>(&error))?;
        let call_timeout = options.call_timeout;
        let store = Self { engine, call_timeout, metrics, epoch: OnceCell::new() };
        let deadline = Instant::now() + call_timeout.min(FIRST_CONTACT);
        match timeout_at(deadline, store.ready()).await {
            Ok(Ok(_)) => {}
            Ok(Err(Failure::Refused(error))) => return Err(error),
            Ok(Err(Failure::Sql(error)))
                if !matches!(judge::<E>(&error), Verdict::Away(_) | Verdict::Lost) =>
            {
                return Err(explain::<E>(&error));
            }
            _ => tracing::warn!(url = %options.url, "the store does not answer yet"),
        }
        Ok(store)
    }

    async fn ready(&self) -> Done<u64> {
        self.epoch.get_or_try_init(|| self.engine.prepare()).await.copied()
    }

    /// Makes a call: again when it lost a race, and not for ever.
    async fn run<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Done<T>>,
    {
        let _under_way = UnderWay::new(&self.metrics.calls);
        let deadline = Instant::now() + self.call_timeout;
        let attempts = async {
            self.ready().await?;
            let mut repeats = 0;
            loop {
                match call().await {
                    Err(failure) if repeats < REPEATS_MAX && is_lost::<E>(&failure) => {}
                    result => return result,
                }
                repeats += 1;
                self.metrics.repeated.inc();
                let pause_ms = PAUSE_MS_MAX.min(1 << repeats.min(16));
                let pause = rand::rng().random_range(0..=1000 * pause_ms);
                tokio::time::sleep(Duration::from_micros(pause)).await;
            }
        };
        match timeout_at(deadline, attempts).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(failure)) => Err(self.error(failure)),
            Err(_) => {
                self.metrics.away.inc();
                let text = format!("the store's {} did not answer in time", E::NAME);
                Err(Error::new(Code::Unavailable, text))
            }
        }
    }

    fn error(&self, failure: Failure) -> Error {
        let pool = self.engine.pool();
        let full = pool.size() >= pool.options().get_max_connections();
        match failure {
            Failure::Refused(error) => error,
            Failure::Lost => {
                Error::new(Code::Overloaded, "the store's writers are in each other's way")
            }
            Failure::Sql(sqlx::Error::PoolTimedOut) if full => {
                self.metrics.exhausted.inc();
                let text = format!(
                    "all connections to the store's {} are in use; raise store.connections",
                    E::NAME
                );
                Error::new(Code::Overloaded, text)
            }
            Failure::Sql(sqlx::Error::Database(cause)) if cause.is_unique_violation() => {
                user_taken()
            }
            Failure::Sql(error) => {
                let error = explain::<E>(&error);
                self.metrics.away.inc_by(u64::from(error.code == Code::Unavailable));
                error
            }
        }
    }

    /// Devices by the order asked for; those that are not known become so.
    async fn cursors_of(&self, devices: &[DeviceKey]) -> Result<Vec<Cursors>> {
        let rows = distinct(devices.iter());
        let mut known = vec![None; rows.len()];
        self.look_up(&rows, &mut known).await?;
        let missing: Vec<_> = std::iter::zip(&rows, &known)
            .filter(|(_, cursors)| cursors.is_none())
            .map(|(row, _)| row.clone())
            .collect();
        if !missing.is_empty() {
            self.run(|| self.engine.register(&missing)).await?;
            self.look_up(&rows, &mut known).await?;
        }
        let found = |device: &DeviceKey| {
            let at = rows.binary_search(&device.into()).ok()?;
            known[at]
        };
        Ok(devices.iter().map(|device| found(device).unwrap_or_default()).collect())
    }

    async fn look_up(
        &self,
        rows: &[batch::DeviceRow],
        known: &mut [Option<Cursors>],
    ) -> Result<()> {
        for (index, own, app, everyone) in self.run(|| self.engine.find_cursors(rows)).await? {
            let cursors =
                Cursors { own: unsigned(own), app: unsigned(app), everyone: unsigned(everyone) };
            known[index as usize] = Some(cursors);
        }
        Ok(())
    }
}

fn is_lost<E: Engine>(failure: &Failure) -> bool {
    match failure {
        Failure::Lost => true,
        Failure::Sql(error) => judge::<E>(error) == Verdict::Lost,
        Failure::Refused(_) => false,
    }
}

/// Counts a call as long as it lives.
struct UnderWay<'a>(&'a prometheus_client::metrics::gauge::Gauge);

impl<'a> UnderWay<'a> {
    fn new(calls: &'a prometheus_client::metrics::gauge::Gauge) -> Self {
        calls.inc();
        Self(calls)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[async_trait]
impl<E: PurgeStatements> Store for ServerStore<E> {
    async fn create_app(&self, app: App) -> Result<App> {
        if app.tag.is_empty() {
            return Err(invalid("an app needs a tag"));
        }
        self.run(|| self.engine.create_app(&app)).await
    }

    async fn list_apps(&self) -> Result<Vec<App>> {
        all(self.run(|| self.engine.list_apps()).await?)
    }

    async fn delete_app(&self, id: u32) -> Result<bool> {
        self.run(|| self.engine.delete_app(id.into())).await
    }

    async fn create_user(&self, mut user: User) -> Result<User> {
        if user.uuid.is_empty() {
            return Err(invalid("a user needs a uuid"));
        }
        let id = self.run(|| self.engine.create_user(&user)).await?;
        user.user_id = unsigned(id.ok_or_else(user_taken)?);
        Ok(user)
    }

    async fn update_user(&self, user: User) -> Result<bool> {
        self.run(|| self.engine.update_user(&user)).await
    }

    async fn get_user(&self, uuid: &str) -> Result<Option<User>> {
        let row = self.run(|| self.engine.get_user(uuid.as_bytes())).await?;
        row.map(User::try_from).transpose()
    }

    async fn list_users(&self, after: &str, limit: u32) -> Result<Vec<User>> {
        let limit = page_limit(limit).into();
        all(self.run(|| self.engine.list_users(after.as_bytes(), limit)).await?)
    }

    async fn delete_user(&self, uuid: &str) -> Result<bool> {
        self.run(|| self.engine.delete_user(uuid.as_bytes())).await
    }

    async fn append(&self, entries: Vec<Append>) -> Result<Vec<u64>> {
        for entry in &entries {
            check_channel(entry.channel.as_ref())?;
            check_push(entry.push.as_ref())?;
        }
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let batch = AppendBatch::new(&entries);
        drop(entries);
        let seqs = self.run(|| self.engine.append(&batch)).await?;
        Ok(batch.spread(&seqs))
    }

    async fn reserve(&self, entries: Vec<Reserve>) -> Result<Vec<u64>> {
        for entry in &entries {
            check_channel(entry.channel.as_ref())?;
            if entry.count == 0 {
                return Err(invalid("a range of no numbers"));
            }
        }
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let batch = ReserveBatch::new(&entries);
        let last = self.run(|| self.engine.reserve(&batch)).await?;
        Ok(batch.firsts(&last))
    }

    async fn read(&self, request: ReadRequest) -> Result<ReadPage> {
        check_channel(request.channel.as_ref())?;
        let channel = ChannelRow::from(&request.channel.unwrap_or_default());
        let after = position(request.after);
        self.run(|| {
            let page = LogPage::new(request.limit, request.bytes_max);
            self.engine.read(&channel, after, request.now_ms, page)
        })
        .await
    }

    async fn heads(&self, channels: Vec<Channel>) -> Result<Vec<Head>> {
        let rows: Vec<_> = channels.iter().map(ChannelRow::from).collect();
        let mut heads = vec![Head { first: 1, last: 0 }; channels.len()];
        if channels.is_empty() {
            return Ok(heads);
        }
        for (index, cut, last) in self.run(|| self.engine.heads(&rows)).await? {
            heads[index as usize] = Head { first: unsigned(cut) + 1, last: unsigned(last) };
        }
        Ok(heads)
    }

    async fn get_cursors(&self, devices: Vec<DeviceKey>) -> Result<Vec<Cursors>> {
        if devices.is_empty() {
            return Ok(Vec::new());
        }
        self.cursors_of(&devices).await
    }

    async fn advance_cursors(&self, updates: Vec<CursorUpdate>) -> Result<()> {
        if updates.iter().any(|update| update.device.is_none() || update.cursors.is_none()) {
            return Err(invalid("an update needs a device and cursors"));
        }
        if updates.is_empty() {
            return Ok(());
        }
        let moves = cursor_rows(furthest_per_device(&updates));
        if self.run(|| self.engine.advance(&moves)).await? < moves.len() as u64 {
            let devices: Vec<_> = moves.iter().map(|(device, _)| device.clone()).collect();
            self.run(|| self.engine.register(&devices)).await?;
            self.run(|| self.engine.advance(&moves)).await?;
        }
        Ok(())
    }

    async fn recall(&self, message: u64) -> Result<Vec<Placed>> {
        let at_ms = unix_ms();
        let rows = self.run(|| self.engine.recall(signed(message), at_ms)).await?;
        let placed = rows.into_iter().map(|(kind, app, name, seq)| {
            let (app_id, name) = (app_id(app)?, text(name)?);
            let channel = Some(Channel { kind: kind as i32, app_id, name });
            Ok(Placed { channel, seq: unsigned(seq) })
        });
        placed.collect()
    }

    async fn recalled(&self, messages: Vec<u64>) -> Result<Vec<u64>> {
        if messages.is_empty() {
            return Ok(messages);
        }
        let messages: Vec<i64> = messages.into_iter().map(signed).collect();
        let found = self.run(|| self.engine.recalled(&messages)).await?;
        Ok(found.into_iter().map(unsigned).collect())
    }

    async fn add_status(&self, deltas: Vec<Status>) -> Result<()> {
        if deltas.is_empty() {
            return Ok(());
        }
        let filed_at_ms = unix_ms();
        let mut rows: Vec<_> =
            sum_per_push(&deltas).iter().map(|status| to_row(status, filed_at_ms)).collect();
        rows.sort_unstable_by_key(|row| row[0]);
        self.run(|| self.engine.add_status(&rows)).await
    }

    async fn get_status(&self, message: u64) -> Result<Option<Status>> {
        let status = self.run(|| self.engine.get_status(signed(message))).await?.map(from_row);
        if is_described(&status) {
            return Ok(status);
        }
        let kept = self.run(|| self.engine.kept(signed(message))).await?;
        kept.map_or(Ok(status), |kept| described(message, status, &kept).map(Some))
    }

    async fn get_user_status(&self, message: u64, user: &str) -> Result<UserStatus> {
        let (message, user) = (signed(message), user.as_bytes());
        let (recalled, dead) = self.run(|| self.engine.marks(message, user)).await?;
        let mut status = UserStatus { recalled, dead, ..UserStatus::default() };
        if let Some(entry) = self.run(|| self.engine.entry_for(message, user)).await? {
            status.known = true;
            status.seq = unsigned(entry.seq);
            status.expired = entry.expires_at_ms != 0 && entry.expires_at_ms <= unix_ms();
            // Positions in topics are the clients' own.
            status.acknowledged = entry.kind != ChannelKind::Topic as i64
                && self.run(|| self.engine.passed(&entry, message, user)).await?;
        }
        Ok(status)
    }

    async fn add_dead_letters(&self, letters: Vec<DeadLetter>) -> Result<()> {
        letters.iter().try_for_each(|letter| check_push(letter.push.as_ref()))?;
        let items = letters.into_iter().filter_map(|letter| {
            let push = letter.push?;
            Some(PileItem {
                app_id: letter.app_id.into(),
                message_id: signed(push.id),
                user: letter.user.into_bytes(),
                device: letter.device.into_bytes(),
                content: push.encode_to_vec(),
                reason: letter.reason.into_bytes(),
                at_ms: letter.at_ms,
            })
        });
        let items: Vec<_> = items.collect();
        if items.is_empty() {
            return Ok(());
        }
        self.run(|| self.engine.add(Pile::DeadLetters, &items)).await
    }

    async fn list_dead_letters(&self, page: AppPage) -> Result<Vec<DeadLetter>> {
        let limit = page_limit(page.limit).into();
        let after = position(page.after);
        let call = || self.engine.list_dead_letters(page.app_id.into(), after, limit);
        PilePage::of(self.run(call).await?).into_items()
    }

    async fn delete_dead_letters(&self, app_id: u32, up_to: u64) -> Result<bool> {
        let up_to = position(up_to);
        self.run(|| self.engine.delete_up_to(Pile::DeadLetters, app_id.into(), up_to)).await
    }

    async fn add_upstream(&self, messages: Vec<UpstreamMessage>) -> Result<()> {
        let items = messages.into_iter().map(|message| PileItem {
            app_id: message.app_id.into(),
            message_id: signed(message.id),
            user: message.user.into_bytes(),
            device: message.device.into_bytes(),
            content: message.content.into(),
            reason: Vec::new(),
            at_ms: message.at_ms,
        });
        let items: Vec<_> = items.collect();
        if items.is_empty() {
            return Ok(());
        }
        self.run(|| self.engine.add(Pile::Upstream, &items)).await
    }

    async fn list_upstream(&self, page: AppPage) -> Result<Vec<UpstreamMessage>> {
        let limit = page_limit(page.limit).into();
        let after = position(page.after);
        let call = || self.engine.list_upstream(page.app_id.into(), after, limit);
        PilePage::of(self.run(call).await?).into_items()
    }

    async fn delete_upstream(&self, app_id: u32, up_to: u64) -> Result<bool> {
        let up_to = position(up_to);
        self.run(|| self.engine.delete_up_to(Pile::Upstream, app_id.into(), up_to)).await
    }

    async fn epoch(&self) -> Result<u64> {
        self.run(|| self.ready()).await
    }

    async fn purge(&self, request: PurgeRequest) -> Result<PurgeResult> {
        self.run(|| purge::purge(&self.engine, &request)).await
    }

    async fn close(&self) {
        self.engine.pool().close().await;
    }
}
