//! Redis as routes and discovery use it: one server, Sentinel or Cluster by URL; every call is bounded in time and number; a server that
//! comes back is found again by itself.

#![forbid(unsafe_code)]

mod connection;
mod failure;
mod script;
mod server;
mod url;

pub use self::failure::Failure;
pub use self::script::Script;
pub use self::server::Redis;
pub use self::url::{RedisUrl, UrlError};
pub use redis::{Cmd, FromRedisValue, cmd};
