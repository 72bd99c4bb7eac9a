//! A store that a message role holds.

use super::Store;
use crate::error::Result;
use crate::message::connection::{Authorized, Connection, call, one_each};
use crate::message::{MESSAGE_BYTES_MAX, calls, shortened_calls};
use async_trait::async_trait;
use gpusher_proto::data::store_client::StoreClient;
use gpusher_proto::data::*;

/// Asks the message role. A call that got no answer may have been carried out; those of the path of a push can be
/// repeated without harm, but for counters and reserved numbers.
pub struct RemoteStore {
    client: StoreClient<Authorized>,
}

impl RemoteStore {
    /// The store behind a connection.
    pub fn new(connection: &Connection) -> Self {
        let client = StoreClient::new(connection.channel())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Self { client }
    }
}

/// A push to many users is one message in many logs: behind the first of them, its id says it.
pub(crate) fn without_repeat(before: &Append, entry: &Append) -> Option<Append> {
    let (before, push) = (before.push.as_ref()?, entry.push.as_ref()?);
    let named = || Push { id: push.id, ..Push::default() };
    (before.id == push.id).then(|| Append { channel: entry.channel.clone(), push: Some(named()) })
}

#[async_trait]
impl Store for RemoteStore {
    async fn create_app(&self, app: App) -> Result<App> {
        call!(self.client, create_app, app)
    }

    async fn list_apps(&self) -> Result<Vec<App>> {
        Ok(call!(self.client, list_apps, Nothing {})?.apps)
    }

    async fn delete_app(&self, id: u32) -> Result<bool> {
        Ok(call!(self.client, delete_app, AppKey { id })?.found)
    }

    async fn create_user(&self, user: User) -> Result<User> {
        call!(self.client, create_user, user)
    }

    async fn update_user(&self, user: User) -> Result<bool> {
        Ok(call!(self.client, update_user, user)?.found)
    }

    async fn get_user(&self, uuid: &str) -> Result<Option<User>> {
        Ok(call!(self.client, get_user, UserKey { uuid: uuid.to_owned() })?.user)
    }

    async fn list_users(&self, after: &str, limit: u32) -> Result<Vec<User>> {
        Ok(call!(self.client, list_users, Page { after: after.to_owned(), limit })?.users)
    }

    async fn delete_user(&self, uuid: &str) -> Result<bool> {
        Ok(call!(self.client, delete_user, UserKey { uuid: uuid.to_owned() })?.found)
    }

    async fn append(&self, entries: Vec<Append>) -> Result<Vec<u64>> {
        let asked = entries.len();
        let mut seqs = Vec::with_capacity(asked);
        for entries in shortened_calls(entries, without_repeat) {
            seqs.extend(call!(self.client, append, AppendRequest { entries })?.seqs);
        }
        one_each(seqs, asked)
    }

    async fn reserve(&self, entries: Vec<Reserve>) -> Result<Vec<u64>> {
        let asked = entries.len();
        one_each(call!(self.client, reserve, ReserveRequest { entries })?.seqs, asked)
    }

    async fn read(&self, request: ReadRequest) -> Result<ReadPage> {
        call!(self.client, read, request)
    }

    async fn heads(&self, channels: Vec<Channel>) -> Result<Vec<Head>> {
        let asked = channels.len();
        one_each(call!(self.client, heads, ChannelKeys { channels })?.heads, asked)
    }

    async fn get_cursors(&self, devices: Vec<DeviceKey>) -> Result<Vec<Cursors>> {
        let asked = devices.len();
        one_each(call!(self.client, get_cursors, DeviceKeys { devices })?.of, asked)
    }

    async fn advance_cursors(&self, updates: Vec<CursorUpdate>) -> Result<()> {
        for updates in calls(updates) {
            call!(self.client, advance_cursors, CursorUpdates { updates })?;
        }
        Ok(())
    }

    async fn recall(&self, message: u64) -> Result<Vec<Placed>> {
        Ok(call!(self.client, recall, MessageKey { id: message })?.placed)
    }

    async fn recalled(&self, messages: Vec<u64>) -> Result<Vec<u64>> {
        Ok(call!(self.client, recalled, MessageKeys { ids: messages })?.ids)
    }

    async fn add_status(&self, deltas: Vec<Status>) -> Result<()> {
        for deltas in calls(deltas) {
            call!(self.client, add_status, StatusUpdates { deltas })?;
        }
        Ok(())
    }

    async fn get_status(&self, message: u64) -> Result<Option<Status>> {
        Ok(call!(self.client, get_status, MessageKey { id: message })?.status)
    }

    async fn get_user_status(&self, message: u64, user: &str) -> Result<UserStatus> {
        let key = UserMessageKey { id: message, user: user.to_owned() };
        call!(self.client, get_user_status, key)
    }

    async fn add_dead_letters(&self, letters: Vec<DeadLetter>) -> Result<()> {
        for letters in calls(letters) {
            call!(self.client, add_dead_letters, DeadLetters { letters })?;
        }
        Ok(())
    }

    async fn list_dead_letters(&self, page: AppPage) -> Result<Vec<DeadLetter>> {
        Ok(call!(self.client, list_dead_letters, page)?.letters)
    }

    async fn delete_dead_letters(&self, app_id: u32, up_to: u64) -> Result<bool> {
        Ok(call!(self.client, delete_dead_letters, AppUpTo { app_id, up_to })?.found)
    }

    async fn add_upstream(&self, messages: Vec<UpstreamMessage>) -> Result<()> {
        for messages in calls(messages) {
            call!(self.client, add_upstream, UpstreamMessages { messages })?;
        }
        Ok(())
    }

    async fn list_upstream(&self, page: AppPage) -> Result<Vec<UpstreamMessage>> {
        Ok(call!(self.client, list_upstream, page)?.messages)
    }

    async fn delete_upstream(&self, app_id: u32, up_to: u64) -> Result<bool> {
        Ok(call!(self.client, delete_upstream, AppUpTo { app_id, up_to })?.found)
    }

    async fn epoch(&self) -> Result<u64> {
        Ok(call!(self.client, epoch, Nothing {})?.epoch)
    }

    async fn purge(&self, request: PurgeRequest) -> Result<PurgeResult> {
        call!(self.client, purge, request)
    }
}
