//! What applications read: dead letters, and messages that clients sent them.
//!
//! An app's counter in `meta` is its pile's lock: it is raised first and held until the items can be read. So positions are seen in their
//! order, and an application that has read up to one has missed nothing.

use crate::store::READ_BYTES_MAX;
use crate::store::rows::{LetterRow, UpstreamRow};
use crate::store::server::batch::PileItem;
use crate::store::server::engine::Pile;
use crate::store::server::failure::Done;
use sqlx::PgPool;

/// Takes positions, as many as there are items of each app, and gives them to the items in their order.
macro_rules! numbered {
    ($pile:literal, $insert:literal) => {
        concat!(
            r#"WITH item AS MATERIALIZED (
                   SELECT *, row_number() OVER (PARTITION BY app_id ORDER BY at) AS nth,
                          count(*) OVER (PARTITION BY app_id) AS total
                   FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[],
                               $5::bytea[], $6::bytea[], $7::bigint[])
                       WITH ORDINALITY
                       AS e (app_id, message_id, "user", device, content, reason, at_ms, at)
               ), counted AS (
                   INSERT INTO meta (name, value)
                   SELECT '"#,
            $pile,
            r#"/' || app_id, total FROM item WHERE nth = 1 ORDER BY app_id
                   ON CONFLICT (name) DO UPDATE SET value = meta.value + excluded.value
                   RETURNING name, value
               ), numbered AS (
                   SELECT i.*, c.value - i.total + i.nth AS position
                   FROM item i JOIN counted c ON c.name = '"#,
            $pile,
            "/' || i.app_id
               ) ",
            $insert
        )
    };
}

const ADD_DEAD_LETTERS: &str = numbered!(
    "dead_letters",
    r#"INSERT INTO dead_letters
           (app_id, position, "user", device, message_id, push, reason, at_ms)
       SELECT app_id, position, "user", device, message_id, content, reason, at_ms FROM numbered
       ORDER BY app_id, position
       ON CONFLICT (message_id, app_id, "user", device) DO NOTHING"#
);

const ADD_UPSTREAM: &str = numbered!(
    "upstream",
    r#"INSERT INTO upstream (app_id, position, message_id, "user", device, content, at_ms)
       SELECT app_id, position, message_id, "user", device, content, at_ms FROM numbered
       ORDER BY app_id, position
       ON CONFLICT (message_id) DO NOTHING"#
);

pub(super) async fn add(pool: &PgPool, pile: Pile, items: &[PileItem]) -> Done<()> {
    let numbers = |column: fn(&PileItem) -> i64| items.iter().map(column).collect::<Vec<i64>>();
    let bytes = |column: fn(&PileItem) -> &[u8]| items.iter().map(column).collect::<Vec<&[u8]>>();
    sqlx::query(match pile {
        Pile::DeadLetters => ADD_DEAD_LETTERS,
        Pile::Upstream => ADD_UPSTREAM,
    })
    .bind(numbers(|item| item.app_id))
    .bind(numbers(|item| item.message_id))
    .bind(bytes(|item| &item.user))
    .bind(bytes(|item| &item.device))
    .bind(bytes(|item| &item.content))
    .bind(bytes(|item| &item.reason))
    .bind(numbers(|item| item.at_ms))
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn list_dead_letters(
    pool: &PgPool,
    app_id: i64,
    after: i64,
    limit: i64,
) -> Done<Vec<LetterRow>> {
    let rows = sqlx::query_as(
        r#"SELECT app_id, position, "user", device, push, reason, at_ms
           FROM (SELECT *, sum(octet_length(push)) OVER (ORDER BY position) AS bytes
                 FROM (SELECT * FROM dead_letters
                       WHERE app_id = $1 AND position > $2 ORDER BY position LIMIT $3) AS page
                ) AS page
           WHERE bytes - octet_length(push) <= $4
           ORDER BY position"#,
    )
    .bind(app_id)
    .bind(after)
    .bind(limit)
    .bind(READ_BYTES_MAX as i64)
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

pub(super) async fn list_upstream(
    pool: &PgPool,
    app_id: i64,
    after: i64,
    limit: i64,
) -> Done<Vec<UpstreamRow>> {
    let rows = sqlx::query_as(
        r#"SELECT app_id, position, message_id, "user", device, content, at_ms
           FROM (SELECT *, sum(octet_length(content)) OVER (ORDER BY position) AS bytes
                 FROM (SELECT * FROM upstream
                       WHERE app_id = $1 AND position > $2 ORDER BY position LIMIT $3) AS page
                ) AS page
           WHERE bytes - octet_length(content) <= $4
           ORDER BY position"#,
    )
    .bind(app_id)
    .bind(after)
    .bind(limit)
    .bind(READ_BYTES_MAX as i64)
    .fetch_all(pool)
    .await?;
    Ok(rows)
}

pub(super) async fn delete_up_to(pool: &PgPool, pile: Pile, app_id: i64, up_to: i64) -> Done<bool> {
    let deleted = sqlx::query(match pile {
        Pile::DeadLetters => "DELETE FROM dead_letters WHERE app_id = $1 AND position <= $2",
        Pile::Upstream => "DELETE FROM upstream WHERE app_id = $1 AND position <= $2",
    })
    .bind(app_id)
    .bind(up_to)
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected() > 0)
}
