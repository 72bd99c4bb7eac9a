//! The hand-over between acceptance and routing: what is in here was promised.
//!
//! Every backend passes `suite`.

#[cfg(feature = "kafka")]
pub mod kafka;
pub mod kafka_options;
pub mod local;
pub mod remote;
#[cfg(any(test, feature = "suites"))]
pub mod suite;

pub use self::remote::RemoteQueue;

use crate::error::Result;
use async_trait::async_trait;
use gpusher_proto::data::{Record, UpstreamMessage};

/// Where accepted jobs wait.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Returns once the records are durable. `overloaded` when the queue is full (bytes or records), `unavailable` when it is down.
    async fn publish(&self, records: Vec<Record>) -> Result<()>;
    /// Opens the group's consumer at its committed position. One at a time per group and process; where several processes may have one,
    /// they share the records.
    async fn consume(&self, group: &str) -> Result<Box<dyn Consumer>>;
    /// As `consume`, for a consumer that ends with this process: it may be handed records while they are being made durable. One that did
    /// not become durable is gone after a restart, and its `publish` has failed.
    async fn consume_early(&self, group: &str) -> Result<Box<dyn Consumer>> {
        self.consume(group).await
    }
    /// Records not yet committed by the group.
    async fn depth(&self, group: &str) -> Result<u64>;
    /// Takes clients' messages for applications, if this is where applications read them; returns once they are durable, as `publish`
    /// does. False: they are to be filed in the store.
    async fn publish_upstream(&self, _messages: &[UpstreamMessage]) -> Result<bool> {
        Ok(false)
    }
    /// Refuses new records, finishes those under way and lets go of the file or connection.
    async fn close(&self) {}
}

/// One reader of the queue. Records of one key come in the order they were published. Offsets increase from record to record; they are the
/// consumer's own, and those of a later consumer of the group are not lower.
#[async_trait]
pub trait Consumer: Send {
    /// Waits for at least one record, returns up to `limit`. Cancel-safe: nothing is lost when the future is dropped.
    async fn next(&mut self, limit: usize) -> Result<Vec<Record>>;
    /// Whether, since the last call, this consumer took over what others of the group had: it may be handed out records that they worked on
    /// and did not commit.
    fn took_over(&mut self) -> bool {
        false
    }
    /// Everything up to and including this offset is done; a consumer opened later starts after it. It may be written down a little
    /// later: after a kill, what was just done may come again.
    async fn commit(&mut self, offset: u64) -> Result<()>;
}
