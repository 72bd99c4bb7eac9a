//! Users.

use super::failure::explain;
use super::writer::Write;
use crate::error::Result;
use crate::store::rows::{UserRow, all, signed, unsigned};
use crate::store::{page_limit, user_taken};
use async_trait::async_trait;
use gpusher_proto::data::User;
use sqlx::{SqliteConnection, SqlitePool};

pub(super) struct CreateUser(pub User);

#[async_trait]
impl Write for CreateUser {
    type Output = User;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<User> {
        let mut user = self.0.clone();
        let wanted = (user.user_id != 0).then(|| signed(user.user_id));
        let id: Option<i64> = sqlx::query_scalar(
            "INSERT INTO users
                 (user_id, uuid, username, password_hash, phone, available, created_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT DO NOTHING
             RETURNING user_id",
        )
        .bind(wanted)
        .bind(&user.uuid)
        .bind(&user.username)
        .bind(&user.password_hash)
        .bind(&user.phone)
        .bind(user.available)
        .bind(user.created_at_ms)
        .fetch_optional(connection)
        .await
        .map_err(explain)?;
        user.user_id = unsigned(id.ok_or_else(user_taken)?);
        Ok(user)
    }
}

pub(super) struct UpdateUser(pub User);

#[async_trait]
impl Write for UpdateUser {
    type Output = bool;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<bool> {
        let user = &self.0;
        let updated = sqlx::query(
            "UPDATE users SET username = ?2, phone = ?3, available = ?4,
                 password_hash = CASE ?5 WHEN '' THEN password_hash ELSE ?5 END
             WHERE uuid = ?1",
        )
        .bind(&user.uuid)
        .bind(&user.username)
        .bind(&user.phone)
        .bind(user.available)
        .bind(&user.password_hash)
        .execute(connection)
        .await;
        match updated {
            Ok(updated) => Ok(updated.rows_affected() > 0),
            Err(sqlx::Error::Database(cause)) if cause.is_unique_violation() => Err(user_taken()),
            Err(error) => Err(explain(error)),
        }
    }
}

pub(super) struct DeleteUser(pub String);

#[async_trait]
impl Write for DeleteUser {
    type Output = bool;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<bool> {
        let deleted = sqlx::query("DELETE FROM users WHERE uuid = ?1")
            .bind(&self.0)
            .execute(connection)
            .await
            .map_err(explain)?;
        Ok(deleted.rows_affected() > 0)
    }
}

pub(super) async fn get(readers: &SqlitePool, uuid: &str) -> Result<Option<User>> {
    let row: Option<UserRow> = sqlx::query_as(
        "SELECT uuid, username, password_hash, user_id, phone, available, created_at_ms
         FROM users WHERE uuid = ?1",
    )
    .bind(uuid)
    .fetch_optional(readers)
    .await
    .map_err(explain)?;
    row.map(User::try_from).transpose()
}

pub(super) async fn list(readers: &SqlitePool, after: &str, limit: u32) -> Result<Vec<User>> {
    let rows: Vec<UserRow> = sqlx::query_as(
        "SELECT uuid, username, password_hash, user_id, phone, available, created_at_ms
         FROM users WHERE uuid > ?1 ORDER BY uuid LIMIT ?2",
    )
    .bind(after)
    .bind(page_limit(limit))
    .fetch_all(readers)
    .await
    .map_err(explain)?;
    all(rows)
}
