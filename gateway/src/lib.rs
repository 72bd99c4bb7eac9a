//! The gateway: pinned shards that hold connections, and the link to logic.

#![forbid(unsafe_code)]

pub mod config;
pub mod link;
pub mod links;
pub mod mail;
pub mod metrics;
pub mod shard;
pub mod token;
