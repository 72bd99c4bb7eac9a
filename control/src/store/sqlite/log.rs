//! Message logs and the sequences they count with.
//!
//! Statements take whole batches: lists travel as one JSON text, contents as one blob with offsets, so that a batch of
//! any size is the same few prepared statements.

use super::failure::explain;
use super::writer::Write;
use super::{json, position, signed, unsigned};
use crate::error::Result;
use crate::store::{READ_BYTES_MAX, page_limit};
use async_trait::async_trait;
use futures_util::TryStreamExt;
use gpusher_proto::data::{Append, Channel, Head, Logged, Push, ReadPage, ReadRequest, Reserve};
use prost::Message;
use rustc_hash::FxHashSet;
use sqlx::{Row, SqliteConnection, SqlitePool};
use std::collections::HashMap;

/// Contents that go into one statement; SQLite takes at most 1,000,000,000 bytes.
const STATEMENT_BYTES_MAX: usize = 16 << 20;

/// Every entry has a channel and a push: the store checks that first.
pub(super) struct AppendEntries(pub Vec<Append>);

#[async_trait]
impl Write for AppendEntries {
    type Output = Vec<u64>;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<Vec<u64>> {
        insert_messages(connection, self.0.iter().filter_map(|entry| entry.push.as_ref())).await?;
        let channels: Vec<_> =
            self.0.iter().filter_map(|entry| Some((entry.channel.as_ref()?, 1))).collect();
        let taken = take(connection, &channels, Purpose::Kept).await?;
        insert_entries(connection, &self.0, taken).await
    }
}

pub(super) struct ReserveRanges(pub Vec<Reserve>);

#[async_trait]
impl Write for ReserveRanges {
    type Output = Vec<u64>;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<Vec<u64>> {
        let channels: Vec<_> = self
            .0
            .iter()
            .filter_map(|entry| Some((entry.channel.as_ref()?, entry.count)))
            .collect();
        let taken = take(connection, &channels, Purpose::Live).await?;
        Ok(taken.iter().map(|range| unsigned(range.first)).collect())
    }
}

/// Stores each message once, however many channels it goes to.
async fn insert_messages(
    connection: &mut SqliteConnection,
    pushes: impl Iterator<Item = &Push> + Send,
) -> Result<()> {
    let mut seen = FxHashSet::default();
    let mut rows = Vec::new();
    let mut contents = Vec::new();
    for push in pushes {
        if !seen.insert(push.id) {
            continue;
        }
        let start = contents.len();
        push.encode(&mut contents).expect("a vector takes any message");
        let length = contents.len() - start;
        rows.push((signed(push.id), push.expires_at_ms, push.accepted_at_ms, start + 1, length));
        if contents.len() > STATEMENT_BYTES_MAX {
            insert_message_rows(connection, &rows, &contents).await?;
            rows.clear();
            contents.clear();
        }
    }
    insert_message_rows(connection, &rows, &contents).await
}

async fn insert_message_rows(
    connection: &mut SqliteConnection,
    rows: &[(i64, i64, i64, usize, usize)],
    contents: &[u8],
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO messages (id, expires_at_ms, accepted_at_ms, push)
         SELECT e.value ->> 0, e.value ->> 1, e.value ->> 2,
                substr(?2, e.value ->> 3, e.value ->> 4)
         FROM json_each(?1) e
         WHERE true
         ON CONFLICT DO NOTHING",
    )
    .bind(json(rows))
    .bind(contents)
    .execute(connection)
    .await
    .map_err(explain)?;
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Kept,
    Live,
}

/// Numbers taken from a channel.
struct Range {
    channel_id: i64,
    first: i64,
}

/// Takes so many numbers of each channel named; one range per item, in order. A channel begins to exist here.
async fn take(
    connection: &mut SqliteConnection,
    wanted: &[(&Channel, u32)],
    purpose: Purpose,
) -> Result<Vec<Range>> {
    // Names come from clients, so that the maps are keyed by a hash they cannot foresee.
    let mut totals = HashMap::<&Channel, i64>::new();
    for (channel, count) in wanted {
        *totals.entry(*channel).or_default() += i64::from(*count);
    }
    let rows: Vec<_> = totals
        .iter()
        .map(|(channel, total)| {
            let entries = if purpose == Purpose::Kept { *total } else { 0 };
            (channel.kind, channel.app_id, &channel.name, *total, entries)
        })
        .collect();
    let taken = sqlx::query(
        "INSERT INTO channels (kind, app_id, name, last_seq, entries)
         SELECT e.value ->> 0, e.value ->> 1, e.value ->> 2, e.value ->> 3, e.value ->> 4
         FROM json_each(?1) e
         WHERE true
         ON CONFLICT (kind, app_id, name) DO UPDATE SET
             last_seq = last_seq + excluded.last_seq, entries = entries + excluded.entries
         RETURNING kind, app_id, name, id, last_seq",
    )
    .bind(json(&rows))
    .fetch_all(connection)
    .await
    .map_err(explain)?;

    let mut free = HashMap::with_capacity(taken.len());
    for row in &taken {
        let channel = channel_of(row).map_err(explain)?;
        let (id, last): (i64, i64) =
            (row.try_get(3).map_err(explain)?, row.try_get(4).map_err(explain)?);
        let first = last - totals[&channel] + 1;
        free.insert(channel, Range { channel_id: id, first });
    }
    let ranges = wanted.iter().map(|(channel, count)| {
        let rest = free.get_mut(*channel).expect("every channel comes back");
        let range = Range { channel_id: rest.channel_id, first: rest.first };
        rest.first += i64::from(*count);
        range
    });
    Ok(ranges.collect())
}

fn channel_of(row: &sqlx::sqlite::SqliteRow) -> sqlx::Result<Channel> {
    Ok(Channel { kind: row.try_get(0)?, app_id: row.try_get(1)?, name: row.try_get(2)? })
}

/// Puts messages into their logs under the numbers taken. What is there already keeps its number; the one taken for
/// it is skipped.
async fn insert_entries(
    connection: &mut SqliteConnection,
    entries: &[Append],
    taken: Vec<Range>,
) -> Result<Vec<u64>> {
    let rows: Vec<_> = std::iter::zip(entries, &taken)
        .map(|(entry, range)| {
            let message = entry.push.as_ref().map_or(0, |push| push.id);
            (range.channel_id, range.first, signed(message))
        })
        .collect();
    let rows = json(&rows);
    let inserted = sqlx::query(
        "INSERT INTO log (channel_id, seq, message_id)
         SELECT e.value ->> 0, e.value ->> 1, e.value ->> 2
         FROM json_each(?1) e
         WHERE true
         ON CONFLICT (message_id, channel_id) DO NOTHING",
    )
    .bind(&rows)
    .execute(&mut *connection)
    .await
    .map_err(explain)?;
    let mut seqs: Vec<i64> = taken.iter().map(|range| range.first).collect();
    if inserted.rows_affected() < entries.len() as u64 {
        restore_earlier(connection, &rows, &taken, &mut seqs).await?;
    }
    Ok(seqs.into_iter().map(unsigned).collect())
}

/// Replaces the numbers of repeated entries by those that they have had.
async fn restore_earlier(
    connection: &mut SqliteConnection,
    rows: &str,
    taken: &[Range],
    seqs: &mut [i64],
) -> Result<()> {
    let earlier: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT e.key, l.seq
         FROM json_each(?1) e
         CROSS JOIN log l ON l.message_id = e.value ->> 2 AND l.channel_id = e.value ->> 0
         WHERE l.seq <> e.value ->> 1",
    )
    .bind(rows)
    .fetch_all(&mut *connection)
    .await
    .map_err(explain)?;
    let mut counted_twice = Vec::with_capacity(earlier.len());
    for (index, seq) in earlier {
        let index = index as usize;
        seqs[index] = seq;
        counted_twice.push((taken[index].channel_id, 1));
    }
    forget_entries(connection, &counted_twice).await
}

/// Lowers the counts of entries: (channel id, how many fewer), in any order.
pub(super) async fn forget_entries(
    connection: &mut SqliteConnection,
    fewer: &[(i64, i64)],
) -> Result<()> {
    sqlx::query(
        "UPDATE channels SET entries = entries - gone.n
         FROM (SELECT e.value ->> 0 AS id, sum(e.value ->> 1) AS n
               FROM json_each(?1) e GROUP BY 1) AS gone
         WHERE channels.id = gone.id",
    )
    .bind(json(fewer))
    .execute(connection)
    .await
    .map_err(explain)?;
    Ok(())
}

/// A page of a log, cut by number and by bytes; it has one message at least if there is any.
pub(super) async fn read(readers: &SqlitePool, request: ReadRequest) -> Result<ReadPage> {
    let channel = request.channel.unwrap_or_default();
    let limit = page_limit(request.limit) as usize;
    let bytes_max = match request.bytes_max as usize {
        0 => READ_BYTES_MAX,
        bytes => bytes.min(READ_BYTES_MAX),
    };
    let mut rows = sqlx::query(
        "SELECT l.seq, m.push
         FROM log l CROSS JOIN messages m ON m.id = l.message_id
         WHERE l.channel_id =
                 (SELECT id FROM channels WHERE kind = ?1 AND app_id = ?2 AND name = ?3)
           AND l.seq > ?4
           AND (m.expires_at_ms = 0 OR m.expires_at_ms > ?5)
           AND NOT EXISTS (SELECT 1 FROM recalls r WHERE r.message_id = l.message_id)
         ORDER BY l.seq
         LIMIT ?6",
    )
    .bind(channel.kind)
    .bind(channel.app_id)
    .bind(channel.name)
    .bind(position(request.after))
    .bind(request.now_ms)
    .bind(limit as i64 + 1)
    .fetch(readers);

    let mut page = ReadPage::default();
    let mut bytes = 0;
    while let Some(row) = rows.try_next().await.map_err(explain)? {
        let encoded: &[u8] = row.try_get(1).map_err(explain)?;
        bytes += encoded.len();
        if page.messages.len() == limit || (bytes > bytes_max && !page.messages.is_empty()) {
            page.more = true;
            break;
        }
        let push = super::decode_push(encoded)?;
        let seq = unsigned(row.try_get(0).map_err(explain)?);
        page.messages.push(Logged { seq, push: Some(push) });
    }
    Ok(page)
}

pub(super) async fn heads(readers: &SqlitePool, channels: &[Channel]) -> Result<Vec<Head>> {
    let keys: Vec<_> =
        channels.iter().map(|channel| (channel.kind, channel.app_id, &channel.name)).collect();
    let rows: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT coalesce(c.cut_seq, 0) + 1, coalesce(c.last_seq, 0)
         FROM json_each(?1) e
         LEFT JOIN channels c
             ON c.kind = e.value ->> 0 AND c.app_id = e.value ->> 1 AND c.name = e.value ->> 2
         ORDER BY e.key",
    )
    .bind(json(&keys))
    .fetch_all(readers)
    .await
    .map_err(explain)?;
    let heads = rows.into_iter();
    Ok(heads.map(|(first, last)| Head { first: unsigned(first), last: unsigned(last) }).collect())
}
