//! The hand-over between acceptance and routing: what is in here was promised.
//!
//! Every backend passes `suite`.

pub mod local;
pub mod remote;
#[cfg(any(test, feature = "suites"))]
pub mod suite;

pub use self::remote::RemoteQueue;

use crate::error::Result;
use async_trait::async_trait;
use gpusher_proto::data::Record;

/// Where accepted jobs wait.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Returns once the records are durable. `overloaded` when the queue is full (bytes or records), `unavailable` when it is down.
    async fn publish(&self, records: Vec<Record>) -> Result<()>;
    /// Opens the group's consumer at its committed position. One at a time per group and process.
    async fn consume(&self, group: &str) -> Result<Box<dyn Consumer>>;
    /// Records not yet committed by the group.
    async fn depth(&self, group: &str) -> Result<u64>;
    /// Refuses new records, finishes those under way and lets go of the file or connection.
    async fn close(&self) {}
}

/// One reader of the queue. Records of one key come in the order they were published.
#[async_trait]
pub trait Consumer: Send {
    /// Waits for at least one record, returns up to `limit`. Cancel-safe: nothing is lost when the future is dropped.
    async fn next(&mut self, limit: usize) -> Result<Vec<Record>>;
    /// Everything up to and including this offset is done; a consumer opened later starts after it. It may be written down a little
    /// later: after a kill, what was just done may come again.
    async fn commit(&mut self, offset: u64) -> Result<()>;
}
