//! What the gateway counts, and how it is read.

mod shard;

pub use shard::{ShardCount, ShardCounts};
