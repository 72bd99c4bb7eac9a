//! Message logs.
//!
//! A log's row in `channels` is its lock: a number is given by raising `last_seq`, and the row stays locked until what has the number can be
//! read. So entries become visible in the order of their numbers, in whatever process they were appended, and `last_seq` as others read
//! it is never ahead of the log.

use crate::store::rows::LogPage;
use crate::store::server::batch::{AppendBatch, ChannelRow, ReserveBatch};
use crate::store::server::failure::{Done, Failure};
use futures_util::TryStreamExt;
use gpusher_proto::data::ReadPage;
use sqlx::{PgPool, Row};

/// Entries that are there keep their numbers; only the others take some. Should one of those be appended by somebody else meanwhile, the
/// index over messages refuses it, and nothing was done: the next attempt finds it.
const APPEND: &str = "
    WITH entry AS MATERIALIZED (
        SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bigint[])
            WITH ORDINALITY AS e (kind, app_id, name, message_id, at)
    ), known AS MATERIALIZED (
        SELECT e.at, l.seq
        FROM entry e
        JOIN channels c ON c.kind = e.kind AND c.app_id = e.app_id AND c.name = e.name
        JOIN log l ON l.message_id = e.message_id AND l.channel_id = c.id
    ), fresh AS MATERIALIZED (
        SELECT e.kind, e.app_id, e.name, e.message_id, e.at,
               row_number() OVER (PARTITION BY e.kind, e.app_id, e.name ORDER BY e.at) AS nth,
               count(*) OVER (PARTITION BY e.kind, e.app_id, e.name) AS total
        FROM entry e
        WHERE NOT EXISTS (SELECT 1 FROM known k WHERE k.at = e.at)
    ), numbered AS (
        INSERT INTO channels (kind, app_id, name, last_seq, entries)
        SELECT kind, app_id, name, total, total FROM fresh WHERE nth = 1
        ORDER BY kind, app_id, name
        ON CONFLICT (kind, app_id, name) DO UPDATE SET
            last_seq = channels.last_seq + excluded.last_seq,
            entries = channels.entries + excluded.entries
        RETURNING id, kind, app_id, name, last_seq
    ), placed AS MATERIALIZED (
        SELECT f.at, n.id AS channel_id, n.last_seq - f.total + f.nth AS seq, f.message_id
        FROM fresh f
        JOIN numbered n ON n.kind = f.kind AND n.app_id = f.app_id AND n.name = f.name
    ), logged AS (
        INSERT INTO log (channel_id, seq, message_id)
        SELECT channel_id, seq, message_id FROM placed
    ), kept AS (
        INSERT INTO messages (id, expires_at_ms, accepted_at_ms, push)
        SELECT m.id, m.expires_at_ms, m.accepted_at_ms, m.push
        FROM unnest($5::bigint[], $6::bigint[], $7::bigint[], $8::bytea[])
            AS m (id, expires_at_ms, accepted_at_ms, push)
        WHERE m.id IN (SELECT message_id FROM fresh)
        ORDER BY m.id
        -- Locks a message that is there, so that a purge does not take it for one in no log.
        ON CONFLICT (id) DO UPDATE SET accepted_at_ms = messages.accepted_at_ms
    )
    SELECT at, seq FROM known UNION ALL SELECT at, seq FROM placed";

pub(super) async fn append(pool: &PgPool, batch: &AppendBatch) -> Done<Vec<i64>> {
    let channels = || batch.entries.iter().map(|(channel, _)| &batch.channels[*channel]);
    let kinds: Vec<i64> = channels().map(|channel| channel.kind).collect();
    let apps: Vec<i64> = channels().map(|channel| channel.app_id).collect();
    let names: Vec<&[u8]> = channels().map(|channel| &channel.name[..]).collect();
    let entries: Vec<i64> = batch.entries.iter().map(|(_, message)| *message).collect();
    let messages = &batch.messages;
    let ids: Vec<i64> = messages.iter().map(|message| message.id).collect();
    let expiries: Vec<i64> = messages.iter().map(|message| message.expires_at_ms).collect();
    let acceptances: Vec<i64> = messages.iter().map(|message| message.accepted_at_ms).collect();
    let pushes: Vec<&[u8]> = messages.iter().map(|message| &message.push[..]).collect();
    let rows: Vec<(i64, i64)> = sqlx::query_as(APPEND)
        .bind(kinds)
        .bind(apps)
        .bind(names)
        .bind(entries)
        .bind(ids)
        .bind(expiries)
        .bind(acceptances)
        .bind(pushes)
        .fetch_all(pool)
        .await
        .map_err(lost_if_taken)?;
    let mut seqs = vec![0; batch.entries.len()];
    for (at, seq) in rows {
        seqs[at as usize - 1] = seq;
    }
    Ok(seqs)
}

fn lost_if_taken(error: sqlx::Error) -> Failure {
    match error {
        sqlx::Error::Database(cause) if cause.is_unique_violation() => Failure::Lost,
        error => error.into(),
    }
}

pub(super) async fn reserve(pool: &PgPool, batch: &ReserveBatch) -> Done<Vec<i64>> {
    let kinds: Vec<i64> = batch.channels.iter().map(|(channel, _)| channel.kind).collect();
    let apps: Vec<i64> = batch.channels.iter().map(|(channel, _)| channel.app_id).collect();
    let names: Vec<&[u8]> = batch.channels.iter().map(|(channel, _)| &channel.name[..]).collect();
    let totals: Vec<i64> = batch.channels.iter().map(|(_, total)| *total).collect();
    // Rows come back as they were touched: in the order of the batch, which has each once.
    let last: Vec<i64> = sqlx::query_scalar(
        "INSERT INTO channels (kind, app_id, name, last_seq, entries)
         SELECT c.kind, c.app_id, c.name, c.total, 0
         FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bigint[])
             AS c (kind, app_id, name, total)
         ORDER BY c.kind, c.app_id, c.name
         ON CONFLICT (kind, app_id, name) DO UPDATE SET
             last_seq = channels.last_seq + excluded.last_seq
         RETURNING last_seq",
    )
    .bind(kinds)
    .bind(apps)
    .bind(names)
    .bind(totals)
    .fetch_all(pool)
    .await?;
    assert_eq!(last.len(), batch.channels.len(), "a number for each log");
    Ok(last)
}

pub(super) async fn read(
    pool: &PgPool,
    channel: &ChannelRow,
    after: i64,
    now_ms: i64,
    mut page: LogPage,
) -> Done<ReadPage> {
    // Contents are summed before they are fetched: a page of large ones would fill the connection. The second is fetched in any case: behind one
    // that fills the page alone, it tells that there is more.
    let mut rows = sqlx::query(
        "SELECT p.seq, m.push
         FROM (SELECT seq, message_id, row_number() OVER (ORDER BY seq) AS nth,
                      sum(bytes) OVER (ORDER BY seq) - bytes AS before
               FROM (SELECT l.seq, l.message_id, octet_length(m.push) AS bytes
                     FROM log l JOIN messages m ON m.id = l.message_id
                     WHERE l.channel_id = (SELECT id FROM channels
                                           WHERE kind = $1 AND app_id = $2 AND name = $3)
                       AND l.seq > $4
                       AND (m.expires_at_ms = 0 OR m.expires_at_ms > $5)
                       AND NOT EXISTS (SELECT 1 FROM recalls r WHERE r.message_id = l.message_id)
                     ORDER BY l.seq
                     LIMIT $6) AS entry) AS p
         JOIN messages m ON m.id = p.message_id
         WHERE p.before <= $7 OR p.nth = 2
         ORDER BY p.seq",
    )
    .bind(channel.kind)
    .bind(channel.app_id)
    .bind(&channel.name)
    .bind(after)
    .bind(now_ms)
    .bind(page.rows())
    .bind(page.bytes_max())
    .fetch(pool);
    while let Some(row) = rows.try_next().await? {
        if !page.add(row.try_get(0)?, row.try_get(1)?)? {
            break;
        }
    }
    Ok(page.finish())
}

pub(super) async fn heads(pool: &PgPool, channels: &[ChannelRow]) -> Done<Vec<(i64, i64, i64)>> {
    let kinds: Vec<i64> = channels.iter().map(|channel| channel.kind).collect();
    let apps: Vec<i64> = channels.iter().map(|channel| channel.app_id).collect();
    let names: Vec<&[u8]> = channels.iter().map(|channel| &channel.name[..]).collect();
    let rows = sqlx::query_as(
        "SELECT e.at - 1, c.cut_seq, c.last_seq
         FROM unnest($1::bigint[], $2::bigint[], $3::bytea[])
             WITH ORDINALITY AS e (kind, app_id, name, at)
         JOIN channels c ON c.kind = e.kind AND c.app_id = e.app_id AND c.name = e.name",
    )
    .bind(kinds)
    .bind(apps)
    .bind(names)
    .fetch_all(pool)
    .await?;
    Ok(rows)
}
