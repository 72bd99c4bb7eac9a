//! The gateway: pinned shards that hold connections, and the link to logic.

#![forbid(unsafe_code)]

mod admin;
pub mod boot;
pub mod budget;
pub mod config;
pub mod doctor;
pub mod gateway;
mod host;
pub mod link;
pub mod links;
pub mod mail;
pub mod metrics;
mod plan;
mod seat;
mod servers;
pub mod shard;
pub mod token;

pub use boot::BootError;
pub use config::RuntimeConfig;
pub use gateway::Gateway;
pub use gpusher_sys::heap;
pub use link::LinkEnds;
