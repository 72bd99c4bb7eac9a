//! What SQLite's errors mean to callers and to operators.

use crate::error::{Code, Error};

/// SQLite's primary result codes (sqlite.org/rescode.html); the extended ones have them in their low byte.
mod primary {
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const NO_MEMORY: i32 = 7;
    pub(super) const READ_ONLY: i32 = 8;
    pub(super) const INPUT_OUTPUT: i32 = 10;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANNOT_OPEN: i32 = 14;
    pub(super) const TOO_BIG: i32 = 18;
    pub(super) const NOT_A_DATABASE: i32 = 26;
}

/// Translates an error: whose fault it is, whether to try again, and what to do about it.
pub(super) fn explain(error: sqlx::Error) -> Error {
    match &error {
        sqlx::Error::PoolTimedOut => {
            Error::new(Code::Overloaded, "the store has more reads waiting than it can serve")
        }
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            Error::new(Code::Unavailable, "the store is closed")
        }
        sqlx::Error::Io(cause) => {
            Error::new(Code::Unavailable, format!("the store's file cannot be used: {cause}"))
        }
        sqlx::Error::Database(cause) => {
            let code = cause.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or(0);
            by_result_code(code & 0xff, cause.message())
        }
        _ => Error::new(Code::Internal, format!("the store failed: {error}")),
    }
}

fn by_result_code(code: i32, text: &str) -> Error {
    let (code, advice) = match code {
        primary::FULL => (Code::Unavailable, "the store's disk is full, free some space"),
        primary::BUSY | primary::LOCKED => {
            (Code::Unavailable, "the store's file is locked by another program")
        }
        primary::READ_ONLY => (Code::Unavailable, "the store's file cannot be written"),
        primary::CANNOT_OPEN => (Code::Unavailable, "the store's file cannot be opened"),
        primary::INPUT_OUTPUT => (Code::Unavailable, "the store's disk fails"),
        primary::NO_MEMORY => (Code::Unavailable, "the store is out of memory"),
        primary::TOO_BIG => (Code::Invalid, "the batch is too big for the store"),
        primary::CORRUPT => (Code::Internal, "the store's file is damaged, restore a backup"),
        primary::NOT_A_DATABASE => (Code::Internal, "the store's file is not an SQLite database"),
        _ => (Code::Internal, "the store failed"),
    };
    Error::new(code, format!("{advice}: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::{Connection, SqliteConnection};

    #[tokio::test]
    async fn full_disk_asks_to_try_again() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        sqlx::raw_sql("CREATE TABLE t (x BLOB); PRAGMA max_page_count = 2")
            .execute(&mut connection)
            .await
            .unwrap();
        let error = sqlx::query("INSERT INTO t VALUES (zeroblob(100000))")
            .execute(&mut connection)
            .await
            .unwrap_err();
        let error = explain(error);
        assert_eq!(error.code, Code::Unavailable);
        assert!(error.text.starts_with("the store's disk is full"), "{error}");
    }

    #[test]
    fn extended_codes_count_as_their_primary_one() {
        // SQLITE_IOERR_FSYNC
        assert_eq!(by_result_code(1034 & 0xff, "").code, Code::Unavailable);
    }
}
