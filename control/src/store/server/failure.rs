//! What a server's errors mean to callers and to operators.

use super::engine::Engine;
use crate::error::{Code, Error};
use sqlx::migrate::MigrateError;

/// A statement's or a transaction's result.
pub(in crate::store) type Done<T> = Result<T, Failure>;

/// Why something was not done.
#[derive(Debug)]
pub(in crate::store) enum Failure {
    /// The driver or the server.
    Sql(sqlx::Error),
    /// Somebody was quicker; the same again may succeed.
    Lost,
    /// It must not be.
    Refused(Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<MigrateError> for Failure {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                Self::Sql(error)
            }
            MigrateError::VersionMissing(version) => Self::Refused(Error::new(
                Code::Internal,
                format!(
                    "the database has migration {version}, which this version does not know; run a newer version"
                ),
            )),
            error => Self::Refused(Error::new(
                Code::Internal,
                format!("the store's tables cannot be brought up to date: {error}"),
            )),
        }
    }
}

/// What an error of a server means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Verdict {
    /// Somebody was quicker, or two waited for each other; the same again may succeed.
    Lost,
    /// It cannot now; the advice.
    Away(&'static str),
    /// It does not let us; the advice.
    Denied(&'static str),
    /// It will never take that; why.
    Invalid(&'static str),
    /// Nobody foresaw it.
    Unknown,
}

/// The verdict on a failure of the server or of the way to it.
pub(super) fn judge<E: Engine>(error: &sqlx::Error) -> Verdict {
    match error {
        sqlx::Error::Database(cause) => E::judge(&**cause),
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => Verdict::Away("the connection broke"),
        sqlx::Error::Tls(_) => Verdict::Denied("TLS failed"),
        sqlx::Error::PoolTimedOut => Verdict::Away("no connection"),
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Verdict::Away("closed"),
        sqlx::Error::Configuration(_) => Verdict::Invalid("the URL is not understood"),
        _ => Verdict::Unknown,
    }
}

/// The error that callers see.
pub(super) fn explain<E: Engine>(error: &sqlx::Error) -> Error {
    let name = E::NAME;
    let (code, advice) = match judge::<E>(error) {
        Verdict::Lost => (Code::Overloaded, "its writers are in each other's way"),
        // Until the operator has mended it, everything waits: nothing is given up.
        Verdict::Away(advice) | Verdict::Denied(advice) => (Code::Unavailable, advice),
        Verdict::Invalid(advice) => (Code::Invalid, advice),
        Verdict::Unknown => (Code::Internal, "it failed"),
    };
    let cause = match error {
        sqlx::Error::Database(cause) => cause.message().to_owned(),
        sqlx::Error::Io(cause) => cause.to_string(),
        error => error.to_string(),
    };
    Error::new(code, format!("the store's {name}: {advice}: {cause}"))
}
