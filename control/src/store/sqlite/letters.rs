//! What applications read: dead letters, and messages that clients sent them.

use super::failure::explain;
use super::writer::Write;
use super::{decode_push, json, position, signed, unsigned};
use crate::error::Result;
use crate::store::{READ_BYTES_MAX, page_limit};
use async_trait::async_trait;
use futures_util::TryStreamExt;
use gpusher_proto::data::{AppPage, DeadLetter, UpstreamMessage};
use prost::Message;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

/// Files each (message, device) once. Every letter has a push: the store checks that first.
pub(super) struct AddDeadLetters(pub Vec<DeadLetter>);

#[async_trait]
impl Write for AddDeadLetters {
    type Output = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<()> {
        let mut contents = Vec::new();
        let mut rows = Vec::with_capacity(self.0.len());
        for letter in &self.0 {
            let Some(push) = &letter.push else { continue };
            let start = contents.len();
            push.encode(&mut contents).expect("a vector takes any message");
            rows.push((
                letter.app_id,
                &letter.user,
                &letter.device,
                signed(push.id),
                start + 1,
                contents.len() - start,
                &letter.reason,
                letter.at_ms,
            ));
        }
        sqlx::query(
            "INSERT INTO dead_letters (app_id, user, device, message_id, push, reason, at_ms)
             SELECT e.value ->> 0, e.value ->> 1, e.value ->> 2, e.value ->> 3,
                 substr(?2, e.value ->> 4, e.value ->> 5), e.value ->> 6, e.value ->> 7
             FROM json_each(?1) e
             WHERE true
             ON CONFLICT DO NOTHING",
        )
        .bind(json(&rows))
        .bind(contents)
        .execute(connection)
        .await
        .map_err(explain)?;
        Ok(())
    }
}

pub(super) struct AddUpstream(pub Vec<UpstreamMessage>);

#[async_trait]
impl Write for AddUpstream {
    type Output = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<()> {
        // Should all contents be empty, the driver binds null for them.
        let mut contents = Vec::new();
        let mut rows = Vec::with_capacity(self.0.len());
        for message in &self.0 {
            let start = contents.len() + 1;
            contents.extend_from_slice(&message.content);
            rows.push((
                signed(message.id),
                message.app_id,
                &message.user,
                &message.device,
                start,
                message.content.len(),
                message.at_ms,
            ));
        }
        sqlx::query(
            "INSERT INTO upstream (message_id, app_id, user, device, content, at_ms)
             SELECT e.value ->> 0, e.value ->> 1, e.value ->> 2, e.value ->> 3,
                 coalesce(substr(?2, e.value ->> 4, e.value ->> 5), x''), e.value ->> 6
             FROM json_each(?1) e
             WHERE true
             ON CONFLICT DO NOTHING",
        )
        .bind(json(&rows))
        .bind(contents)
        .execute(connection)
        .await
        .map_err(explain)?;
        Ok(())
    }
}

pub(super) async fn list_dead_letters(
    readers: &SqlitePool,
    page: AppPage,
) -> Result<Vec<DeadLetter>> {
    let mut letters = Vec::new();
    list(
        readers,
        "SELECT push, position, app_id, user, device, reason, at_ms FROM dead_letters
         WHERE app_id = ?1 AND position > ?2 ORDER BY position LIMIT ?3",
        page,
        |row| {
            letters.push(DeadLetter {
                push: Some(decode_push(row.try_get(0).map_err(explain)?)?),
                position: unsigned(row.try_get(1).map_err(explain)?),
                app_id: row.try_get(2).map_err(explain)?,
                user: row.try_get(3).map_err(explain)?,
                device: row.try_get(4).map_err(explain)?,
                reason: row.try_get(5).map_err(explain)?,
                at_ms: row.try_get(6).map_err(explain)?,
            });
            Ok(())
        },
    )
    .await?;
    Ok(letters)
}

pub(super) async fn list_upstream(
    readers: &SqlitePool,
    page: AppPage,
) -> Result<Vec<UpstreamMessage>> {
    let mut messages = Vec::new();
    list(
        readers,
        "SELECT content, position, message_id, app_id, user, device, at_ms FROM upstream
         WHERE app_id = ?1 AND position > ?2 ORDER BY position LIMIT ?3",
        page,
        |row| {
            messages.push(UpstreamMessage {
                content: row.try_get::<Vec<u8>, _>(0).map_err(explain)?.into(),
                position: unsigned(row.try_get(1).map_err(explain)?),
                id: unsigned(row.try_get(2).map_err(explain)?),
                app_id: row.try_get(3).map_err(explain)?,
                user: row.try_get(4).map_err(explain)?,
                device: row.try_get(5).map_err(explain)?,
                at_ms: row.try_get(6).map_err(explain)?,
            });
            Ok(())
        },
    )
    .await?;
    Ok(messages)
}

/// Walks a page whose first column is its bytes, and ends it before they are too many for one answer.
async fn list(
    readers: &SqlitePool,
    query: &'static str,
    page: AppPage,
    mut take: impl FnMut(&SqliteRow) -> Result<()> + Send,
) -> Result<()> {
    let mut rows = sqlx::query(query)
        .bind(page.app_id)
        .bind(position(page.after))
        .bind(page_limit(page.limit))
        .fetch(readers);
    let mut bytes = 0;
    while let Some(row) = rows.try_next().await.map_err(explain)? {
        let size = row.try_get::<&[u8], _>(0).map_err(explain)?.len();
        if bytes > 0 && bytes + size > READ_BYTES_MAX {
            break;
        }
        bytes += size;
        take(&row)?;
    }
    Ok(())
}

/// Which of the two piles.
#[derive(Clone, Copy)]
pub(super) enum Pile {
    DeadLetters,
    Upstream,
}

/// Removes what the application has read.
pub(super) struct DeleteUpTo {
    pub(super) pile: Pile,
    pub(super) app_id: u32,
    pub(super) up_to: u64,
}

#[async_trait]
impl Write for DeleteUpTo {
    type Output = bool;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<bool> {
        let deleted = sqlx::query(match self.pile {
            Pile::DeadLetters => "DELETE FROM dead_letters WHERE app_id = ?1 AND position <= ?2",
            Pile::Upstream => "DELETE FROM upstream WHERE app_id = ?1 AND position <= ?2",
        })
        .bind(self.app_id)
        .bind(position(self.up_to))
        .execute(connection)
        .await
        .map_err(explain)?;
        Ok(deleted.rows_affected() > 0)
    }
}
