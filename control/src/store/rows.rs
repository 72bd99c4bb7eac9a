//! What all SQL engines have in common: how values lie in columns, and where a page ends.

use super::{READ_BYTES_MAX, page_limit};
use crate::error::{Code, Error, Result};
use gpusher_proto::data::{App, DeadLetter, Logged, Push, ReadPage, UpstreamMessage, User};
use prost::Message;

/// SQL's integers are signed: same bits, for ids.
pub(super) fn signed(id: u64) -> i64 {
    id.cast_signed()
}

/// The reverse of [`signed`].
pub(super) fn unsigned(number: i64) -> u64 {
    number.cast_unsigned()
}

/// A number whose order matters; what is beyond SQL's integers is their end.
pub(super) fn position(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Rows as one JSON text, for a statement that takes it apart.
pub(super) fn json<T: serde::Serialize + ?Sized>(rows: &T) -> String {
    serde_json::to_string(rows).expect("rows of numbers and strings")
}

pub(super) fn decode_push(encoded: &[u8]) -> Result<Push> {
    Push::decode(encoded).map_err(|error| damaged("push", error))
}

fn damaged(what: &str, error: impl std::fmt::Display) -> Error {
    Error::new(Code::Internal, format!("a stored {what} is damaged: {error}"))
}

/// Text, which some engines keep as bytes.
pub(super) fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| damaged("name", error))
}

/// An app's id; engines without unsigned numbers have wider ones.
pub(super) fn app_id(number: i64) -> Result<u32> {
    u32::try_from(number).map_err(|error| damaged("app id", error))
}

/// A row of `apps`.
#[derive(sqlx::FromRow)]
pub(super) struct AppRow {
    id: i64,
    tag: Vec<u8>,
    name: Vec<u8>,
    created_at_ms: i64,
}

impl TryFrom<AppRow> for App {
    type Error = Error;

    fn try_from(row: AppRow) -> Result<Self> {
        let AppRow { id, tag, name, created_at_ms } = row;
        Ok(Self { id: app_id(id)?, tag: text(tag)?, name: text(name)?, created_at_ms })
    }
}

/// A row of `users`.
#[derive(sqlx::FromRow)]
pub(super) struct UserRow {
    user_id: i64,
    uuid: Vec<u8>,
    username: Vec<u8>,
    password_hash: Vec<u8>,
    phone: Vec<u8>,
    available: bool,
    created_at_ms: i64,
}

impl TryFrom<UserRow> for User {
    type Error = Error;

    fn try_from(row: UserRow) -> Result<Self> {
        Ok(Self {
            uuid: text(row.uuid)?,
            username: text(row.username)?,
            password_hash: text(row.password_hash)?,
            user_id: unsigned(row.user_id),
            phone: text(row.phone)?,
            available: row.available,
            created_at_ms: row.created_at_ms,
        })
    }
}

/// Rows of a page, as what is asked for.
pub(super) fn all<R, T: TryFrom<R, Error = Error>>(rows: Vec<R>) -> Result<Vec<T>> {
    rows.into_iter().map(T::try_from).collect()
}

/// A row of `dead_letters`.
#[derive(sqlx::FromRow)]
pub(super) struct LetterRow {
    position: i64,
    app_id: i64,
    user: Vec<u8>,
    device: Vec<u8>,
    push: Vec<u8>,
    reason: Vec<u8>,
    at_ms: i64,
}

impl TryFrom<LetterRow> for DeadLetter {
    type Error = Error;

    fn try_from(row: LetterRow) -> Result<Self> {
        Ok(Self {
            position: unsigned(row.position),
            app_id: app_id(row.app_id)?,
            user: text(row.user)?,
            device: text(row.device)?,
            push: Some(decode_push(&row.push)?),
            reason: text(row.reason)?,
            at_ms: row.at_ms,
        })
    }
}

/// A row of `upstream`.
#[derive(sqlx::FromRow)]
pub(super) struct UpstreamRow {
    position: i64,
    message_id: i64,
    app_id: i64,
    user: Vec<u8>,
    device: Vec<u8>,
    content: Vec<u8>,
    at_ms: i64,
}

impl TryFrom<UpstreamRow> for UpstreamMessage {
    type Error = Error;

    fn try_from(row: UpstreamRow) -> Result<Self> {
        Ok(Self {
            position: unsigned(row.position),
            id: unsigned(row.message_id),
            app_id: app_id(row.app_id)?,
            user: text(row.user)?,
            device: text(row.device)?,
            content: row.content.into(),
            at_ms: row.at_ms,
        })
    }
}

/// A row whose size counts for its page.
pub(super) trait PileRow {
    /// Bytes of its content.
    fn content_bytes(&self) -> usize;
}

impl PileRow for LetterRow {
    fn content_bytes(&self) -> usize {
        self.push.len()
    }
}

impl PileRow for UpstreamRow {
    fn content_bytes(&self) -> usize {
        self.content.len()
    }
}

/// A page of a pile that ends before its contents are too many for one answer.
pub(super) struct PilePage<R> {
    rows: Vec<R>,
    bytes: usize,
}

impl<R: PileRow> PilePage<R> {
    pub(super) fn new() -> Self {
        Self { rows: Vec::new(), bytes: 0 }
    }

    /// As many rows as have room.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(super) fn of(rows: Vec<R>) -> Self {
        let mut page = Self::new();
        let _all = rows.into_iter().all(|row| page.add(row));
        page
    }

    /// Whether the row had room; the page is complete if not.
    pub(super) fn add(&mut self, row: R) -> bool {
        let size = row.content_bytes();
        if self.bytes > 0 && self.bytes + size > READ_BYTES_MAX {
            return false;
        }
        self.bytes += size;
        self.rows.push(row);
        true
    }

    pub(super) fn into_items<T: TryFrom<R, Error = Error>>(self) -> Result<Vec<T>> {
        all(self.rows)
    }
}

/// A page of a log, cut by number and by bytes; it has one message at least if there is any.
pub(super) struct LogPage {
    limit: usize,
    bytes_max: usize,
    bytes: usize,
    page: ReadPage,
}

impl LogPage {
    /// Asked for 0 or too much, the most that there is.
    pub(super) fn new(limit: u32, bytes_max: u32) -> Self {
        let bytes_max = match bytes_max as usize {
            0 => READ_BYTES_MAX,
            bytes => bytes.min(READ_BYTES_MAX),
        };
        let limit = page_limit(limit) as usize;
        Self { limit, bytes_max, bytes: 0, page: ReadPage::default() }
    }

    /// Rows to ask for: one more than the page takes, which tells that there is more.
    pub(super) fn rows(&self) -> i64 {
        self.limit as i64 + 1
    }

    /// Bytes before the last row worth asking for.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(super) fn bytes_max(&self) -> i64 {
        self.bytes_max as i64
    }

    /// Whether the row had room; the page is complete if not.
    pub(super) fn add(&mut self, seq: i64, encoded: &[u8]) -> Result<bool> {
        self.bytes += encoded.len();
        let messages = &mut self.page.messages;
        if messages.len() == self.limit || (self.bytes > self.bytes_max && !messages.is_empty()) {
            self.page.more = true;
            return Ok(false);
        }
        messages.push(Logged { seq: unsigned(seq), push: Some(decode_push(encoded)?) });
        Ok(true)
    }

    pub(super) fn finish(self) -> ReadPage {
        self.page
    }
}
