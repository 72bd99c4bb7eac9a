//! Message logs.
//!
//! Statements take whole batches: lists travel as one JSON text, contents as one blob with offsets, so that a batch of
//! any size is the same few prepared statements.

use super::failure::explain;
use super::numbers::{self, Numbers, Uncommitted};
use super::writer::Write;
use crate::error::Result;
use crate::store::rows::{LogPage, json, position, signed, unsigned};
use async_trait::async_trait;
use futures_util::TryStreamExt;
use gpusher_proto::data::{Append, Channel, Head, Push, ReadPage, ReadRequest};
use prost::Message;
use rustc_hash::FxHashSet;
use sqlx::{Row, SqliteConnection, SqlitePool};
use std::collections::HashMap;
use std::sync::Arc;

/// Contents that go into one statement; SQLite takes at most 1,000,000,000 bytes.
const STATEMENT_BYTES_MAX: usize = 16 << 20;

/// Every entry has a channel and a push: the store checks that first.
pub(super) struct AppendEntries {
    pub(super) entries: Vec<Append>,
    pub(super) numbers: Arc<Numbers>,
}

#[async_trait]
impl Write for AppendEntries {
    type Output = Appended;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<Self::Output> {
        let entries = &self.entries;
        insert_messages(connection, entries.iter().filter_map(|entry| entry.push.as_ref())).await?;
        let uncommitted = self.numbers.begin_append();
        let channels: Vec<&Channel> =
            entries.iter().filter_map(|entry| entry.channel.as_ref()).collect();
        let (firsts, ceiling) = self.numbers.take(channels.iter().map(|channel| (*channel, 1)));
        if let Some(ceiling) = ceiling {
            raise_ceiling(connection, ceiling).await?;
        }
        let ids = count_entries(connection, &channels, &firsts).await?;
        let places: Vec<Place> = std::iter::zip(ids, firsts)
            .map(|(channel_id, seq)| Place { channel_id, seq: position(seq) })
            .collect();
        let seqs = insert_entries(connection, entries, &places).await?;
        Ok(Appended { seqs, ceiling, uncommitted })
    }
}

pub(super) struct Appended {
    /// A number per entry.
    pub(super) seqs: Vec<u64>,
    /// If it was raised.
    pub(super) ceiling: Option<u64>,
    /// To be dropped when the transaction has ended.
    pub(super) uncommitted: Uncommitted,
}

/// Makes a higher ceiling durable.
pub(super) struct RaiseCeiling(pub u64);

#[async_trait]
impl Write for RaiseCeiling {
    type Output = ();

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<()> {
        raise_ceiling(connection, self.0).await
    }
}

async fn raise_ceiling(connection: &mut SqliteConnection, ceiling: u64) -> Result<()> {
    sqlx::query("UPDATE meta SET value = max(value, ?1) WHERE name = 'ceiling'")
        .bind(position(ceiling))
        .execute(connection)
        .await
        .map_err(explain)?;
    Ok(())
}

/// The numbers of a file that has just been opened: above all that were given out before.
pub(super) async fn open_numbers(connection: &mut SqliteConnection) -> Result<Numbers> {
    let ceiling: i64 = sqlx::query_scalar("SELECT value FROM meta WHERE name = 'ceiling'")
        .fetch_one(&mut *connection)
        .await
        .map_err(explain)?;
    let floor = unsigned(ceiling);
    raise_ceiling(connection, numbers::raised(floor)).await?;
    Ok(Numbers::new(floor))
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

/// Where an entry goes.
struct Place {
    channel_id: i64,
    seq: i64,
}

/// Counts the entries of each channel, and the last number it has; the channel's id per entry. A log begins to exist here.
async fn count_entries(
    connection: &mut SqliteConnection,
    channels: &[&Channel],
    seqs: &[u64],
) -> Result<Vec<i64>> {
    // Names come from clients, so that the maps are keyed by a hash they cannot foresee.
    let mut totals = HashMap::<&Channel, (i64, i64)>::new();
    for (&channel, &seq) in channels.iter().zip(seqs) {
        let (last, entries) = totals.entry(channel).or_default();
        *last = position(seq).max(*last);
        *entries += 1;
    }
    let rows: Vec<_> = totals
        .iter()
        .map(|(channel, (last, entries))| {
            (channel.kind, channel.app_id, &channel.name, last, entries)
        })
        .collect();
    let counted = sqlx::query(
        "INSERT INTO channels (kind, app_id, name, last_seq, entries)
         SELECT e.value ->> 0, e.value ->> 1, e.value ->> 2, e.value ->> 3, e.value ->> 4
         FROM json_each(?1) e
         WHERE true
         ON CONFLICT (kind, app_id, name) DO UPDATE SET
             last_seq = max(last_seq, excluded.last_seq), entries = entries + excluded.entries
         RETURNING kind, app_id, name, id",
    )
    .bind(json(&rows))
    .fetch_all(connection)
    .await
    .map_err(explain)?;
    let mut ids = HashMap::with_capacity(counted.len());
    for row in &counted {
        let id: i64 = row.try_get(3).map_err(explain)?;
        ids.insert(channel_of(row).map_err(explain)?, id);
    }
    Ok(channels.iter().map(|&channel| ids[channel]).collect())
}

fn channel_of(row: &sqlx::sqlite::SqliteRow) -> sqlx::Result<Channel> {
    Ok(Channel { kind: row.try_get(0)?, app_id: row.try_get(1)?, name: row.try_get(2)? })
}

/// Puts messages into their logs under the numbers taken. What is there already keeps its number; the one taken for
/// it is skipped.
async fn insert_entries(
    connection: &mut SqliteConnection,
    entries: &[Append],
    places: &[Place],
) -> Result<Vec<u64>> {
    let rows: Vec<_> = std::iter::zip(entries, places)
        .map(|(entry, place)| {
            let message = entry.push.as_ref().map_or(0, |push| push.id);
            (place.channel_id, place.seq, signed(message))
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
    let mut seqs: Vec<i64> = places.iter().map(|place| place.seq).collect();
    if inserted.rows_affected() < entries.len() as u64 {
        restore_earlier(connection, &rows, places, &mut seqs).await?;
    }
    Ok(seqs.into_iter().map(unsigned).collect())
}

/// Replaces the numbers of repeated entries by those that they have had.
async fn restore_earlier(
    connection: &mut SqliteConnection,
    rows: &str,
    places: &[Place],
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
        counted_twice.push((places[index].channel_id, 1));
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

pub(super) async fn read(readers: &SqlitePool, request: ReadRequest) -> Result<ReadPage> {
    let channel = request.channel.unwrap_or_default();
    let mut page = LogPage::new(request.limit, request.bytes_max);
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
    .bind(page.rows())
    .fetch(readers);

    while let Some(row) = rows.try_next().await.map_err(explain)? {
        let encoded: &[u8] = row.try_get(1).map_err(explain)?;
        if !page.add(row.try_get(0).map_err(explain)?, encoded)? {
            break;
        }
    }
    Ok(page.finish())
}

pub(super) async fn heads(
    readers: &SqlitePool,
    numbers: &Numbers,
    channels: &[Channel],
) -> Result<Vec<Head>> {
    let keys: Vec<_> =
        channels.iter().map(|channel| (channel.kind, channel.app_id, &channel.name)).collect();
    // A row costs more than a look-up, and most users have no log: only those that there are come back.
    let rows: Vec<(i64, i64, i64)> = sqlx::query_as(
        "SELECT e.key, c.cut_seq + 1, c.last_seq
         FROM json_each(?1) e
         CROSS JOIN channels c
             ON c.kind = e.value ->> 0 AND c.app_id = e.value ->> 1 AND c.name = e.value ->> 2",
    )
    .bind(json(&keys))
    .fetch_all(readers)
    .await
    .map_err(explain)?;
    let mut heads = vec![Head { first: 1, last: 0 }; channels.len()];
    for (index, first, last) in rows {
        heads[index as usize] = Head { first: unsigned(first), last: unsigned(last) };
    }
    for (head, channel) in std::iter::zip(&mut heads, channels) {
        // The row knows of kept messages only, and of those committed only.
        head.last = head.last.max(numbers.last(channel).unwrap_or_default());
    }
    Ok(heads)
}
