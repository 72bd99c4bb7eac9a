//! Counters that several writers add to.

use crate::store::server::failure::Done;
use crate::store::tally::{COLUMNS, Kept};
use sqlx::{PgPool, Row};

pub(super) async fn add(pool: &PgPool, rows: &[[i64; COLUMNS]]) -> Done<()> {
    let mut query = sqlx::query(
        "INSERT INTO statuses (id, filed_at_ms, app_id, type, accepted_at_ms, expires_at_ms,
             recalled, gateways, stored, written, queued, acked, absent, expired, overflowed,
             replayed, redelivered, dead, withdrawn, done)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
             $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[],
             $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[],
             $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[])
         ON CONFLICT (id) DO UPDATE SET
             app_id = greatest(statuses.app_id, excluded.app_id),
             type = greatest(statuses.type, excluded.type),
             accepted_at_ms = greatest(statuses.accepted_at_ms, excluded.accepted_at_ms),
             expires_at_ms = greatest(statuses.expires_at_ms, excluded.expires_at_ms),
             recalled = greatest(statuses.recalled, excluded.recalled),
             gateways = statuses.gateways + excluded.gateways,
             stored = statuses.stored + excluded.stored,
             written = statuses.written + excluded.written,
             queued = statuses.queued + excluded.queued,
             acked = statuses.acked + excluded.acked,
             absent = statuses.absent + excluded.absent,
             expired = statuses.expired + excluded.expired,
             overflowed = statuses.overflowed + excluded.overflowed,
             replayed = statuses.replayed + excluded.replayed,
             redelivered = statuses.redelivered + excluded.redelivered,
             dead = statuses.dead + excluded.dead,
             withdrawn = statuses.withdrawn + excluded.withdrawn,
             done = statuses.done + excluded.done",
    );
    for column in 0..COLUMNS {
        query = query.bind(rows.iter().map(|row| row[column]).collect::<Vec<i64>>());
    }
    query.execute(pool).await?;
    Ok(())
}

pub(super) async fn get(pool: &PgPool, id: i64) -> Done<Option<[i64; COLUMNS]>> {
    let row = sqlx::query(
        "SELECT id, filed_at_ms, app_id, type, accepted_at_ms, expires_at_ms, recalled, gateways,
             stored, written, queued, acked, absent, expired, overflowed, replayed, redelivered,
             dead, withdrawn, done
         FROM statuses WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let mut values = [0; COLUMNS];
    for (at, value) in values.iter_mut().enumerate() {
        *value = row.try_get(at)?;
    }
    Ok(Some(values))
}

pub(super) async fn kept(pool: &PgPool, id: i64) -> Done<Option<Kept>> {
    let kept = sqlx::query_as(
        "SELECT push, (SELECT count(*) FROM log WHERE message_id = messages.id)
         FROM messages WHERE id = $1",
    );
    Ok(kept.bind(id).fetch_optional(pool).await?)
}
