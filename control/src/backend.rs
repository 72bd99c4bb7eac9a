//! The one place that names all backends: from a URL to a store, routes and a queue.
//!
//! | | in one process | in another process | on a server | later |
//! | --- | --- | --- | --- | --- |
//! | store | `sqlite:` | `message://host:7780,host:7780` | `postgres://…`, `mysql://…` | |
//! | routes | `memory:` | `message://host:7780,host:7780` | `redis://…`, also with Sentinel or Cluster | |
//! | queue | `local:` | `message://host:7780` | `kafka://host:9092,host:9092` | |
//!
//! What is embedded has one owner, the process with the message role; servers are open to every process, and several processes with the
//! message role may stand before them.

use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::message::{Backends, Connection, ConnectionOptions};
#[cfg(feature = "kafka")]
use crate::metrics::KafkaMetrics;
use crate::metrics::QueueMetrics;
#[cfg(feature = "redis")]
use crate::metrics::RedisCollector;
use crate::queue::Queue;
use crate::queue::local::LocalQueue;
use crate::queue::remote::RemoteQueue;
#[cfg(feature = "kafka")]
use crate::queue::{kafka::KafkaQueue, kafka_options::KafkaOptions};
use crate::routes::Routes;
use crate::routes::memory::MemoryRoutes;
#[cfg(feature = "redis")]
use crate::routes::redis::RedisRoutes;
use crate::routes::remote::RemoteRoutes;
use crate::server_url::ServerUrl;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use crate::store::ServerMetrics;
use crate::store::Store;
use crate::store::remote::RemoteStore;
use crate::store::sqlite::{SqliteOptions, SqliteStore};
#[cfg(feature = "redis")]
use gpusher_redis::RedisUrl;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// How URLs of the process with the message role begin.
pub const MESSAGE: &str = "message://";
/// How URLs of what is in the process itself begin.
const EMBEDDED: [&str; 3] = ["sqlite:", "memory:", "local:"];

/// Whether a URL names what only one process can have.
pub fn is_embedded(url: &str) -> bool {
    EMBEDDED.iter().any(|scheme| url.starts_with(scheme))
}

/// Where users, apps and logs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A SQLite file; none: `store.db` in the data directory.
    Sqlite(Option<PathBuf>),
    /// A database on a PostgreSQL server.
    #[cfg(feature = "postgres")]
    Postgres(ServerUrl),
    /// A database on a MariaDB or MySQL server.
    #[cfg(feature = "mysql")]
    MySql(ServerUrl),
    /// The message role at host:port; several of them, separated by commas, before the same server.
    Message(String),
}

/// Where routes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoutesUrl {
    /// In this process.
    Memory,
    /// The message role at host:port; several of them, separated by commas, before the same server.
    Message(String),
    /// Redis, which any number of processes may share.
    #[cfg(feature = "redis")]
    Redis(RedisUrl),
}

/// Where the queue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueUrl {
    /// The durable local queue; no file named: `queue.db` in the data directory.
    Local(Option<PathBuf>),
    /// Brokers of Kafka, host:port separated by commas.
    #[cfg(feature = "kafka")]
    Kafka(String),
    /// The message role at host:port.
    Message(String),
}

/// Opens what the configuration names.
///
/// # Errors
/// As [`open_store`], [`open_routes`] and [`open_queue`].
pub async fn open(config: &Config, registry: &Mutex<Registry>) -> Result<Backends> {
    Ok(Backends {
        store: open_store(config, registry).await?,
        routes: open_routes(config, registry)?,
        queue: open_queue(config, registry).await?,
    })
}

/// Opens the store.
///
/// # Errors
/// `unavailable` if a file cannot be opened or a server refuses us, `invalid` if a URL cannot be one. A message role or a server that does
/// not answer is no error: it may come later.
#[cfg_attr(not(any(feature = "postgres", feature = "mysql")), expect(unused_variables))]
pub async fn open_store(config: &Config, registry: &Mutex<Registry>) -> Result<Arc<dyn Store>> {
    let store = &config.store;
    Ok(match &store.url {
        StoreUrl::Sqlite(file) => {
            let mut options = SqliteOptions::new(in_folder(&config.data_dir, file, "store.db"));
            options.durability = store.durability;
            options.readers = store.readers;
            options.cache_bytes_max = store.cache_bytes_max;
            Arc::new(SqliteStore::open(options).await?)
        }
        #[cfg(feature = "postgres")]
        StoreUrl::Postgres(url) => {
            crate::store::postgres::open(store.server(url), server_metrics(registry)).await?
        }
        #[cfg(feature = "mysql")]
        StoreUrl::MySql(url) => {
            crate::store::mysql::open(store.server(url), server_metrics(registry)).await?
        }
        StoreUrl::Message(hosts) => Arc::new(RemoteStore::new(&connect(config, hosts)?)),
    })
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
fn server_metrics(registry: &Mutex<Registry>) -> ServerMetrics {
    ServerMetrics::register(&mut registry.lock())
}

/// Opens the routes.
///
/// # Errors
/// `invalid` if an address cannot be one. A message role that does not answer is no error: it may come later.
#[cfg_attr(not(feature = "redis"), expect(unused_variables))]
pub fn open_routes(config: &Config, registry: &Mutex<Registry>) -> Result<Arc<dyn Routes>> {
    Ok(match &config.routes {
        RoutesUrl::Memory => Arc::new(MemoryRoutes::default()),
        RoutesUrl::Message(hosts) => Arc::new(RemoteRoutes::new(&connect(config, hosts)?)),
        #[cfg(feature = "redis")]
        RoutesUrl::Redis(url) => {
            let routes = RedisRoutes::open(url.clone());
            RedisCollector::register(routes.redis().clone(), &mut registry.lock());
            routes
        }
    })
}

/// Opens the queue.
///
/// # Errors
/// `unavailable` if a file cannot be opened, `invalid` if an address cannot be one, or a setting of Kafka. A message role or a broker that
/// does not answer is no error: it may come later.
pub async fn open_queue(config: &Config, registry: &Mutex<Registry>) -> Result<Arc<dyn Queue>> {
    Ok(match &config.queue.url {
        QueueUrl::Local(file) => {
            let file = in_folder(&config.data_dir, file, "queue.db");
            let metrics = QueueMetrics::register(&mut registry.lock());
            Arc::new(LocalQueue::open(&file, config.queue.local.clone(), metrics).await?)
        }
        #[cfg(feature = "kafka")]
        QueueUrl::Kafka(servers) => {
            let options = KafkaOptions { servers: servers.clone(), ..config.queue.kafka.clone() };
            let metrics = KafkaMetrics::register(&mut registry.lock());
            Arc::new(KafkaQueue::open(options, metrics)?)
        }
        QueueUrl::Message(host) => Arc::new(RemoteQueue::new(&connect(config, host)?)),
    })
}

fn connect(config: &Config, hosts: &str) -> Result<Connection> {
    let urls = hosts.split(',').map(|host| format!("http://{host}")).collect();
    let mut options = ConnectionOptions::new(urls);
    options.secret = config.auth.link_secret.clone();
    Connection::new(options)
}

fn in_folder(folder: &Path, file: &Option<PathBuf>, name: &str) -> PathBuf {
    file.clone().unwrap_or_else(|| folder.join(name))
}

impl FromStr for StoreUrl {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self> {
        match split("store.url", url)? {
            ("sqlite", file) => Ok(Self::Sqlite(path(file))),
            ("message", hosts) => Ok(Self::Message(host_ports("store.url", url, hosts)?)),
            #[cfg(feature = "postgres")]
            ("postgres" | "postgresql", _) => Ok(Self::Postgres(server("store.url", url)?)),
            #[cfg(not(feature = "postgres"))]
            (scheme @ ("postgres" | "postgresql"), _) => {
                Err(not_compiled_in("store.url", scheme, "postgres", "sqlite:"))
            }
            #[cfg(feature = "mysql")]
            ("mysql" | "mariadb", _) => Ok(Self::MySql(server("store.url", url)?)),
            #[cfg(not(feature = "mysql"))]
            (scheme @ ("mysql" | "mariadb"), _) => {
                Err(not_compiled_in("store.url", scheme, "mysql", "sqlite:"))
            }
            _ => Err(unknown("store.url", url, "sqlite:")),
        }
    }
}

impl FromStr for RoutesUrl {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self> {
        match split("routes.url", url)? {
            ("memory", "") => Ok(Self::Memory),
            ("message", hosts) => Ok(Self::Message(host_ports("routes.url", url, hosts)?)),
            #[cfg(feature = "redis")]
            ("redis" | "rediss" | "redis+sentinel" | "redis+cluster", _) => {
                let parsed = url
                    .parse()
                    .map_err(|error| Error::new(Code::Invalid, format!("routes.url: {error}")));
                parsed.map(Self::Redis)
            }
            #[cfg(not(feature = "redis"))]
            (scheme @ ("redis" | "rediss" | "redis+sentinel" | "redis+cluster"), _) => {
                Err(not_compiled_in("routes.url", scheme, "redis", "memory:"))
            }
            _ => Err(unknown("routes.url", url, "memory:")),
        }
    }
}

impl FromStr for QueueUrl {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self> {
        match split("queue.url", url)? {
            ("local", file) => Ok(Self::Local(path(file))),
            ("message", host) => Ok(Self::Message(one_host(url, host)?)),
            #[cfg(feature = "kafka")]
            ("kafka", servers) => Ok(Self::Kafka(hosts("queue.url", servers, "kafka", 9092)?)),
            #[cfg(not(feature = "kafka"))]
            (scheme @ "kafka", _) => Err(not_compiled_in("queue.url", scheme, "kafka", "local:")),
            _ => Err(unknown("queue.url", url, "local:")),
        }
    }
}

fn split<'a>(key: &str, url: &'a str) -> Result<(&'a str, &'a str)> {
    url.split_once(':').ok_or_else(|| {
        let text = format!("{key} must be a URL like {MESSAGE}host:7780, not {url:?}");
        Error::new(Code::Invalid, text)
    })
}

/// A server's URL: scheme and host at least.
#[cfg(any(feature = "postgres", feature = "mysql"))]
fn server(key: &str, url: &str) -> Result<ServerUrl> {
    let url = ServerUrl::new(url);
    let shown = url.to_string();
    let scheme = shown.split(':').next().unwrap_or_default();
    let named = |(_, rest): (&str, &str)| {
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        !host.is_empty() && !host.starts_with('/')
    };
    if shown.split_once("://").is_some_and(named) {
        return Ok(url);
    }
    let text =
        format!("{key} must name a server, like {scheme}://user@10.0.0.5/gpusher, not {url:?}");
    Err(Error::new(Code::Invalid, text))
}

fn path(file: &str) -> Option<PathBuf> {
    let file = file.strip_prefix("//").unwrap_or(file);
    (!file.is_empty()).then(|| file.into())
}

/// Processes with the message role, host:port separated by commas.
fn host_ports(key: &str, url: &str, rest: &str) -> Result<String> {
    let list = rest.strip_prefix("//").unwrap_or_default().trim_end_matches('/');
    let has_port = |host: &str| {
        let port = host.rsplit_once(':').filter(|(name, _)| !name.is_empty()).map(|(_, port)| port);
        port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
    };
    let hosts: Vec<&str> = list.split(',').map(str::trim).collect();
    if hosts.iter().all(|host| has_port(host)) {
        return Ok(hosts.join(","));
    }
    let text = format!("{key} must name host and port, like {MESSAGE}10.0.0.5:7780, not {url:?}");
    Err(Error::new(Code::Invalid, text))
}

/// Only servers may stand behind several processes; a queue that one of them holds has one owner, and one on Kafka is asked directly.
fn one_host(url: &str, rest: &str) -> Result<String> {
    let host = host_ports("queue.url", url, rest)?;
    if !host.contains(',') {
        return Ok(host);
    }
    let text = format!(
        "queue.url names several processes, {url}; a queue has one owner: name that one, or Kafka's brokers"
    );
    Err(Error::new(Code::Invalid, text))
}

/// Several, each with a port or with the usual one.
#[cfg(feature = "kafka")]
fn hosts(key: &str, rest: &str, scheme: &str, port: u16) -> Result<String> {
    let list = rest.strip_prefix("//").unwrap_or_default().trim_end_matches('/');
    let with_port = |host: &str| {
        let colons = host.matches(':').count();
        let named = !host.is_empty() && !host.contains(['@', '/', '?']);
        let port_given = colons == 1 || (host.starts_with('[') && !host.ends_with(']'));
        match (named, port_given) {
            (false, _) => None,
            (true, false) => Some(format!("{host}:{port}")),
            (true, true) => {
                let given = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
                given.filter(|&port| port > 0).map(|_| host.to_owned())
            }
        }
    };
    let hosts: Option<Vec<String>> = list.split(',').map(|host| with_port(host.trim())).collect();
    hosts.map(|hosts| hosts.join(",")).ok_or_else(|| {
        let text = format!(
            "{key} must name hosts and ports only, like {scheme}://10.0.0.5:{port},10.0.0.6:{port}"
        );
        Error::new(Code::Invalid, text)
    })
}

#[cfg(any(
    test,
    not(all(feature = "postgres", feature = "mysql", feature = "redis", feature = "kafka"))
))]
fn not_compiled_in(key: &str, scheme: &str, feature: &str, embedded: &str) -> Error {
    let text = format!(
        "{key}: this program was built without a backend for {scheme}: (`cargo build --features {feature}` builds it in); use {embedded} or {MESSAGE}host:7780"
    );
    Error::new(Code::Invalid, text)
}

/// It may hold a password all the same.
fn unknown(key: &str, url: &str, embedded: &str) -> Error {
    let url = ServerUrl::new(url);
    let text =
        format!("{key}: nothing is known about {url:?}; use {embedded} or {MESSAGE}host:7780");
    Error::new(Code::Invalid, text)
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => write!(f, "sqlite:{}", shown(file)),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => url.fmt(f),
            #[cfg(feature = "mysql")]
            Self::MySql(url) => url.fmt(f),
            Self::Message(host) => write!(f, "{MESSAGE}{host}"),
        }
    }
}

impl fmt::Display for RoutesUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Message(host) => write!(f, "{MESSAGE}{host}"),
            #[cfg(feature = "redis")]
            Self::Redis(url) => write!(f, "{url}"),
        }
    }
}

impl fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(file) => write!(f, "local:{}", shown(file)),
            #[cfg(feature = "kafka")]
            Self::Kafka(servers) => write!(f, "kafka://{servers}"),
            Self::Message(host) => write!(f, "{MESSAGE}{host}"),
        }
    }
}

fn shown(file: &Option<PathBuf>) -> impl fmt::Display {
    file.as_deref().unwrap_or(Path::new("")).display()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_backends_and_come_back() {
        for url in ["sqlite:", "sqlite:/var/lib/gpusher/store.db", "message://10.0.0.5:7780"] {
            assert_eq!(url.parse::<StoreUrl>().unwrap().to_string(), url);
        }
        let file = StoreUrl::Sqlite(Some("/a.db".into()));
        assert_eq!("sqlite:///a.db".parse::<StoreUrl>().unwrap(), file);
        assert_eq!("memory:".parse::<RoutesUrl>().unwrap(), RoutesUrl::Memory);
        assert_eq!("local:".parse::<QueueUrl>().unwrap(), QueueUrl::Local(None));
        let remote = QueueUrl::Message("[::1]:7780".into());
        assert_eq!("message://[::1]:7780/".parse::<QueueUrl>().unwrap(), remote);
    }

    #[test]
    fn several_message_roles_share_servers_but_no_queue() {
        let both = "message://10.0.0.5:7780, [::1]:7780";
        let shown = "message://10.0.0.5:7780,[::1]:7780";
        assert_eq!(both.parse::<StoreUrl>().unwrap().to_string(), shown);
        assert_eq!(both.parse::<RoutesUrl>().unwrap().to_string(), shown);
        let refused = both.parse::<QueueUrl>().unwrap_err().text;
        assert!(refused.contains("a queue has one owner"), "{refused}");
        assert!("message://a:1,".parse::<StoreUrl>().is_err());
    }

    #[cfg(feature = "redis")]
    #[test]
    fn credentials_of_redis_are_not_shown() {
        let url: RoutesUrl = "redis://user:secret@10.0.0.5/2?name=blue".parse().unwrap();
        assert_eq!(url.to_string(), "redis://10.0.0.5:6379/2?name=blue");
        assert!(!format!("{url:?}").contains("secret"));
        let bad = "redis://:secret@h:x".parse::<RoutesUrl>().unwrap_err().text;
        assert!(bad.starts_with("routes.url: the URL of redis has a port"), "{bad}");
    }

    #[test]
    #[cfg(all(feature = "postgres", feature = "mysql"))]
    fn passwords_of_servers_are_not_shown() {
        for url in ["mysql://root@db/push", "mariadb://db:3306/push"] {
            assert_eq!(url.parse::<StoreUrl>().unwrap().to_string(), url);
        }
        let url: StoreUrl = "postgres://ann:hunter2@db/push?sslmode=require".parse().unwrap();
        assert_eq!(url.to_string(), "postgres://ann@db/push");
        assert!(!format!("{url:?}").contains("hunter2"));
        for wrong in ["postgres:hunter2", "postgres://:hunter2@", "postgre://ann:hunter2@db/push"] {
            let error = wrong.parse::<StoreUrl>().unwrap_err();
            assert!(!error.text.contains("hunter2"), "{error}");
        }
    }

    #[cfg(feature = "kafka")]
    #[test]
    fn kafka_has_many_brokers() {
        let url: QueueUrl = "kafka://a:9093, b,[::1]:9094,[::2]".parse().unwrap();
        assert_eq!(url.to_string(), "kafka://a:9093,b:9092,[::1]:9094,[::2]:9092");
        for url in ["kafka:", "kafka://", "kafka://a,", "kafka://user:secret@a:1", "kafka://a:0"] {
            let refused = url.parse::<QueueUrl>().unwrap_err().text;
            assert!(refused.starts_with("queue.url must name hosts"), "{url}: {refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
    }

    #[test]
    fn what_is_no_backend_is_explained() {
        let text = |error: Error| error.text;
        assert_eq!(
            text(not_compiled_in("queue.url", "kafka", "kafka", "local:")),
            "queue.url: this program was built without a backend for kafka: (`cargo build --features kafka` builds it in); use local: or message://host:7780"
        );
        let pigeon = text("pigeon://a".parse::<RoutesUrl>().unwrap_err());
        assert!(pigeon.contains("nothing is known about \"pigeon://a\"; use memory:"), "{pigeon}");
        for url in
            ["message://host", "message:host:1", "message://host:0", "message://:7780", "store"]
        {
            let bad = text(url.parse::<StoreUrl>().unwrap_err());
            assert!(bad.starts_with("store.url must"), "{url}: {bad}");
        }
    }
}
