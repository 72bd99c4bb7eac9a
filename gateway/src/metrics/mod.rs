//! What the gateway counts, and how it is read.

mod catalogue;
mod exposition;
mod link;
mod process;
mod shard;

pub(crate) use catalogue::catalogue;
pub use catalogue::{Catalogue, Counts, Shape};
pub use exposition::{Constants, Metrics};
pub use link::LinkCount;
pub use process::ProcessCollector;
pub use shard::{ShardCount, ShardCounts};
