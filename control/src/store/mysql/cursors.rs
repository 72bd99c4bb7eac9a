//! How far each device has come in its user's logs.

use super::json;
use crate::store::server::batch::{CursorRow, DeviceRow};
use crate::store::server::failure::Done;
use sqlx::MySqlPool;

fn list(devices: &[DeviceRow]) -> String {
    json::list(devices, |device, row| {
        row.number(device.app_id).name(&device.user).name(&device.device);
    })
}

pub(super) async fn find(
    pool: &MySqlPool,
    devices: &[DeviceRow],
) -> Done<Vec<(i64, i64, i64, i64)>> {
    let rows = sqlx::query_as(
        "SELECT CAST(j.place AS SIGNED) - 1, k.own, k.app, k.everyone
         FROM JSON_TABLE(?, '$[*]' COLUMNS (
             place FOR ORDINALITY, app_id BIGINT PATH '$[0]', user VARCHAR(8192) PATH '$[1]',
             device VARCHAR(8192) PATH '$[2]')) AS j
         STRAIGHT_JOIN cursors k
             ON k.app_id = j.app_id AND k.user = UNHEX(j.user) AND k.device = UNHEX(j.device)",
    )
    .bind(list(devices))
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

pub(super) async fn register(pool: &MySqlPool, devices: &[DeviceRow]) -> Done<()> {
    sqlx::query(
        "INSERT INTO cursors (app_id, user, device, own, app, everyone)
         SELECT j.app_id, UNHEX(j.user), UNHEX(j.device),
             COALESCE((SELECT MAX(k.own) FROM cursors k
                       WHERE k.app_id = j.app_id AND k.user = UNHEX(j.user)), 0),
             COALESCE((SELECT MAX(k.app) FROM cursors k
                       WHERE k.app_id = j.app_id AND k.user = UNHEX(j.user)), 0),
             COALESCE((SELECT MAX(k.everyone) FROM cursors k
                       WHERE k.app_id = j.app_id AND k.user = UNHEX(j.user)), 0)
         FROM JSON_TABLE(?, '$[*]' COLUMNS (
             app_id BIGINT PATH '$[0]', user VARCHAR(8192) PATH '$[1]',
             device VARCHAR(8192) PATH '$[2]')) AS j
         ON DUPLICATE KEY UPDATE own = cursors.own",
    )
    .bind(list(devices))
    .execute(pool)
    .await?;
    Ok(())
}

/// The join drives the locking: in the order of the batch. Leaves word for the purge, so that it need not search; should that fail, the
/// user's next acknowledgement does.
pub(super) async fn advance(pool: &MySqlPool, moves: &[CursorRow]) -> Done<u64> {
    let rows = json::list(moves, |(device, [own, app, everyone]), row| {
        row.number(device.app_id).name(&device.user).name(&device.device);
        row.number(*own).number(*app).number(*everyone);
    });
    let moved = sqlx::query(
        "UPDATE JSON_TABLE(?, '$[*]' COLUMNS (
             app_id BIGINT PATH '$[0]', user VARCHAR(8192) PATH '$[1]',
             device VARCHAR(8192) PATH '$[2]', own BIGINT PATH '$[3]', app BIGINT PATH '$[4]',
             everyone BIGINT PATH '$[5]')) AS j
         STRAIGHT_JOIN cursors k
             ON k.app_id = j.app_id AND k.user = UNHEX(j.user) AND k.device = UNHEX(j.device)
         SET k.own = GREATEST(k.own, j.own), k.app = GREATEST(k.app, j.app),
             k.everyone = GREATEST(k.everyone, j.everyone)",
    )
    .bind(rows)
    .execute(pool)
    .await?
    .rows_affected();
    let mut users: Vec<_> = moves
        .iter()
        .filter(|(_, [own, ..])| *own > 0)
        .map(|(device, _)| (device.app_id, &device.user))
        .collect();
    users.dedup();
    if users.is_empty() {
        return Ok(moved);
    }
    let rows = json::list(users, |(app_id, user), row| {
        row.number(app_id).name(user);
    });
    sqlx::query(
        "INSERT INTO acknowledged (app_id, user, due_ms)
         SELECT j.app_id, UNHEX(j.user), 0
         FROM JSON_TABLE(?, '$[*]' COLUMNS (
             app_id BIGINT PATH '$[0]', user VARCHAR(8192) PATH '$[1]')) AS j
         ON DUPLICATE KEY UPDATE due_ms = acknowledged.due_ms",
    )
    .bind(rows)
    .execute(pool)
    .await?;
    Ok(moved)
}
