//! Apps.

use super::failure::explain;
use super::writer::Write;
use crate::error::{Code, Error, Result};
use async_trait::async_trait;
use gpusher_proto::data::App;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

/// The store chooses ids above this, which is the id of the app that every store begins with.
const FIRST_APP_ID: u32 = 1000;

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
            let text = format!("app {} was removed, and its id is not given again", app.id);
            return Err(Error::new(Code::AlreadyExists, text));
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
            let text = format!("the tag {:?} or the id {} is taken", app.tag, app.id);
            return Err(Error::new(Code::AlreadyExists, text));
        }
        Ok(app)
    }
}

async fn next_id(connection: &mut SqliteConnection) -> Result<u32> {
    let highest: i64 = sqlx::query_scalar(
        "SELECT max(?1, coalesce((SELECT max(id) FROM apps), 0),
                    coalesce((SELECT max(id) FROM removed_apps), 0))",
    )
    .bind(FIRST_APP_ID)
    .fetch_one(connection)
    .await
    .map_err(explain)?;
    u32::try_from(highest + 1)
        .map_err(|_| Error::new(Code::Invalid, "the highest id is taken, name a free one"))
}

pub(super) async fn list(readers: &SqlitePool) -> Result<Vec<App>> {
    let rows = sqlx::query("SELECT id, tag, name, created_at_ms FROM apps ORDER BY id")
        .fetch_all(readers)
        .await
        .map_err(explain)?;
    rows.iter().map(|row| from_row(row).map_err(explain)).collect()
}

fn from_row(row: &SqliteRow) -> sqlx::Result<App> {
    Ok(App {
        id: row.try_get(0)?,
        tag: row.try_get(1)?,
        name: row.try_get(2)?,
        created_at_ms: row.try_get(3)?,
    })
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
