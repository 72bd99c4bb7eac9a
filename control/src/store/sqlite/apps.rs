//! Apps.

use super::failure::explain;
use super::writer::Write;
use crate::error::Result;
use crate::store::rows::{AppRow, all};
use crate::store::{app_removed, app_taken, next_app_id};
use async_trait::async_trait;
use gpusher_proto::data::App;
use sqlx::{SqliteConnection, SqlitePool};

pub(super) struct CreateApp(pub App);

#[async_trait]
impl Write for CreateApp {
    type Output = App;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<App> {
        let mut app = self.0.clone();
        if app.id == 0 {
            app.id = next_id(connection).await?;
        }
        let removed: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM removed_apps WHERE id = ?1)")
                .bind(app.id)
                .fetch_one(&mut *connection)
                .await
                .map_err(explain)?;
        if removed {
            return Err(app_removed(&app));
        }
        let created = sqlx::query(
            "INSERT INTO apps (id, tag, name, created_at_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
        )
        .bind(app.id)
        .bind(&app.tag)
        .bind(&app.name)
        .bind(app.created_at_ms)
        .execute(connection)
        .await
        .map_err(explain)?;
        if created.rows_affected() == 0 {
            return Err(app_taken(&app));
        }
        Ok(app)
    }
}

async fn next_id(connection: &mut SqliteConnection) -> Result<u32> {
    let highest: i64 = sqlx::query_scalar(
        "SELECT max(coalesce((SELECT max(id) FROM apps), 0),
                    coalesce((SELECT max(id) FROM removed_apps), 0))",
    )
    .fetch_one(connection)
    .await
    .map_err(explain)?;
    next_app_id(highest)
}

pub(super) async fn list(readers: &SqlitePool) -> Result<Vec<App>> {
    let rows: Vec<AppRow> =
        sqlx::query_as("SELECT id, tag, name, created_at_ms FROM apps ORDER BY id")
            .fetch_all(readers)
            .await
            .map_err(explain)?;
    all(rows)
}

/// Takes an app off the list; purges find its logs by `removed_apps`.
pub(super) struct DeleteApp(pub u32);

#[async_trait]
impl Write for DeleteApp {
    type Output = bool;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<bool> {
        let deleted = sqlx::query("DELETE FROM apps WHERE id = ?1")
            .bind(self.0)
            .execute(&mut *connection)
            .await
            .map_err(explain)?;
        if deleted.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("INSERT INTO removed_apps (id) VALUES (?1) ON CONFLICT DO NOTHING")
            .bind(self.0)
            .execute(connection)
            .await
            .map_err(explain)?;
        Ok(true)
    }
}
