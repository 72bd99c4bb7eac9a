//! The one place that names all backends: from a URL to a store, routes and a queue.
//!
//! | | in one process | in another process | later |
//! | --- | --- | --- | --- |
//! | store | `sqlite:` | `message://host:7780` | PostgreSQL, MySQL |
//! | routes | `memory:` | `message://host:7780` | Redis |
//! | queue | `local:` | `message://host:7780` | Kafka |

use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::message::{Backends, Connection, ConnectionOptions};
use crate::metrics::QueueMetrics;
use crate::queue::Queue;
use crate::queue::local::LocalQueue;
use crate::queue::remote::RemoteQueue;
use crate::routes::Routes;
use crate::routes::memory::MemoryRoutes;
use crate::routes::remote::RemoteRoutes;
use crate::store::Store;
use crate::store::remote::RemoteStore;
use crate::store::sqlite::{SqliteOptions, SqliteStore};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// How URLs of the process with the message role begin.
pub const MESSAGE: &str = "message://";

/// Where users, apps and logs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A SQLite file; none: `store.db` in the data directory.
    Sqlite(Option<PathBuf>),
    /// The message role at host:port.
    Message(String),
}

/// Where routes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoutesUrl {
    /// In this process.
    Memory,
    /// The message role at host:port.
    Message(String),
}

/// Where the queue is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueUrl {
    /// The durable local queue; no file named: `queue.db` in the data directory.
    Local(Option<PathBuf>),
    /// The message role at host:port.
    Message(String),
}

/// Opens what the configuration names.
///
/// # Errors
/// `unavailable` if a file cannot be opened, `invalid` if an address cannot be one. A message role that does not answer is no error: it
/// may come later.
pub async fn open(config: &Config, registry: &Mutex<Registry>) -> Result<Backends> {
    let folder = &config.data_dir;
    let connect = |host: &str| {
        let mut options = ConnectionOptions::new(format!("http://{host}"));
        options.secret = config.auth.link_secret.clone();
        Connection::new(options)
    };
    let store: Arc<dyn Store> = match &config.store.url {
        StoreUrl::Sqlite(file) => {
            let mut options = SqliteOptions::new(in_folder(folder, file, "store.db"));
            options.durability = config.store.durability;
            options.readers = config.store.readers;
            Arc::new(SqliteStore::open(options).await?)
        }
        StoreUrl::Message(host) => Arc::new(RemoteStore::new(&connect(host)?)),
    };
    let routes: Arc<dyn Routes> = match &config.routes {
        RoutesUrl::Memory => Arc::new(MemoryRoutes::default()),
        RoutesUrl::Message(host) => Arc::new(RemoteRoutes::new(&connect(host)?)),
    };
    let queue: Arc<dyn Queue> = match &config.queue.url {
        QueueUrl::Local(file) => {
            let file = in_folder(folder, file, "queue.db");
            let metrics = QueueMetrics::register(&mut registry.lock());
            Arc::new(LocalQueue::open(&file, config.queue.local.clone(), metrics).await?)
        }
        QueueUrl::Message(host) => Arc::new(RemoteQueue::new(&connect(host)?)),
    };
    Ok(Backends { store, routes, queue })
}

fn in_folder(folder: &Path, file: &Option<PathBuf>, name: &str) -> PathBuf {
    file.clone().unwrap_or_else(|| folder.join(name))
}

impl FromStr for StoreUrl {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self> {
        match split("store.url", url)? {
            ("sqlite", file) => Ok(Self::Sqlite(path(file))),
            ("message", host) => Ok(Self::Message(host_port("store.url", url, host)?)),
            (scheme @ ("postgres" | "postgresql" | "mysql" | "mariadb"), _) => {
                Err(not_compiled_in("store.url", scheme, "sqlite:"))
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
            ("message", host) => Ok(Self::Message(host_port("routes.url", url, host)?)),
            (scheme @ ("redis" | "rediss"), _) => {
                Err(not_compiled_in("routes.url", scheme, "memory:"))
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
            ("message", host) => Ok(Self::Message(host_port("queue.url", url, host)?)),
            (scheme @ "kafka", _) => Err(not_compiled_in("queue.url", scheme, "local:")),
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

fn path(file: &str) -> Option<PathBuf> {
    let file = file.strip_prefix("//").unwrap_or(file);
    (!file.is_empty()).then(|| file.into())
}

fn host_port(key: &str, url: &str, rest: &str) -> Result<String> {
    let host = rest.strip_prefix("//").unwrap_or_default().trim_end_matches('/');
    let port = host.rsplit_once(':').filter(|(name, _)| !name.is_empty()).map(|(_, port)| port);
    if port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return Ok(host.to_owned());
    }
    let text = format!("{key} must name host and port, like {MESSAGE}10.0.0.5:7780, not {url:?}");
    Err(Error::new(Code::Invalid, text))
}

fn not_compiled_in(key: &str, scheme: &str, embedded: &str) -> Error {
    let text = format!(
        "{key}: this program was built without a backend for {scheme}:; use {embedded} or {MESSAGE}host:7780, or a version that has one"
    );
    Error::new(Code::Invalid, text)
}

fn unknown(key: &str, url: &str, embedded: &str) -> Error {
    let text =
        format!("{key}: nothing is known about {url:?}; use {embedded} or {MESSAGE}host:7780");
    Error::new(Code::Invalid, text)
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => write!(f, "sqlite:{}", shown(file)),
            Self::Message(host) => write!(f, "{MESSAGE}{host}"),
        }
    }
}

impl fmt::Display for RoutesUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Message(host) => write!(f, "{MESSAGE}{host}"),
        }
    }
}

impl fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(file) => write!(f, "local:{}", shown(file)),
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
    fn what_is_no_backend_is_explained() {
        let text = |error: Error| error.text;
        let kafka = text("kafka://a:9092".parse::<QueueUrl>().unwrap_err());
        assert!(
            kafka.starts_with("queue.url: this program was built without a backend for kafka:"),
            "{kafka}"
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
