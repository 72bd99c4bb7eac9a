//! Apps and users.

use crate::store::rows::{AppRow, UserRow, signed};
use crate::store::server::failure::{Done, Failure};
use crate::store::{app_removed, app_taken, next_app_id};
use gpusher_proto::data::{App, User};
use sqlx::{MySqlConnection, MySqlPool};

pub(super) async fn create_app(pool: &MySqlPool, app: &App) -> Done<App> {
    let mut transaction = pool.begin().await?;
    hold(&mut transaction, "app").await?;
    let mut app = app.clone();
    if app.id == 0 {
        let highest = sqlx::query_scalar(
            "SELECT GREATEST(COALESCE((SELECT MAX(id) FROM apps), 0),
                             COALESCE((SELECT MAX(id) FROM removed_apps), 0))",
        );
        app.id = next_app_id(highest.fetch_one(&mut *transaction).await?)?;
    }
    let removed: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM removed_apps WHERE id = ?)")
            .bind(i64::from(app.id))
            .fetch_one(&mut *transaction)
            .await?;
    if removed {
        return Err(Failure::Refused(app_removed(&app)));
    }
    let created =
        sqlx::query("INSERT INTO apps (id, tag, name, created_at_ms) VALUES (?, ?, ?, ?)")
            .bind(i64::from(app.id))
            .bind(app.tag.as_bytes())
            .bind(app.name.as_bytes())
            .bind(app.created_at_ms)
            .execute(&mut *transaction)
            .await;
    if is_taken(created)? {
        return Err(Failure::Refused(app_taken(&app)));
    }
    transaction.commit().await?;
    Ok(app)
}

/// Whoever chooses an id holds its counter, and looks at what there is only then: two never choose the same.
async fn hold(connection: &mut MySqlConnection, counter: &str) -> Done<i64> {
    let value = sqlx::query_scalar("SELECT value FROM meta WHERE name = ? FOR UPDATE")
        .bind(counter.as_bytes())
        .fetch_one(connection)
        .await?;
    Ok(value)
}

/// Whether a row was refused because there is such a one.
fn is_taken<T>(result: sqlx::Result<T>) -> Done<bool> {
    match result {
        Ok(_) => Ok(false),
        Err(sqlx::Error::Database(cause)) if cause.is_unique_violation() => Ok(true),
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn list_apps(pool: &MySqlPool) -> Done<Vec<AppRow>> {
    let rows = sqlx::query_as("SELECT id, tag, name, created_at_ms FROM apps ORDER BY id")
        .fetch_all(pool)
        .await?;
    Ok(rows)
}

/// Takes an app off the list; purges find its logs by `removed_apps`.
pub(super) async fn delete_app(pool: &MySqlPool, id: i64) -> Done<bool> {
    let mut transaction = pool.begin().await?;
    let deleted = sqlx::query("DELETE FROM apps WHERE id = ?")
        .bind(id)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
    if deleted > 0 {
        sqlx::query("INSERT INTO removed_apps (id) VALUES (?)")
            .bind(id)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(deleted > 0)
}

pub(super) async fn create_user(pool: &MySqlPool, user: &User) -> Done<Option<i64>> {
    let mut transaction = pool.begin().await?;
    let last = hold(&mut transaction, "user").await?;
    let id = match user.user_id {
        0 => next_user_id(&mut transaction, last).await?,
        id => signed(id),
    };
    let created = sqlx::query(
        "INSERT INTO users (user_id, uuid, username, password_hash, phone, available, created_at_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(id)
    .bind(user.uuid.as_bytes())
    .bind(user.username.as_bytes())
    .bind(user.password_hash.as_bytes())
    .bind(user.phone.as_bytes())
    .bind(user.available)
    .bind(user.created_at_ms)
    .execute(&mut *transaction)
    .await;
    if is_taken(created)? {
        return Ok(None);
    }
    transaction.commit().await?;
    Ok(Some(id))
}

/// Above all that were given, also those that callers chose themselves.
async fn next_user_id(connection: &mut MySqlConnection, last: i64) -> Done<i64> {
    let highest: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(user_id), 0) FROM users")
        .fetch_one(&mut *connection)
        .await?;
    let id = highest.max(last).saturating_add(1);
    sqlx::query("UPDATE meta SET value = ? WHERE name = 'user'")
        .bind(id)
        .execute(connection)
        .await?;
    Ok(id)
}

/// An unique violation if the username is taken.
pub(super) async fn update_user(pool: &MySqlPool, user: &User) -> Done<bool> {
    let updated = sqlx::query(
        "UPDATE users SET username = ?, phone = ?, available = ?,
             password_hash = COALESCE(?, password_hash)
         WHERE uuid = ?",
    )
    .bind(user.username.as_bytes())
    .bind(user.phone.as_bytes())
    .bind(user.available)
    .bind((!user.password_hash.is_empty()).then_some(user.password_hash.as_bytes()))
    .bind(user.uuid.as_bytes())
    .execute(pool)
    .await?;
    Ok(updated.rows_affected() > 0)
}

pub(super) async fn get_user(pool: &MySqlPool, uuid: &[u8]) -> Done<Option<UserRow>> {
    let row = sqlx::query_as(
        "SELECT uuid, username, password_hash, user_id, phone, available, created_at_ms
         FROM users WHERE uuid = ?",
    )
    .bind(uuid)
    .fetch_optional(pool)
    .await?;
    Ok(row)
}

pub(super) async fn list_users(pool: &MySqlPool, after: &[u8], limit: i64) -> Done<Vec<UserRow>> {
    let rows = sqlx::query_as(
        "SELECT uuid, username, password_hash, user_id, phone, available, created_at_ms
         FROM users WHERE uuid > ? ORDER BY uuid LIMIT ?",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

pub(super) async fn delete_user(pool: &MySqlPool, uuid: &[u8]) -> Done<bool> {
    let deleted = sqlx::query("DELETE FROM users WHERE uuid = ?").bind(uuid).execute(pool).await?;
    Ok(deleted.rows_affected() > 0)
}
