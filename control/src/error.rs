//! One error for the control plane: what went wrong, whose fault it is, and whether to try again.

use std::fmt;

/// Kinds, each with one HTTP status and one gRPC code (tables below).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The request is wrong; do not repeat it.
    Invalid,
    /// No such thing.
    NotFound,
    /// It is there already.
    AlreadyExists,
    /// Somebody newer holds it.
    Conflict,
    /// Not allowed.
    Denied,
    /// Too much at once; try later.
    Overloaded,
    /// A dependency is away; try later.
    Unavailable,
    /// Our fault.
    Internal,
}

impl Code {
    /// The status that HTTP callers see.
    pub fn http(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::NotFound => 404,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::Denied => 403,
            Self::Overloaded => 429,
            Self::Unavailable => 503,
            Self::Internal => 500,
        }
    }

    /// The code that gRPC callers see.
    pub fn grpc(self) -> tonic::Code {
        match self {
            Self::Invalid => tonic::Code::InvalidArgument,
            Self::NotFound => tonic::Code::NotFound,
            Self::AlreadyExists => tonic::Code::AlreadyExists,
            Self::Conflict => tonic::Code::FailedPrecondition,
            Self::Denied => tonic::Code::PermissionDenied,
            Self::Overloaded => tonic::Code::ResourceExhausted,
            Self::Unavailable => tonic::Code::Unavailable,
            Self::Internal => tonic::Code::Internal,
        }
    }

    /// The reverse of [`Code::grpc`]; codes we do not send are our own fault or the network's.
    pub fn from_grpc(code: tonic::Code) -> Self {
        match code {
            tonic::Code::InvalidArgument => Self::Invalid,
            tonic::Code::NotFound => Self::NotFound,
            tonic::Code::AlreadyExists => Self::AlreadyExists,
            tonic::Code::FailedPrecondition => Self::Conflict,
            tonic::Code::PermissionDenied | tonic::Code::Unauthenticated => Self::Denied,
            tonic::Code::ResourceExhausted => Self::Overloaded,
            tonic::Code::Unavailable | tonic::Code::DeadlineExceeded | tonic::Code::Cancelled => {
                Self::Unavailable
            }
            _ => Self::Internal,
        }
    }

    /// Whether the same call may succeed later.
    pub fn retry(self) -> bool {
        matches!(self, Self::Overloaded | Self::Unavailable)
    }
}

/// What went wrong, for people and for programs.
#[derive(Debug, Clone)]
pub struct Error {
    /// The kind.
    pub code: Code,
    /// One sentence: lower case, no full stop.
    pub text: String,
}

/// The control plane's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of a kind.
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        Self::new(error.code.grpc(), error.text)
    }
}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        Self::new(Code::from_grpc(status.code()), status.message())
    }
}
