//! Counters that several writers add to.

use super::json;
use crate::store::server::failure::Done;
use crate::store::tally::{COLUMNS, Kept};
use sqlx::{MySqlPool, Row};

pub(super) async fn add(pool: &MySqlPool, rows: &[[i64; COLUMNS]]) -> Done<()> {
    let rows = json::list(rows, |values, row| {
        values.iter().for_each(|value| {
            row.number(*value);
        });
    });
    sqlx::query(
        "INSERT INTO statuses (id, filed_at_ms, app_id, type, accepted_at_ms, expires_at_ms,
             recalled, gateways, `stored`, written, queued, acked, absent, expired, overflowed,
             replayed, redelivered, dead, withdrawn, done)
         SELECT j.c0, j.c1, j.c2, j.c3, j.c4, j.c5, j.c6, j.c7, j.c8, j.c9, j.c10, j.c11, j.c12,
             j.c13, j.c14, j.c15, j.c16, j.c17, j.c18, j.c19
         FROM JSON_TABLE(?, '$[*]' COLUMNS (
             c0 BIGINT PATH '$[0]', c1 BIGINT PATH '$[1]', c2 BIGINT PATH '$[2]',
             c3 BIGINT PATH '$[3]', c4 BIGINT PATH '$[4]', c5 BIGINT PATH '$[5]',
             c6 BIGINT PATH '$[6]', c7 BIGINT PATH '$[7]', c8 BIGINT PATH '$[8]',
             c9 BIGINT PATH '$[9]', c10 BIGINT PATH '$[10]', c11 BIGINT PATH '$[11]',
             c12 BIGINT PATH '$[12]', c13 BIGINT PATH '$[13]', c14 BIGINT PATH '$[14]',
             c15 BIGINT PATH '$[15]', c16 BIGINT PATH '$[16]', c17 BIGINT PATH '$[17]',
             c18 BIGINT PATH '$[18]', c19 BIGINT PATH '$[19]')) AS j
         ON DUPLICATE KEY UPDATE
             app_id = GREATEST(statuses.app_id, VALUES(app_id)),
             type = GREATEST(statuses.type, VALUES(type)),
             accepted_at_ms = GREATEST(statuses.accepted_at_ms, VALUES(accepted_at_ms)),
             expires_at_ms = GREATEST(statuses.expires_at_ms, VALUES(expires_at_ms)),
             recalled = GREATEST(statuses.recalled, VALUES(recalled)),
             gateways = statuses.gateways + VALUES(gateways),
             `stored` = statuses.`stored` + VALUES(`stored`),
             written = statuses.written + VALUES(written),
             queued = statuses.queued + VALUES(queued),
             acked = statuses.acked + VALUES(acked),
             absent = statuses.absent + VALUES(absent),
             expired = statuses.expired + VALUES(expired),
             overflowed = statuses.overflowed + VALUES(overflowed),
             replayed = statuses.replayed + VALUES(replayed),
             redelivered = statuses.redelivered + VALUES(redelivered),
             dead = statuses.dead + VALUES(dead),
             withdrawn = statuses.withdrawn + VALUES(withdrawn),
             done = statuses.done + VALUES(done)",
    )
    .bind(rows)
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn get(pool: &MySqlPool, id: i64) -> Done<Option<[i64; COLUMNS]>> {
    let row = sqlx::query(
        "SELECT id, filed_at_ms, app_id, type, accepted_at_ms, expires_at_ms, recalled, gateways,
             `stored`, written, queued, acked, absent, expired, overflowed, replayed, redelivered,
             dead, withdrawn, done
         FROM statuses WHERE id = ?",
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

pub(super) async fn kept(pool: &MySqlPool, id: i64) -> Done<Option<Kept>> {
    let kept = sqlx::query_as(
        "SELECT push, (SELECT count(*) FROM log WHERE message_id = messages.id)
         FROM messages WHERE id = ?",
    );
    Ok(kept.bind(id).fetch_optional(pool).await?)
}
