//! Real servers for tests, each with a private port on 127.0.0.1 and a temporary folder.
//!
//! [`postgres`], [`mariadb`], [`redis`], [`redis_sentinel`], [`redis_cluster`], [`etcd`] and [`kafka`] give the one that the tests of a
//! process share; who wants to kill a server starts one of its own ([`Postgres::start`] and so on). All end, and their folders go, when
//! they are dropped or the process ends in whatever way. `make servers` installs what they need; a test whose server is missing fails
//! and says so. Starting blocks, for up to 5 seconds (Kafka).

#![forbid(unsafe_code)]

mod etcd;
mod folder;
mod kafka;
mod mariadb;
mod ports;
mod postgres;
mod probe;
mod programs;
mod redis;
mod redis_cluster;
mod redis_sentinel;
mod server;

pub use self::etcd::Etcd;
pub use self::kafka::Kafka;
pub use self::mariadb::MariaDb;
pub use self::ports::free_port;
pub use self::postgres::Postgres;
pub use self::redis::Redis;
pub use self::redis_cluster::RedisCluster;
pub use self::redis_sentinel::RedisSentinel;

use std::sync::OnceLock;

/// The PostgreSQL of this process.
pub fn postgres() -> &'static Postgres {
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    SHARED.get_or_init(Postgres::start)
}

/// The MariaDB of this process.
pub fn mariadb() -> &'static MariaDb {
    static SHARED: OnceLock<MariaDb> = OnceLock::new();
    SHARED.get_or_init(MariaDb::start)
}

/// The Redis of this process.
pub fn redis() -> &'static Redis {
    static SHARED: OnceLock<Redis> = OnceLock::new();
    SHARED.get_or_init(Redis::start)
}

/// The Redis of this process that a Sentinel watches.
pub fn redis_sentinel() -> &'static RedisSentinel {
    static SHARED: OnceLock<RedisSentinel> = OnceLock::new();
    SHARED.get_or_init(RedisSentinel::start)
}

/// The Redis Cluster of this process.
pub fn redis_cluster() -> &'static RedisCluster {
    static SHARED: OnceLock<RedisCluster> = OnceLock::new();
    SHARED.get_or_init(RedisCluster::start)
}

/// The etcd of this process.
pub fn etcd() -> &'static Etcd {
    static SHARED: OnceLock<Etcd> = OnceLock::new();
    SHARED.get_or_init(Etcd::start)
}

/// The Kafka broker of this process.
pub fn kafka() -> &'static Kafka {
    static SHARED: OnceLock<Kafka> = OnceLock::new();
    SHARED.get_or_init(Kafka::start)
}
