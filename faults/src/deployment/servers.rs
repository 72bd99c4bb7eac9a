//! Servers that several processes share: started for one deployment, each on a host of its own, killed, stopped and started again like any part.

use super::hosts::Ground;
use anyhow::{Context, Result};
use gpusher_testbed::{Etcd, Kafka, MariaDb, Postgres, Redis};
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// What the database is called.
const DATABASE: &str = "gpusher";

/// Where store, routes and queue are, and how processes find each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backends {
    /// In the process with the message role; addresses are configured.
    Embedded,
    /// The queue on Kafka, routes and discovery in Redis, the store on PostgreSQL.
    KafkaRedisPostgres,
    /// The queue on Kafka, routes in Redis, discovery in etcd, the store on MariaDB.
    KafkaEtcdMariaDb,
}

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKind {
    /// Of the queue.
    Kafka,
    /// Of the routes, and of discovery unless etcd is.
    Redis,
    /// Of the store.
    Database,
    /// Of discovery.
    Etcd,
}

impl fmt::Display for ServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kafka => "kafka",
            Self::Redis => "redis",
            Self::Database => "database",
            Self::Etcd => "etcd",
        })
    }
}

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    /// What it is for.
    pub kind: ServerKind,
    /// Nobody else has its address.
    pub host: Ipv4Addr,
    program: Program,
}

#[derive(Debug)]
enum Program {
    Kafka(Kafka),
    Redis(Redis),
    Postgres(Postgres),
    MariaDb(MariaDb),
    Etcd(Etcd),
}

/// The same call for each program.
macro_rules! of_program {
    ($program:expr, $method:ident) => {
        match $program {
            Program::Kafka(server) => server.$method(),
            Program::Redis(server) => server.$method(),
            Program::Postgres(server) => server.$method(),
            Program::MariaDb(server) => server.$method(),
            Program::Etcd(server) => server.$method(),
        }
    };
}

impl Server {
    fn start(backends: Backends, kind: ServerKind, host: Ipv4Addr) -> Self {
        let program = match kind {
            ServerKind::Kafka => Program::Kafka(Kafka::start_on(host)),
            ServerKind::Redis => Program::Redis(Redis::start_on(host)),
            ServerKind::Etcd => Program::Etcd(Etcd::start_on(host)),
            ServerKind::Database if backends == Backends::KafkaEtcdMariaDb => {
                let server = MariaDb::start_on(host);
                server.execute(&format!("CREATE DATABASE {DATABASE}"));
                server.execute("CREATE USER root@'%'; GRANT ALL ON *.* TO root@'%'");
                Program::MariaDb(server)
            }
            ServerKind::Database => {
                let server = Postgres::start_on(host);
                server.execute(&format!("CREATE DATABASE {DATABASE}"));
                Program::Postgres(server)
            }
        };
        Self { kind, host, program }
    }

    /// Where the product finds it.
    pub fn url(&self) -> String {
        match &self.program {
            Program::Kafka(server) => format!("kafka://{}", server.broker()),
            Program::Redis(server) => server.url(),
            Program::Postgres(server) => server.url(DATABASE),
            Program::MariaDb(server) => server.url(DATABASE),
            Program::Etcd(server) => format!("etcd://{}", server.address()),
        }
    }

    /// The number of its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        of_program!(&self.program, pid)
    }

    /// SIGKILL of it and of what it has started.
    pub async fn kill(self: &Arc<Self>) -> Result<()> {
        self.blocking(|server| of_program!(&server.program, kill)).await
    }

    /// Starts it after a kill, with what it had on disk, and waits until it answers.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn start_again(self: &Arc<Self>) -> Result<()> {
        self.blocking(|server| of_program!(&server.program, start_again)).await
    }

    /// SIGSTOP: it takes connections, and answers nothing.
    pub fn pause(&self) {
        of_program!(&self.program, pause);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        of_program!(&self.program, resume);
    }

    async fn blocking(self: &Arc<Self>, call: fn(&Self)) -> Result<()> {
        let server = Arc::clone(self);
        let called = tokio::task::spawn_blocking(move || call(&server)).await;
        called.with_context(|| format!("{} cannot be stopped and started", self.kind))
    }
}

/// Starts what the processes need, all at once.
///
/// # Errors
/// If a server is missing or does not start; it says why on standard error.
pub(super) async fn start(backends: Backends, ground: Ground) -> Result<Vec<Arc<Server>>> {
    let kinds: &[ServerKind] = match backends {
        Backends::Embedded => &[],
        Backends::KafkaRedisPostgres => {
            &[ServerKind::Kafka, ServerKind::Redis, ServerKind::Database]
        }
        Backends::KafkaEtcdMariaDb => {
            &[ServerKind::Kafka, ServerKind::Redis, ServerKind::Etcd, ServerKind::Database]
        }
    };
    let start = |kind| {
        let host = ground.beside_us();
        tokio::task::spawn_blocking(move || Server::start(backends, kind, host))
    };
    let starting: Vec<_> = kinds.iter().map(|&kind| start(kind)).collect();
    let mut servers = Vec::new();
    for server in starting {
        servers.push(Arc::new(server.await.context("a server does not start")?));
    }
    Ok(servers)
}
