//! Apps and users.

use crate::store::rows::{AppRow, UserRow, signed};
use crate::store::server::failure::{Done, Failure};
use crate::store::{app_removed, app_taken};
use gpusher_proto::data::{App, User};
use sqlx::{PgConnection, PgPool};

pub(super) async fn create_app(pool: &PgPool, app: &App) -> Done<App> {
    let mut transaction = pool.begin().await?;
    hold(&mut transaction, "app").await?;
    let highest: i64 = sqlx::query_scalar(
        "SELECT greatest((SELECT max(id) FROM apps), (SELECT max(id) FROM removed_apps), 0)",
    )
    .fetch_one(&mut *transaction)
    .await?;
    let mut app = app.clone();
    if app.id == 0 {
        app.id = crate::store::next_app_id(highest)?;
    }
    if is_removed(&mut transaction, app.id.into()).await? {
        return Err(Failure::Refused(app_removed(&app)));
    }
    let created = sqlx::query(
        "INSERT INTO apps (id, tag, name, created_at_ms) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
    )
    .bind(i64::from(app.id))
    .bind(app.tag.as_bytes())
    .bind(app.name.as_bytes())
    .bind(app.created_at_ms)
    .execute(&mut *transaction)
    .await?;
    if created.rows_affected() == 0 {
        return Err(Failure::Refused(app_taken(&app)));
    }
    transaction.commit().await?;
    Ok(app)
}

/// Whoever chooses an id holds its counter, and looks at what there is only then: two never choose the same.
async fn hold(connection: &mut PgConnection, counter: &str) -> Done<i64> {
    let value = sqlx::query_scalar("SELECT value FROM meta WHERE name = $1 FOR UPDATE")
        .bind(counter)
        .fetch_one(connection)
        .await?;
    Ok(value)
}

async fn is_removed(connection: &mut PgConnection, id: i64) -> Done<bool> {
    let removed = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM removed_apps WHERE id = $1)")
        .bind(id)
        .fetch_one(connection)
        .await?;
    Ok(removed)
}

pub(super) async fn list_apps(pool: &PgPool) -> Done<Vec<AppRow>> {
    let rows = sqlx::query_as("SELECT id, tag, name, created_at_ms FROM apps ORDER BY id")
        .fetch_all(pool)
        .await?;
    Ok(rows)
}

/// Takes an app off the list; purges find its logs by `removed_apps`.
pub(super) async fn delete_app(pool: &PgPool, id: i64) -> Done<bool> {
    let deleted: i64 = sqlx::query_scalar(
        "WITH deleted AS (DELETE FROM apps WHERE id = $1 RETURNING id),
              noted AS (INSERT INTO removed_apps (id) SELECT id FROM deleted ON CONFLICT DO NOTHING)
         SELECT count(*) FROM deleted",
    )
    .bind(id)
    .fetch_one(pool)
    .await?;
    Ok(deleted > 0)
}

pub(super) async fn create_user(pool: &PgPool, user: &User) -> Done<Option<i64>> {
    let mut transaction = pool.begin().await?;
    let last = hold(&mut transaction, "user").await?;
    let id = match user.user_id {
        0 => next_user_id(&mut transaction, last).await?,
        id => signed(id),
    };
    let created = sqlx::query(
        "INSERT INTO users (user_id, uuid, username, password_hash, phone, available, created_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT DO NOTHING",
    )
    .bind(id)
    .bind(user.uuid.as_bytes())
    .bind(user.username.as_bytes())
    .bind(user.password_hash.as_bytes())
    .bind(user.phone.as_bytes())
    .bind(user.available)
    .bind(user.created_at_ms)
    .execute(&mut *transaction)
    .await?;
    if created.rows_affected() == 0 {
        return Ok(None);
    }
    transaction.commit().await?;
    Ok(Some(id))
}

/// Above all that were given, also those that callers chose themselves.
async fn next_user_id(connection: &mut PgConnection, last: i64) -> Done<i64> {
    let id = sqlx::query_scalar(
        "UPDATE meta SET value = greatest($1, (SELECT max(user_id) FROM users)) + 1
         WHERE name = 'user' RETURNING value",
    )
    .bind(last)
    .fetch_one(connection)
    .await?;
    Ok(id)
}

/// An unique violation if the username is taken.
pub(super) async fn update_user(pool: &PgPool, user: &User) -> Done<bool> {
    let updated = sqlx::query(
        "UPDATE users SET username = $2, phone = $3, available = $4,
             password_hash = CASE WHEN $5 = ''::bytea THEN password_hash ELSE $5 END
         WHERE uuid = $1",
    )
    .bind(user.uuid.as_bytes())
    .bind(user.username.as_bytes())
    .bind(user.phone.as_bytes())
    .bind(user.available)
    .bind(user.password_hash.as_bytes())
    .execute(pool)
    .await?;
    Ok(updated.rows_affected() > 0)
}

pub(super) async fn get_user(pool: &PgPool, uuid: &[u8]) -> Done<Option<UserRow>> {
    let row = sqlx::query_as(
        "SELECT uuid, username, password_hash, user_id, phone, available, created_at_ms
         FROM users WHERE uuid = $1",
    )
    .bind(uuid)
    .fetch_optional(pool)
    .await?;
    Ok(row)
}

pub(super) async fn list_users(pool: &PgPool, after: &[u8], limit: i64) -> Done<Vec<UserRow>> {
    let rows = sqlx::query_as(
        "SELECT uuid, username, password_hash, user_id, phone, available, created_at_ms
         FROM users WHERE uuid > $1 ORDER BY uuid LIMIT $2",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

pub(super) async fn delete_user(pool: &PgPool, uuid: &[u8]) -> Done<bool> {
    let deleted = sqlx::query("DELETE FROM users WHERE uuid = $1").bind(uuid).execute(pool).await?;
    Ok(deleted.rows_affected() > 0)
}
