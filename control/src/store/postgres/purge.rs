//! A purge's statements.

use super::PostgresEngine;
use crate::store::server::engine::{Gone, Leftover, PurgeStatements, Report, UserKey};
use crate::store::server::failure::Done;
use sqlx::PgConnection;

impl PurgeStatements for PostgresEngine {
    async fn begin_purge(connection: &mut PgConnection) -> Done<bool> {
        let free: Option<i64> = sqlx::query_scalar(
            "SELECT value FROM meta WHERE name = 'purge' FOR UPDATE SKIP LOCKED",
        )
        .fetch_optional(connection)
        .await?;
        Ok(free.is_some())
    }

    async fn expired(connection: &mut PgConnection, now_ms: i64, limit: i64) -> Done<Vec<Gone>> {
        let gone = sqlx::query_as(
            "SELECT l.channel_id, l.seq, l.message_id
             FROM messages m JOIN log l ON l.message_id = m.id
             WHERE m.expires_at_ms > 0 AND m.expires_at_ms <= $1
             LIMIT $2",
        )
        .bind(now_ms)
        .bind(limit)
        .fetch_all(connection)
        .await?;
        Ok(gone)
    }

    async fn old_entries(
        connection: &mut PgConnection,
        before_ms: i64,
        limit: i64,
    ) -> Done<Vec<Gone>> {
        let gone = sqlx::query_as(
            "SELECT l.channel_id, l.seq, l.message_id
             FROM messages m JOIN log l ON l.message_id = m.id
             WHERE m.accepted_at_ms < $1
             ORDER BY m.accepted_at_ms
             LIMIT $2",
        )
        .bind(before_ms)
        .bind(limit)
        .fetch_all(connection)
        .await?;
        Ok(gone)
    }

    async fn full_logs(
        connection: &mut PgConnection,
        entries_max: i64,
        limit: i64,
    ) -> Done<Vec<(i64, i64)>> {
        // The index covers logs of 64 entries and more; a smaller maximum, which only small systems have, scans.
        let full = sqlx::query_as(if entries_max >= 64 {
            "SELECT id, entries - $1 FROM channels
             WHERE entries > $1 AND entries >= 64 LIMIT $2"
        } else {
            "SELECT id, entries - $1 FROM channels WHERE entries > $1 LIMIT $2"
        })
        .bind(entries_max)
        .bind(limit)
        .fetch_all(connection)
        .await?;
        Ok(full)
    }

    async fn oldest_entries(
        connection: &mut PgConnection,
        log: i64,
        limit: i64,
    ) -> Done<Vec<Gone>> {
        let gone = sqlx::query_as(
            "SELECT channel_id, seq, message_id FROM log
             WHERE channel_id = $1 ORDER BY seq LIMIT $2",
        )
        .bind(log)
        .bind(limit)
        .fetch_all(connection)
        .await?;
        Ok(gone)
    }

    async fn removed_apps_entries(connection: &mut PgConnection, limit: i64) -> Done<Vec<Gone>> {
        let gone = sqlx::query_as(
            "SELECT l.channel_id, l.seq, l.message_id
             FROM removed_apps a
             JOIN channels c ON c.kind IN (0, 1, 3) AND c.app_id = a.id
             JOIN log l ON l.channel_id = c.id
             LIMIT $1",
        )
        .bind(limit)
        .fetch_all(connection)
        .await?;
        Ok(gone)
    }

    async fn acknowledging_users(
        connection: &mut PgConnection,
        now_ms: i64,
        limit: i64,
    ) -> Done<Vec<UserKey>> {
        let users = sqlx::query_as(
            r#"SELECT app_id, "user" FROM acknowledged
               WHERE due_ms <= $1 ORDER BY due_ms LIMIT $2"#,
        )
        .bind(now_ms)
        .bind(limit)
        .fetch_all(connection)
        .await?;
        Ok(users)
    }

    async fn acknowledged(
        connection: &mut PgConnection,
        users: &[UserKey],
        before_ms: i64,
        limit: i64,
    ) -> Done<Vec<Gone>> {
        let (apps, names) = columns(users);
        let gone = sqlx::query_as(
            r#"SELECT l.channel_id, l.seq, l.message_id
               FROM unnest($1::bigint[], $2::bytea[]) AS e (app_id, "user")
               JOIN channels c ON c.kind = 0 AND c.app_id = e.app_id AND c.name = e."user"
               JOIN log l ON l.channel_id = c.id AND l.seq <=
                   (SELECT min(k.own) FROM cursors k
                    WHERE k.app_id = c.app_id AND k."user" = c.name)
               JOIN messages m ON m.id = l.message_id
               WHERE m.accepted_at_ms < $3
               LIMIT $4"#,
        )
        .bind(apps)
        .bind(names)
        .bind(before_ms)
        .bind(limit)
        .fetch_all(connection)
        .await?;
        Ok(gone)
    }

    async fn oldest_acknowledged(
        connection: &mut PgConnection,
        users: &[UserKey],
    ) -> Done<Vec<(i64, i64)>> {
        let (apps, names) = columns(users);
        let oldest = sqlx::query_as(
            r#"SELECT e.at - 1, min(m.accepted_at_ms)
               FROM unnest($1::bigint[], $2::bytea[]) WITH ORDINALITY AS e (app_id, "user", at)
               JOIN channels c ON c.kind = 0 AND c.app_id = e.app_id AND c.name = e."user"
               JOIN log l ON l.channel_id = c.id AND l.seq <=
                   (SELECT min(k.own) FROM cursors k
                    WHERE k.app_id = c.app_id AND k."user" = c.name)
               JOIN messages m ON m.id = l.message_id
               GROUP BY e.at"#,
        )
        .bind(apps)
        .bind(names)
        .fetch_all(connection)
        .await?;
        Ok(oldest)
    }

    /// What is acknowledged between the look at the log and the end of the purge is found with the user's next acknowledgement.
    async fn look_again(
        connection: &mut PgConnection,
        users: &[(UserKey, Option<i64>)],
    ) -> Done<()> {
        let apps: Vec<i64> = users.iter().map(|((app, _), _)| *app).collect();
        let names: Vec<&[u8]> = users.iter().map(|((_, name), _)| &name[..]).collect();
        let due: Vec<Option<i64>> = users.iter().map(|(_, due)| *due).collect();
        sqlx::query(
            r#"WITH new AS MATERIALIZED (
                   SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bigint[])
                       AS e (app_id, "user", due_ms)
               ), done AS (
                   DELETE FROM acknowledged a USING new
                   WHERE a.app_id = new.app_id AND a."user" = new."user" AND new.due_ms IS NULL
               )
               UPDATE acknowledged a SET due_ms = new.due_ms FROM new
               WHERE a.app_id = new.app_id AND a."user" = new."user" AND new.due_ms IS NOT NULL"#,
        )
        .bind(apps)
        .bind(names)
        .bind(due)
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn delete_entries(connection: &mut PgConnection, gone: &[Gone]) -> Done<()> {
        let logs: Vec<i64> = gone.iter().map(|(log, ..)| *log).collect();
        let seqs: Vec<i64> = gone.iter().map(|(_, seq, _)| *seq).collect();
        sqlx::query(
            "DELETE FROM log l USING unnest($1::bigint[], $2::bigint[]) AS e (channel_id, seq)
             WHERE l.channel_id = e.channel_id AND l.seq = e.seq",
        )
        .bind(logs)
        .bind(seqs)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Locked in the order of the columns that an append goes by.
    async fn shrink_logs(connection: &mut PgConnection, logs: &[(i64, i64, i64)]) -> Done<()> {
        let ids: Vec<i64> = logs.iter().map(|(id, ..)| *id).collect();
        let fewer: Vec<i64> = logs.iter().map(|(_, fewer, _)| *fewer).collect();
        let cuts: Vec<i64> = logs.iter().map(|(.., cut)| *cut).collect();
        sqlx::query(
            "WITH locked AS MATERIALIZED (
                 SELECT c.id FROM channels c WHERE c.id = ANY($1::bigint[])
                 ORDER BY c.kind, c.app_id, c.name FOR UPDATE
             )
             UPDATE channels c SET
                 entries = c.entries - e.fewer, cut_seq = greatest(c.cut_seq, e.cut_seq)
             FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS e (id, fewer, cut_seq)
             JOIN locked ON locked.id = e.id
             WHERE c.id = e.id",
        )
        .bind(ids)
        .bind(fewer)
        .bind(cuts)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// An append that has locked one of the messages has put it into a log by the time it lets go: the second statement sees that.
    async fn delete_orphans(connection: &mut PgConnection, messages: &[i64]) -> Done<()> {
        sqlx::query("SELECT 1 FROM messages WHERE id = ANY($1) ORDER BY id FOR UPDATE")
            .bind(messages)
            .execute(&mut *connection)
            .await?;
        sqlx::query(
            "DELETE FROM messages m WHERE m.id = ANY($1)
               AND NOT EXISTS (SELECT 1 FROM log l WHERE l.message_id = m.id)",
        )
        .bind(messages)
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn delete_reports(
        connection: &mut PgConnection,
        report: Report,
        before_ms: i64,
        limit: i64,
    ) -> Done<u64> {
        let deleted = sqlx::query(match report {
            Report::Statuses => {
                "DELETE FROM statuses WHERE id IN
                     (SELECT id FROM statuses WHERE filed_at_ms < $1 ORDER BY filed_at_ms LIMIT $2)"
            }
            Report::DeadLetters => {
                "DELETE FROM dead_letters WHERE (app_id, position) IN
                     (SELECT app_id, position FROM dead_letters
                      WHERE at_ms < $1 ORDER BY at_ms LIMIT $2)"
            }
            Report::Upstream => {
                "DELETE FROM upstream WHERE (app_id, position) IN
                     (SELECT app_id, position FROM upstream
                      WHERE at_ms < $1 ORDER BY at_ms LIMIT $2)"
            }
            Report::Recalls => {
                "DELETE FROM recalls WHERE message_id IN
                     (SELECT message_id FROM recalls WHERE at_ms < $1 ORDER BY at_ms LIMIT $2)"
            }
        })
        .bind(before_ms)
        .bind(limit)
        .execute(connection)
        .await?;
        Ok(deleted.rows_affected())
    }

    async fn delete_leftovers(
        connection: &mut PgConnection,
        leftover: Leftover,
        limit: i64,
    ) -> Done<u64> {
        let deleted = sqlx::query(match leftover {
            // A log that somebody appends to meanwhile is skipped; it comes up again.
            Leftover::Logs => {
                "DELETE FROM channels WHERE id IN
                     (SELECT c.id FROM removed_apps a
                      JOIN channels c ON c.kind IN (0, 1, 3) AND c.app_id = a.id
                      WHERE c.entries <= 0 LIMIT $1 FOR UPDATE OF c SKIP LOCKED)"
            }
            Leftover::DeadLetters => {
                "DELETE FROM dead_letters WHERE (app_id, position) IN
                     (SELECT d.app_id, d.position
                      FROM removed_apps a JOIN dead_letters d ON d.app_id = a.id LIMIT $1)"
            }
            Leftover::Upstream => {
                "DELETE FROM upstream WHERE (app_id, position) IN
                     (SELECT u.app_id, u.position
                      FROM removed_apps a JOIN upstream u ON u.app_id = a.id LIMIT $1)"
            }
            Leftover::Cursors => {
                r#"DELETE FROM cursors WHERE (app_id, "user", device) IN
                     (SELECT k.app_id, k."user", k.device
                      FROM removed_apps a JOIN cursors k ON k.app_id = a.id LIMIT $1)"#
            }
        })
        .bind(limit)
        .execute(connection)
        .await?;
        Ok(deleted.rows_affected())
    }
}

fn columns(users: &[UserKey]) -> (Vec<i64>, Vec<&[u8]>) {
    let apps = users.iter().map(|(app, _)| *app).collect();
    let names = users.iter().map(|(_, name)| &name[..]).collect();
    (apps, names)
}
