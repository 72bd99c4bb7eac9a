//! How far each device has come in its user's logs.

use super::failure::explain;
use super::writer::Write;
use crate::error::Result;
use crate::store::furthest_per_device;
use crate::store::rows::{json, unsigned};
use async_trait::async_trait;
use gpusher_proto::data::{CursorUpdate, Cursors, DeviceKey};
use sqlx::{SqliteConnection, SqliteExecutor};

/// Cursors per device asked for, where it is known.
pub(super) async fn get(
    executor: impl SqliteExecutor<'_>,
    devices: &[DeviceKey],
) -> Result<Vec<Option<Cursors>>> {
    look_up(executor, devices, false).await
}

/// Cursors per device asked for, where there are any; with `moved`, where one of them is not 0. A row costs more than a look-up, and in a storm most
/// devices are new: only those come back.
async fn look_up(
    executor: impl SqliteExecutor<'_>,
    devices: &[DeviceKey],
    moved: bool,
) -> Result<Vec<Option<Cursors>>> {
    let rows: Vec<(i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT e.key, k.own, k.app, k.everyone
         FROM json_each(?1) e
         CROSS JOIN cursors k ON k.app_id = e.value ->> 0 AND k.user = e.value ->> 1
             AND k.device = e.value ->> 2
         WHERE NOT ?2 OR k.own > 0 OR k.app > 0 OR k.everyone > 0",
    )
    .bind(keys(devices))
    .bind(moved)
    .fetch_all(executor)
    .await
    .map_err(explain)?;
    let mut known = vec![None; devices.len()];
    for (index, own, app, everyone) in rows {
        let cursors =
            Cursors { own: unsigned(own), app: unsigned(app), everyone: unsigned(everyone) };
        known[index as usize] = Some(cursors);
    }
    Ok(known)
}

fn keys(devices: &[DeviceKey]) -> String {
    let keys: Vec<_> = devices.iter().map(|key| (key.app_id, &key.user, &key.device)).collect();
    json(&keys)
}

/// Makes devices known: from then on their users' own messages wait for them too.
pub(super) struct Register(pub Vec<DeviceKey>);

#[async_trait]
impl Write for Register {
    type Output = Vec<Cursors>;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<Vec<Cursors>> {
        register_missing(connection, &keys(&self.0)).await?;
        // They are known, and those of new users stand at 0.
        let moved = look_up(connection, &self.0, true).await?;
        Ok(moved.into_iter().map(Option::unwrap_or_default).collect())
    }
}

/// Adds the devices that are not known, at their user's furthest. `devices`: [[app, user, device, …], …].
async fn register_missing(connection: &mut SqliteConnection, devices: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO cursors (app_id, user, device, own, app, everyone)
         SELECT e.value ->> 0, e.value ->> 1, e.value ->> 2,
             coalesce((SELECT max(k.own) FROM cursors k
                       WHERE k.app_id = e.value ->> 0 AND k.user = e.value ->> 1), 0),
             coalesce((SELECT max(k.app) FROM cursors k
                       WHERE k.app_id = e.value ->> 0 AND k.user = e.value ->> 1), 0),
             coalesce((SELECT max(k.everyone) FROM cursors k
                       WHERE k.app_id = e.value ->> 0 AND k.user = e.value ->> 1), 0)
         FROM json_each(?1) e
         WHERE true
         ON CONFLICT DO NOTHING",
    )
    .bind(devices)
    .execute(connection)
    .await
    .map_err(explain)?;
    Ok(())
}

/// Moves cursors forward. Every update has a device: the store checks that first.
pub(super) struct Advance(pub Vec<CursorUpdate>);

#[async_trait]
impl Write for Advance {
    type Output = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<()> {
        let furthest = furthest_per_device(&self.0);
        let rows: Vec<_> = furthest
            .iter()
            .map(|(key, cursors)| (key.app_id, &key.user, &key.device, cursors))
            .map(|(app_id, user, device, [own, app, everyone])| {
                (app_id, user, device, own, app, everyone)
            })
            .collect();
        let rows = json(&rows);
        if advance(connection, &rows).await? < furthest.len() as u64 {
            register_missing(connection, &rows).await?;
            advance(connection, &rows).await?;
        }
        note_acknowledged(connection, &rows).await
    }
}

/// Returns how many of the devices were known.
async fn advance(connection: &mut SqliteConnection, rows: &str) -> Result<u64> {
    let updated = sqlx::query(
        "UPDATE cursors SET
             own = max(cursors.own, new.own), app = max(cursors.app, new.app),
             everyone = max(cursors.everyone, new.everyone)
         FROM (SELECT e.value ->> 0 AS app_id, e.value ->> 1 AS user, e.value ->> 2 AS device,
                      e.value ->> 3 AS own, e.value ->> 4 AS app, e.value ->> 5 AS everyone
               FROM json_each(?1) e) AS new
         WHERE cursors.app_id = new.app_id AND cursors.user = new.user
           AND cursors.device = new.device",
    )
    .bind(rows)
    .execute(connection)
    .await
    .map_err(explain)?;
    Ok(updated.rows_affected())
}

/// Leaves word for the purge, so that it need not search.
async fn note_acknowledged(connection: &mut SqliteConnection, rows: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO acknowledged (app_id, user, due_ms)
         SELECT e.value ->> 0, e.value ->> 1, 0
         FROM json_each(?1) e
         WHERE e.value ->> 3 > 0
         ON CONFLICT DO NOTHING",
    )
    .bind(rows)
    .execute(connection)
    .await
    .map_err(explain)?;
    Ok(())
}
