//! What applications read: dead letters, and messages that clients sent them.
//!
//! An app's counter in `meta` is its pile's lock: it is raised first and held until the items can be read. So positions are seen in their
//! order, and an application that has read up to one has missed nothing.

use super::json;
use super::log::STATEMENT_BYTES_MAX;
use crate::store::READ_BYTES_MAX;
use crate::store::rows::{LetterRow, UpstreamRow};
use crate::store::server::batch::PileItem;
use crate::store::server::engine::Pile;
use crate::store::server::failure::Done;
use sqlx::{MySqlConnection, MySqlPool};
use std::collections::BTreeMap;

pub(super) async fn add(pool: &MySqlPool, pile: Pile, items: &[PileItem]) -> Done<()> {
    let mut transaction = pool.begin().await?;
    let mut next = BTreeMap::<i64, i64>::new();
    items.iter().for_each(|item| *next.entry(item.app_id).or_default() += 1);
    for (app_id, position) in &mut next {
        *position = take_positions(&mut transaction, pile, *app_id, *position).await?;
    }
    let mut rest = items;
    while !rest.is_empty() {
        let mut bytes = 0;
        let more = |item: &&PileItem| {
            bytes += item.content.len();
            bytes <= STATEMENT_BYTES_MAX
        };
        let count = rest.iter().take_while(more).count().max(1);
        let (group, others) = rest.split_at(count);
        insert(&mut transaction, pile, group, &mut next).await?;
        rest = others;
    }
    transaction.commit().await?;
    Ok(())
}

/// The first of so many positions.
async fn take_positions(
    connection: &mut MySqlConnection,
    pile: Pile,
    app_id: i64,
    count: i64,
) -> Done<i64> {
    let name = match pile {
        Pile::DeadLetters => format!("dead_letters/{app_id}"),
        Pile::Upstream => format!("upstream/{app_id}"),
    };
    sqlx::query(
        "INSERT INTO meta (name, value) VALUES (?, ?)
         ON DUPLICATE KEY UPDATE value = meta.value + VALUES(value)",
    )
    .bind(name.as_bytes())
    .bind(count)
    .execute(&mut *connection)
    .await?;
    let last: i64 = sqlx::query_scalar("SELECT value FROM meta WHERE name = ?")
        .bind(name.as_bytes())
        .fetch_one(connection)
        .await?;
    Ok(last - count + 1)
}

/// Contents go as one blob that is cut by offsets.
async fn insert(
    connection: &mut MySqlConnection,
    pile: Pile,
    items: &[PileItem],
    next: &mut BTreeMap<i64, i64>,
) -> Done<()> {
    let mut contents = Vec::new();
    let rows = json::list(items, |item, row| {
        let position = next.entry(item.app_id).or_default();
        row.number(item.app_id).number(*position).number(item.message_id);
        row.name(&item.user).name(&item.device).name(&item.reason).number(item.at_ms);
        row.number(contents.len() as i64 + 1).number(item.content.len() as i64);
        *position += 1;
        contents.extend_from_slice(&item.content);
    });
    sqlx::query(match pile {
        Pile::DeadLetters => {
            "INSERT INTO dead_letters
                 (app_id, position, message_id, user, device, reason, at_ms, push)
             SELECT j.app_id, j.position, j.message_id, UNHEX(j.user), UNHEX(j.device),
                 UNHEX(j.reason), j.at_ms, SUBSTRING(?, j.start, j.size)
             FROM JSON_TABLE(?, '$[*]' COLUMNS (
                 app_id BIGINT PATH '$[0]', position BIGINT PATH '$[1]',
                 message_id BIGINT PATH '$[2]', user VARCHAR(8192) PATH '$[3]',
                 device VARCHAR(8192) PATH '$[4]', reason TEXT PATH '$[5]',
                 at_ms BIGINT PATH '$[6]', start BIGINT PATH '$[7]', size BIGINT PATH '$[8]')) AS j
             ON DUPLICATE KEY UPDATE position = dead_letters.position"
        }
        Pile::Upstream => {
            "INSERT INTO upstream
                 (app_id, position, message_id, user, device, at_ms, content)
             SELECT j.app_id, j.position, j.message_id, UNHEX(j.user), UNHEX(j.device),
                 j.at_ms, SUBSTRING(?, j.start, j.size)
             FROM JSON_TABLE(?, '$[*]' COLUMNS (
                 app_id BIGINT PATH '$[0]', position BIGINT PATH '$[1]',
                 message_id BIGINT PATH '$[2]', user VARCHAR(8192) PATH '$[3]',
                 device VARCHAR(8192) PATH '$[4]',
                 at_ms BIGINT PATH '$[6]', start BIGINT PATH '$[7]', size BIGINT PATH '$[8]')) AS j
             ON DUPLICATE KEY UPDATE position = upstream.position"
        }
    })
    .bind(contents)
    .bind(rows)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn list_dead_letters(
    pool: &MySqlPool,
    app_id: i64,
    after: i64,
    limit: i64,
) -> Done<Vec<LetterRow>> {
    let rows = sqlx::query_as(
        "SELECT d.app_id, d.position, d.user, d.device, d.push, d.reason, d.at_ms
         FROM (SELECT e.position, SUM(e.bytes) OVER (ORDER BY e.position) - e.bytes AS bytes_before
               FROM (SELECT position, OCTET_LENGTH(push) AS bytes FROM dead_letters
                     WHERE app_id = ? AND position > ? ORDER BY position LIMIT ?) AS e) AS p
         JOIN dead_letters d ON d.app_id = ? AND d.position = p.position
         WHERE p.bytes_before <= ?
         ORDER BY d.position",
    )
    .bind(app_id)
    .bind(after)
    .bind(limit)
    .bind(app_id)
    .bind(READ_BYTES_MAX as i64)
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

pub(super) async fn list_upstream(
    pool: &MySqlPool,
    app_id: i64,
    after: i64,
    limit: i64,
) -> Done<Vec<UpstreamRow>> {
    let rows = sqlx::query_as(
        "SELECT u.app_id, u.position, u.message_id, u.user, u.device, u.content, u.at_ms
         FROM (SELECT e.position, SUM(e.bytes) OVER (ORDER BY e.position) - e.bytes AS bytes_before
               FROM (SELECT position, OCTET_LENGTH(content) AS bytes FROM upstream
                     WHERE app_id = ? AND position > ? ORDER BY position LIMIT ?) AS e) AS p
         JOIN upstream u ON u.app_id = ? AND u.position = p.position
         WHERE p.bytes_before <= ?
         ORDER BY u.position",
    )
    .bind(app_id)
    .bind(after)
    .bind(limit)
    .bind(app_id)
    .bind(READ_BYTES_MAX as i64)
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

pub(super) async fn delete_up_to(
    pool: &MySqlPool,
    pile: Pile,
    app_id: i64,
    up_to: i64,
) -> Done<bool> {
    let deleted = sqlx::query(match pile {
        Pile::DeadLetters => "DELETE FROM dead_letters WHERE app_id = ? AND position <= ?",
        Pile::Upstream => "DELETE FROM upstream WHERE app_id = ? AND position <= ?",
    })
    .bind(app_id)
    .bind(up_to)
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected() > 0)
}
