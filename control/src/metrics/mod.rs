//! Numbers for operators: one registry for all roles of the process, served at `/metrics`: by web, else by logic, else by message.
//!
//! Each part keeps its own struct of counters, whose fields are documented with what they count and in which unit, and
//! registers it once, under `gpusher_` and its name. What keeps plain numbers (logic, the gateway's shards) is read
//! by a collector when the page is made.

#[cfg(feature = "kafka")]
mod kafka;
mod logic;
mod pages;
mod queue;
#[cfg(feature = "redis")]
mod redis;

#[cfg(feature = "kafka")]
pub use self::kafka::KafkaMetrics;
pub use self::logic::LogicCollector;
pub(crate) use self::pages::{metrics_page, pages};
pub use self::queue::QueueMetrics;
#[cfg(feature = "redis")]
pub use self::redis::RedisCollector;
