//! One connection's protocol as a state machine without I/O or clock.
//!
//! [`Session`] turns bytes into [`Event`]s and verdicts into frames; [`Outbox`] holds what waits for the connection's socket. Neither knows a
//! socket, a clock or a thread: the shard brings bytes and times, and does what they say. A test proves that the crate's dependency
//! tree has no tokio, io-uring or libc.

#![forbid(unsafe_code)]

mod event;
pub mod fuzz;
mod limits;
mod outbox;
mod partial;
mod rate;
mod react;
mod session;
mod write;

pub use event::{Event, Login, Upstream};
pub use limits::Limits;
pub use outbox::{
    Class, Entry, Gap, Lane, Offered, Outbox, OutboxLimits, PIECES_MAX, Progress, Removal,
};
pub use session::{Session, State};
pub use write::Admission;
