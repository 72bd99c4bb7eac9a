//! How far each device has come in its user's logs.

use crate::store::server::batch::{CursorRow, DeviceRow};
use crate::store::server::failure::Done;
use sqlx::PgPool;

/// A column each: apps, users, devices.
fn columns<'a>(
    devices: impl Iterator<Item = &'a DeviceRow> + Clone,
) -> (Vec<i64>, Vec<&'a [u8]>, Vec<&'a [u8]>) {
    let apps = devices.clone().map(|row| row.app_id).collect();
    let users = devices.clone().map(|row| &row.user[..]).collect();
    let names = devices.map(|row| &row.device[..]).collect();
    (apps, users, names)
}

pub(super) async fn find(pool: &PgPool, devices: &[DeviceRow]) -> Done<Vec<(i64, i64, i64, i64)>> {
    let (apps, users, names) = columns(devices.iter());
    let rows = sqlx::query_as(
        r#"SELECT e.at - 1, k.own, k.app, k.everyone
           FROM unnest($1::bigint[], $2::bytea[], $3::bytea[])
               WITH ORDINALITY AS e (app_id, "user", device, at)
           JOIN cursors k ON k.app_id = e.app_id AND k."user" = e."user" AND k.device = e.device"#,
    )
    .bind(apps)
    .bind(users)
    .bind(names)
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

pub(super) async fn register(pool: &PgPool, devices: &[DeviceRow]) -> Done<()> {
    let (apps, users, names) = columns(devices.iter());
    sqlx::query(
        r#"INSERT INTO cursors (app_id, "user", device, own, app, everyone)
           SELECT e.app_id, e."user", e.device,
               coalesce(f.own, 0), coalesce(f.app, 0), coalesce(f.everyone, 0)
           FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS e (app_id, "user", device)
           CROSS JOIN LATERAL (
               SELECT max(k.own) AS own, max(k.app) AS app, max(k.everyone) AS everyone
               FROM cursors k WHERE k.app_id = e.app_id AND k."user" = e."user") AS f
           ORDER BY e.app_id, e."user", e.device
           ON CONFLICT DO NOTHING"#,
    )
    .bind(apps)
    .bind(users)
    .bind(names)
    .execute(pool)
    .await?;
    Ok(())
}

/// Rows are locked in the order of the batch before any is changed. Leaves word for the purge, so that it need not search.
pub(super) async fn advance(pool: &PgPool, moves: &[CursorRow]) -> Done<u64> {
    let (apps, users, names) = columns(moves.iter().map(|(device, _)| device));
    let column = |at: usize| moves.iter().map(|(_, cursors)| cursors[at]).collect::<Vec<i64>>();
    let moved: i64 = sqlx::query_scalar(
        r#"WITH new AS MATERIALIZED (
               SELECT e.*
               FROM unnest($1::bigint[], $2::bytea[], $3::bytea[],
                           $4::bigint[], $5::bigint[], $6::bigint[])
                   AS e (app_id, "user", device, own, app, everyone)
               JOIN cursors k
                   ON k.app_id = e.app_id AND k."user" = e."user" AND k.device = e.device
               ORDER BY e.app_id, e."user", e.device
               FOR UPDATE OF k
           ), moved AS (
               UPDATE cursors k SET
                   own = greatest(k.own, new.own), app = greatest(k.app, new.app),
                   everyone = greatest(k.everyone, new.everyone)
               FROM new
               WHERE k.app_id = new.app_id AND k."user" = new."user" AND k.device = new.device
               RETURNING 1
           ), noted AS (
               INSERT INTO acknowledged (app_id, "user", due_ms)
               SELECT app_id, "user", 0 FROM new WHERE own > 0 ORDER BY app_id, "user"
               ON CONFLICT DO NOTHING
           )
           SELECT count(*) FROM moved"#,
    )
    .bind(apps)
    .bind(users)
    .bind(names)
    .bind(column(0))
    .bind(column(1))
    .bind(column(2))
    .fetch_one(pool)
    .await?;
    Ok(moved.cast_unsigned())
}
