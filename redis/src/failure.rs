//! Why a call to Redis did not work.

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Why a call did not work. The text names no credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The server is away, starting, full, or does not let us in: another attempt may work.
    #[error("{0}")]
    Unavailable(String),
    /// The server does not understand what we say, or we not what it says: our mistake, or somebody else's data.
    #[error("{0}")]
    Rejected(String),
}

/// Error codes of a server that works, and refuses for now.
const FOR_NOW: [&str; 5] = ["OOM", "NOAUTH", "WRONGPASS", "BUSY", "MISCONF"];

impl Failure {
    /// What an error of the library means, for the server at `place`.
    pub(crate) fn of(place: &impl std::fmt::Display, error: &RedisError) -> Self {
        let text = format!("redis at {place}: {error}");
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::NoPerm) | ErrorKind::AuthenticationFailed => {
                Self::Unavailable(format!("{text}; check user and password in the URL"))
            }
            ErrorKind::Server(kind) if is_about_the_request(kind) => match error.code() {
                Some(code) if FOR_NOW.contains(&code) => Self::Unavailable(text),
                _ => Self::Rejected(text),
            },
            ErrorKind::Extension => match error.code() {
                Some(code) if FOR_NOW.contains(&code) => Self::Unavailable(text),
                _ => Self::Rejected(text),
            },
            ErrorKind::UnexpectedReturnType | ErrorKind::Parse => Self::Rejected(text),
            _ => Self::Unavailable(text),
        }
    }

    pub(crate) fn late(place: &impl std::fmt::Display) -> Self {
        Self::Unavailable(format!("redis at {place}: no answer in time"))
    }
}

fn is_about_the_request(kind: ServerErrorKind) -> bool {
    use ServerErrorKind::*;
    matches!(kind, ResponseError | ExecAbort | NoScript | CrossSlot | NotBusy | NoSub)
}

/// Whether the connection, or what it is connected to, is the reason.
pub(crate) fn is_about_the_connection(error: &RedisError) -> bool {
    let replica = ErrorKind::Server(ServerErrorKind::ReadOnly);
    error.is_io_error()
        || error.is_connection_dropped()
        || error.kind() == replica
        || error.kind() == ErrorKind::ClusterConnectionNotFound
}
