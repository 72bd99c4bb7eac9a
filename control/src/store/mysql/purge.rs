//! A purge's statements.

use super::{MySqlEngine, json};
use crate::store::server::engine::{Gone, Leftover, PurgeStatements, Report, UserKey};
use crate::store::server::failure::Done;
use sqlx::MySqlConnection;

impl PurgeStatements for MySqlEngine {
    async fn begin_purge(connection: &mut MySqlConnection) -> Done<bool> {
        let free: Option<i64> = sqlx::query_scalar(
            "SELECT value FROM meta WHERE name = 'purge' FOR UPDATE SKIP LOCKED",
        )
        .fetch_optional(connection)
        .await?;
        Ok(free.is_some())
    }

    async fn expired(connection: &mut MySqlConnection, now_ms: i64, limit: i64) -> Done<Vec<Gone>> {
        let gone = sqlx::query_as(
            "SELECT l.channel_id, l.seq, l.message_id
             FROM messages m STRAIGHT_JOIN log l ON l.message_id = m.id
             WHERE m.expires_at_ms > 0 AND m.expires_at_ms <= ?
             LIMIT ?",
        )
        .bind(now_ms)
        .bind(limit)
        .fetch_all(connection)
        .await?;
        Ok(gone)
    }

    async fn old_entries(
        connection: &mut MySqlConnection,
        before_ms: i64,
        limit: i64,
    ) -> Done<Vec<Gone>> {
        let gone = sqlx::query_as(
            "SELECT l.channel_id, l.seq, l.message_id
             FROM messages m STRAIGHT_JOIN log l ON l.message_id = m.id
             WHERE m.accepted_at_ms < ?
             ORDER BY m.accepted_at_ms
             LIMIT ?",
        )
        .bind(before_ms)
        .bind(limit)
        .fetch_all(connection)
        .await?;
        Ok(gone)
    }

    async fn full_logs(
        connection: &mut MySqlConnection,
        entries_max: i64,
        limit: i64,
    ) -> Done<Vec<(i64, i64)>> {
        // The index covers logs of 64 entries and more; a smaller maximum, which only small systems have, scans.
        let full = sqlx::query_as(if entries_max >= 64 {
            "SELECT id, crowded - ? FROM channels WHERE crowded > ? LIMIT ?"
        } else {
            "SELECT id, entries - ? FROM channels WHERE entries > ? LIMIT ?"
        })
        .bind(entries_max)
        .bind(entries_max)
        .bind(limit)
        .fetch_all(connection)
        .await?;
        Ok(full)
    }

    async fn oldest_entries(
        connection: &mut MySqlConnection,
        log: i64,
        limit: i64,
    ) -> Done<Vec<Gone>> {
        let gone = sqlx::query_as(
            "SELECT channel_id, seq, message_id FROM log
             WHERE channel_id = ? ORDER BY seq LIMIT ?",
        )
        .bind(log)
        .bind(limit)
        .fetch_all(connection)
        .await?;
        Ok(gone)
    }

    async fn removed_apps_entries(connection: &mut MySqlConnection, limit: i64) -> Done<Vec<Gone>> {
        let gone = sqlx::query_as(
            "SELECT l.channel_id, l.seq, l.message_id
             FROM removed_apps a
             STRAIGHT_JOIN channels c ON c.kind IN (0, 1, 3) AND c.app_id = a.id
             STRAIGHT_JOIN log l ON l.channel_id = c.id
             LIMIT ?",
        )
        .bind(limit)
        .fetch_all(connection)
        .await?;
        Ok(gone)
    }

    async fn acknowledging_users(
        connection: &mut MySqlConnection,
        now_ms: i64,
        limit: i64,
    ) -> Done<Vec<UserKey>> {
        let users = sqlx::query_as(
            "SELECT app_id, user FROM acknowledged WHERE due_ms <= ? ORDER BY due_ms LIMIT ?",
        )
        .bind(now_ms)
        .bind(limit)
        .fetch_all(connection)
        .await?;
        Ok(users)
    }

    async fn acknowledged(
        connection: &mut MySqlConnection,
        users: &[UserKey],
        before_ms: i64,
        limit: i64,
    ) -> Done<Vec<Gone>> {
        let gone = sqlx::query_as(
            "SELECT l.channel_id, l.seq, l.message_id
             FROM JSON_TABLE(?, '$[*]' COLUMNS (
                 app_id BIGINT PATH '$[0]', user VARCHAR(8192) PATH '$[1]')) AS j
             STRAIGHT_JOIN channels c
                 ON c.kind = 0 AND c.app_id = j.app_id AND c.name = UNHEX(j.user)
             STRAIGHT_JOIN log l ON l.channel_id = c.id AND l.seq <=
                 (SELECT MIN(k.own) FROM cursors k WHERE k.app_id = c.app_id AND k.user = c.name)
             STRAIGHT_JOIN messages m ON m.id = l.message_id
             WHERE m.accepted_at_ms < ?
             LIMIT ?",
        )
        .bind(list(users))
        .bind(before_ms)
        .bind(limit)
        .fetch_all(connection)
        .await?;
        Ok(gone)
    }

    async fn oldest_acknowledged(
        connection: &mut MySqlConnection,
        users: &[UserKey],
    ) -> Done<Vec<(i64, i64)>> {
        let oldest = sqlx::query_as(
            "SELECT CAST(j.place AS SIGNED) - 1, MIN(m.accepted_at_ms)
             FROM JSON_TABLE(?, '$[*]' COLUMNS (
                 place FOR ORDINALITY, app_id BIGINT PATH '$[0]',
                 user VARCHAR(8192) PATH '$[1]')) AS j
             STRAIGHT_JOIN channels c
                 ON c.kind = 0 AND c.app_id = j.app_id AND c.name = UNHEX(j.user)
             STRAIGHT_JOIN log l ON l.channel_id = c.id AND l.seq <=
                 (SELECT MIN(k.own) FROM cursors k WHERE k.app_id = c.app_id AND k.user = c.name)
             STRAIGHT_JOIN messages m ON m.id = l.message_id
             GROUP BY j.place",
        )
        .bind(list(users))
        .fetch_all(connection)
        .await?;
        Ok(oldest)
    }

    /// What is acknowledged between the look at the log and the end of the purge is found with the user's next acknowledgement.
    async fn look_again(
        connection: &mut MySqlConnection,
        users: &[(UserKey, Option<i64>)],
    ) -> Done<()> {
        const DONE: i64 = -1;
        let rows = json::list(users, |((app_id, user), due), row| {
            row.number(*app_id).name(user).number(due.unwrap_or(DONE));
        });
        sqlx::query(
            "UPDATE JSON_TABLE(?, '$[*]' COLUMNS (
                 app_id BIGINT PATH '$[0]', user VARCHAR(8192) PATH '$[1]',
                 due_ms BIGINT PATH '$[2]')) AS j
             STRAIGHT_JOIN acknowledged a ON a.app_id = j.app_id AND a.user = UNHEX(j.user)
             SET a.due_ms = j.due_ms",
        )
        .bind(rows)
        .execute(&mut *connection)
        .await?;
        sqlx::query("DELETE FROM acknowledged WHERE due_ms = ?")
            .bind(DONE)
            .execute(connection)
            .await?;
        Ok(())
    }

    async fn delete_entries(connection: &mut MySqlConnection, gone: &[Gone]) -> Done<()> {
        let rows = json::list(gone, |(log, seq, _), row| {
            row.number(*log).number(*seq);
        });
        sqlx::query(
            "DELETE l FROM JSON_TABLE(?, '$[*]' COLUMNS (
                 channel_id BIGINT PATH '$[0]', seq BIGINT PATH '$[1]')) AS j
             STRAIGHT_JOIN log l ON l.channel_id = j.channel_id AND l.seq = j.seq",
        )
        .bind(rows)
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn shrink_logs(connection: &mut MySqlConnection, logs: &[(i64, i64, i64)]) -> Done<()> {
        shrink(connection, logs).await
    }

    /// An append that has locked one of the messages has put it into a log by the time it lets go: the second statement sees that.
    async fn delete_orphans(connection: &mut MySqlConnection, messages: &[i64]) -> Done<()> {
        let rows = json::list(messages, |message, row| {
            row.number(*message);
        });
        sqlx::query(
            "SELECT m.id
             FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$[0]')) AS j
             STRAIGHT_JOIN messages m ON m.id = j.id
             FOR UPDATE",
        )
        .bind(&rows)
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "DELETE m
             FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$[0]')) AS j
             STRAIGHT_JOIN messages m ON m.id = j.id
             LEFT JOIN log l ON l.message_id = m.id
             WHERE l.message_id IS NULL",
        )
        .bind(rows)
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn delete_reports(
        connection: &mut MySqlConnection,
        report: Report,
        before_ms: i64,
        limit: i64,
    ) -> Done<u64> {
        let deleted = sqlx::query(match report {
            Report::Statuses => {
                "DELETE FROM statuses WHERE filed_at_ms < ? ORDER BY filed_at_ms LIMIT ?"
            }
            Report::DeadLetters => {
                "DELETE FROM dead_letters WHERE at_ms < ? ORDER BY at_ms LIMIT ?"
            }
            Report::Upstream => "DELETE FROM upstream WHERE at_ms < ? ORDER BY at_ms LIMIT ?",
            Report::Recalls => "DELETE FROM recalls WHERE at_ms < ? ORDER BY at_ms LIMIT ?",
        })
        .bind(before_ms)
        .bind(limit)
        .execute(connection)
        .await?;
        Ok(deleted.rows_affected())
    }

    /// App by app: by its id the rows are found, and by a list of ids they would not be.
    async fn delete_leftovers(
        connection: &mut MySqlConnection,
        leftover: Leftover,
        limit: i64,
    ) -> Done<u64> {
        let mut left = limit;
        while left > 0 {
            let Some(app_id) = app_with(connection, leftover).await? else { break };
            let deleted = sqlx::query(match leftover {
                Leftover::Logs => {
                    "DELETE FROM channels
                     WHERE kind IN (0, 1, 3) AND app_id = ? AND entries <= 0 LIMIT ?"
                }
                Leftover::DeadLetters => "DELETE FROM dead_letters WHERE app_id = ? LIMIT ?",
                Leftover::Upstream => "DELETE FROM upstream WHERE app_id = ? LIMIT ?",
                Leftover::Cursors => "DELETE FROM cursors WHERE app_id = ? LIMIT ?",
            })
            .bind(app_id)
            .bind(left)
            .execute(&mut *connection)
            .await?
            .rows_affected();
            if deleted == 0 {
                // Somebody was quicker, or appends again: it comes up with the next purge.
                break;
            }
            left = left.saturating_sub_unsigned(deleted).max(0);
        }
        Ok((limit - left).cast_unsigned())
    }
}

/// A removed app that has left something behind.
async fn app_with(connection: &mut MySqlConnection, leftover: Leftover) -> Done<Option<i64>> {
    let app = sqlx::query_scalar(match leftover {
        Leftover::Logs => {
            "SELECT a.id FROM removed_apps a WHERE EXISTS
                 (SELECT 1 FROM channels c
                  WHERE c.kind IN (0, 1, 3) AND c.app_id = a.id AND c.entries <= 0) LIMIT 1"
        }
        Leftover::DeadLetters => {
            "SELECT a.id FROM removed_apps a WHERE EXISTS
                 (SELECT 1 FROM dead_letters d WHERE d.app_id = a.id) LIMIT 1"
        }
        Leftover::Upstream => {
            "SELECT a.id FROM removed_apps a WHERE EXISTS
                 (SELECT 1 FROM upstream u WHERE u.app_id = a.id) LIMIT 1"
        }
        Leftover::Cursors => {
            "SELECT a.id FROM removed_apps a WHERE EXISTS
                 (SELECT 1 FROM cursors k WHERE k.app_id = a.id) LIMIT 1"
        }
    })
    .fetch_optional(connection)
    .await?;
    Ok(app)
}

/// Puts the counts of logs right: (log, entries fewer, end of the cut or 0); a log may come several times.
pub(super) async fn shrink(connection: &mut MySqlConnection, logs: &[(i64, i64, i64)]) -> Done<()> {
    let rows = json::list(logs, |(log, fewer, cut), row| {
        row.number(*log).number(*fewer).number(*cut);
    });
    sqlx::query(
        "UPDATE (SELECT j.id, CAST(SUM(j.fewer) AS SIGNED) AS fewer, MAX(j.cut_seq) AS cut_seq
                 FROM JSON_TABLE(?, '$[*]' COLUMNS (
                     id BIGINT PATH '$[0]', fewer BIGINT PATH '$[1]',
                     cut_seq BIGINT PATH '$[2]')) AS j
                 GROUP BY j.id) AS e
         STRAIGHT_JOIN channels c ON c.id = e.id
         SET c.entries = c.entries - e.fewer, c.cut_seq = GREATEST(c.cut_seq, e.cut_seq)",
    )
    .bind(rows)
    .execute(connection)
    .await?;
    Ok(())
}

fn list(users: &[UserKey]) -> String {
    json::list(users, |(app_id, user), row| {
        row.number(*app_id).name(user);
    })
}
