//! What applications read: dead letters, and messages that clients sent them.

use super::failure::explain;
use super::writer::Write;
use crate::error::{Error, Result};
use crate::store::page_limit;
use crate::store::rows::{LetterRow, PilePage, PileRow, UpstreamRow, json, position, signed};
use async_trait::async_trait;
use futures_util::TryStreamExt;
use gpusher_proto::data::{AppPage, DeadLetter, UpstreamMessage};
use prost::Message;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, SqliteConnection, SqlitePool};

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
    list::<LetterRow, _>(
        readers,
        "SELECT push, position, app_id, user, device, reason, at_ms FROM dead_letters
         WHERE app_id = ?1 AND position > ?2 ORDER BY position LIMIT ?3",
        page,
    )
    .await
}

pub(super) async fn list_upstream(
    readers: &SqlitePool,
    page: AppPage,
) -> Result<Vec<UpstreamMessage>> {
    list::<UpstreamRow, _>(
        readers,
        "SELECT content, position, message_id, app_id, user, device, at_ms FROM upstream
         WHERE app_id = ?1 AND position > ?2 ORDER BY position LIMIT ?3",
        page,
    )
    .await
}

async fn list<R, T>(readers: &SqlitePool, query: &'static str, page: AppPage) -> Result<Vec<T>>
where
    R: PileRow + Send + Unpin + for<'r> FromRow<'r, SqliteRow>,
    T: TryFrom<R, Error = Error>,
{
    let mut rows = sqlx::query_as::<_, R>(query)
        .bind(page.app_id)
        .bind(position(page.after))
        .bind(page_limit(page.limit))
        .fetch(readers);
    let mut page = PilePage::new();
    while let Some(row) = rows.try_next().await.map_err(explain)? {
        if !page.add(row) {
            break;
        }
    }
    page.into_items()
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
