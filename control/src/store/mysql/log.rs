//! Message logs.
//!
//! A log's row in `channels` is its lock: a number is given by raising `last_seq`, and the row stays locked until what has the number can be
//! read. So entries become visible in the order of their numbers, in whatever process they were appended, and `last_seq` as others read
//! it is never ahead of the log.

use super::json;
use crate::store::rows::LogPage;
use crate::store::server::batch::{AppendBatch, ChannelRow, MessageRow, ReserveBatch};
use crate::store::server::failure::Done;
use futures_util::TryStreamExt;
use gpusher_proto::data::ReadPage;
use rustc_hash::FxHashSet;
use sqlx::{MySqlConnection, MySqlPool, Row};

/// Contents that go into one statement: well below `max_allowed_packet`, which is 16 MiB unless somebody has changed it.
pub(super) const STATEMENT_BYTES_MAX: usize = 4 << 20;

/// An entry as it was found once its log was locked.
type Found = (i64, i64, i64, Option<i64>);

pub(super) async fn append(pool: &MySqlPool, batch: &AppendBatch) -> Done<Vec<i64>> {
    let mut counts = vec![0; batch.channels.len()];
    batch.entries.iter().for_each(|(channel, _)| counts[*channel] += 1);
    let mut transaction = pool.begin().await?;
    let channels = batch.channels.iter().zip(counts.iter().copied());
    take_numbers(&mut transaction, channels.map(|(channel, count)| (channel, count, count)))
        .await?;
    let found = find(&mut transaction, batch).await?;

    // The range of a log's numbers goes to its entries in their order. What is there already keeps its number; the one taken for it is
    // skipped. Nobody else can have added one of them since: the logs are locked.
    let mut seqs = vec![0; batch.entries.len()];
    let mut next = vec![0; batch.channels.len()];
    let mut fresh = Vec::with_capacity(batch.entries.len());
    let mut repeated = Vec::new();
    for (at, log, last, earlier) in found {
        let at = at as usize;
        let (channel, message) = batch.entries[at];
        next[channel] += 1;
        seqs[at] = earlier.unwrap_or(last - counts[channel] + next[channel]);
        match earlier {
            None => fresh.push((log, seqs[at], message)),
            Some(_) => repeated.push((log, 1, 0)),
        }
    }
    if !repeated.is_empty() {
        super::purge::shrink(&mut transaction, &repeated).await?;
    }
    insert_entries(&mut transaction, &fresh).await?;
    let fresh: FxHashSet<i64> = fresh.iter().map(|(.., message)| *message).collect();
    let messages = batch.messages.iter().filter(|message| fresh.contains(&message.id));
    insert_messages(&mut transaction, messages).await?;
    transaction.commit().await?;
    Ok(seqs)
}

/// Raises logs in the order given, and locks them: (log, numbers, entries).
async fn take_numbers<'a>(
    connection: &mut MySqlConnection,
    channels: impl Iterator<Item = (&'a ChannelRow, i64, i64)>,
) -> Done<()> {
    let rows = json::list(channels, |(channel, numbers, entries), row| {
        row.number(channel.kind).number(channel.app_id).name(&channel.name);
        row.number(numbers).number(entries);
    });
    sqlx::query(
        "INSERT INTO channels (kind, app_id, name, last_seq, entries)
         SELECT j.kind, j.app_id, UNHEX(j.name), j.numbers, j.entries
         FROM JSON_TABLE(?, '$[*]' COLUMNS (
             kind BIGINT PATH '$[0]', app_id BIGINT PATH '$[1]', name VARCHAR(8192) PATH '$[2]',
             numbers BIGINT PATH '$[3]', entries BIGINT PATH '$[4]')) AS j
         ON DUPLICATE KEY UPDATE
             last_seq = channels.last_seq + VALUES(last_seq),
             entries = channels.entries + VALUES(entries)",
    )
    .bind(rows)
    .execute(connection)
    .await?;
    Ok(())
}

/// By entry, in the order of the batch: its log, the last number of that, the number it has already.
async fn find(connection: &mut MySqlConnection, batch: &AppendBatch) -> Done<Vec<Found>> {
    let rows = json::list(&batch.entries, |(channel, message), row| {
        let channel = &batch.channels[*channel];
        row.number(channel.kind).number(channel.app_id).name(&channel.name).number(*message);
    });
    let mut found: Vec<Found> = sqlx::query_as(
        "SELECT CAST(j.place AS SIGNED) - 1, c.id, c.last_seq, l.seq
         FROM JSON_TABLE(?, '$[*]' COLUMNS (
             place FOR ORDINALITY, kind BIGINT PATH '$[0]', app_id BIGINT PATH '$[1]',
             name VARCHAR(8192) PATH '$[2]', message_id BIGINT PATH '$[3]')) AS j
         STRAIGHT_JOIN channels c
             ON c.kind = j.kind AND c.app_id = j.app_id AND c.name = UNHEX(j.name)
         LEFT JOIN log l ON l.message_id = j.message_id AND l.channel_id = c.id",
    )
    .bind(rows)
    .fetch_all(connection)
    .await?;
    found.sort_unstable();
    assert_eq!(found.len(), batch.entries.len(), "each log is there");
    Ok(found)
}

async fn insert_entries(connection: &mut MySqlConnection, entries: &[(i64, i64, i64)]) -> Done<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let rows = json::list(entries, |(log, seq, message), row| {
        row.number(*log).number(*seq).number(*message);
    });
    sqlx::query(
        "INSERT INTO log (channel_id, seq, message_id)
         SELECT j.channel_id, j.seq, j.message_id
         FROM JSON_TABLE(?, '$[*]' COLUMNS (
             channel_id BIGINT PATH '$[0]', seq BIGINT PATH '$[1]',
             message_id BIGINT PATH '$[2]')) AS j",
    )
    .bind(rows)
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_messages<'a>(
    connection: &mut MySqlConnection,
    messages: impl Iterator<Item = &'a MessageRow>,
) -> Done<()> {
    let (mut group, mut bytes) = (Vec::new(), 0);
    for message in messages {
        if bytes + message.push.len() > STATEMENT_BYTES_MAX && !group.is_empty() {
            insert_group(connection, &group).await?;
            (group, bytes) = (Vec::new(), 0);
        }
        bytes += message.push.len();
        group.push(message);
    }
    insert_group(connection, &group).await
}

/// Contents go as one blob that is cut by offsets.
async fn insert_group(connection: &mut MySqlConnection, messages: &[&MessageRow]) -> Done<()> {
    if messages.is_empty() {
        return Ok(());
    }
    let mut contents = Vec::new();
    let rows = json::list(messages, |message, row| {
        row.number(message.id).number(message.expires_at_ms).number(message.accepted_at_ms);
        row.number(contents.len() as i64 + 1).number(message.push.len() as i64);
        contents.extend_from_slice(&message.push);
    });
    // Locks a message that is there, so that a purge does not take it for one in no log.
    sqlx::query(
        "INSERT INTO messages (id, expires_at_ms, accepted_at_ms, push)
         SELECT j.id, j.expires_at_ms, j.accepted_at_ms, SUBSTRING(?, j.start, j.size)
         FROM JSON_TABLE(?, '$[*]' COLUMNS (
             id BIGINT PATH '$[0]', expires_at_ms BIGINT PATH '$[1]',
             accepted_at_ms BIGINT PATH '$[2]', start BIGINT PATH '$[3]',
             size BIGINT PATH '$[4]')) AS j
         ON DUPLICATE KEY UPDATE id = messages.id",
    )
    .bind(contents)
    .bind(rows)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn reserve(pool: &MySqlPool, batch: &ReserveBatch) -> Done<Vec<i64>> {
    let mut transaction = pool.begin().await?;
    let channels = batch.channels.iter().map(|(channel, total)| (channel, *total, 0));
    take_numbers(&mut transaction, channels).await?;
    let channels = batch.channels.iter().map(|(channel, _)| channel);
    let heads = find_heads(&mut *transaction, channels).await?;
    assert_eq!(heads.len(), batch.channels.len(), "a number for each log");
    transaction.commit().await?;
    let mut last = vec![0; batch.channels.len()];
    heads.into_iter().for_each(|(at, _, seq)| last[at as usize] = seq);
    Ok(last)
}

pub(super) async fn heads(pool: &MySqlPool, channels: &[ChannelRow]) -> Done<Vec<(i64, i64, i64)>> {
    find_heads(pool, channels.iter()).await
}

async fn find_heads<'a>(
    executor: impl sqlx::MySqlExecutor<'_>,
    channels: impl Iterator<Item = &'a ChannelRow>,
) -> Done<Vec<(i64, i64, i64)>> {
    let rows = json::list(channels, |channel, row| {
        row.number(channel.kind).number(channel.app_id).name(&channel.name);
    });
    let heads = sqlx::query_as(
        "SELECT CAST(j.place AS SIGNED) - 1, c.cut_seq, c.last_seq
         FROM JSON_TABLE(?, '$[*]' COLUMNS (
             place FOR ORDINALITY, kind BIGINT PATH '$[0]', app_id BIGINT PATH '$[1]',
             name VARCHAR(8192) PATH '$[2]')) AS j
         STRAIGHT_JOIN channels c
             ON c.kind = j.kind AND c.app_id = j.app_id AND c.name = UNHEX(j.name)",
    )
    .bind(rows)
    .fetch_all(executor)
    .await?;
    Ok(heads)
}

pub(super) async fn read(
    pool: &MySqlPool,
    channel: &ChannelRow,
    after: i64,
    now_ms: i64,
    mut page: LogPage,
) -> Done<ReadPage> {
    // Contents are summed before they are fetched: a page of large ones would fill the connection. The second is fetched in any case: behind one
    // that fills the page alone, it tells that there is more.
    let mut rows = sqlx::query(
        "SELECT p.seq, m.push
         FROM (SELECT entry.seq, entry.message_id, ROW_NUMBER() OVER (ORDER BY entry.seq) AS nth,
                      SUM(entry.bytes) OVER (ORDER BY entry.seq) - entry.bytes AS bytes_before
               FROM (SELECT l.seq, l.message_id, OCTET_LENGTH(m.push) AS bytes
                     FROM log l JOIN messages m ON m.id = l.message_id
                     WHERE l.channel_id = (SELECT id FROM channels
                                           WHERE kind = ? AND app_id = ? AND name = ?)
                       AND l.seq > ?
                       AND (m.expires_at_ms = 0 OR m.expires_at_ms > ?)
                       AND NOT EXISTS (SELECT 1 FROM recalls r WHERE r.message_id = l.message_id)
                     ORDER BY l.seq
                     LIMIT ?) AS entry) AS p
         JOIN messages m ON m.id = p.message_id
         WHERE p.bytes_before <= ? OR p.nth = 2
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
