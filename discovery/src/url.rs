//! Where services are registered.

use crate::error::DiscoveryError;
#[cfg(feature = "etcd")]
use crate::in_etcd::InEtcd;
#[cfg(feature = "redis")]
use crate::in_redis::InRedis;
use crate::registry::Registry;
#[cfg(feature = "redis")]
use gpusher_redis::RedisUrl;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// What keys in etcd begin with, unless the URL says otherwise.
#[cfg(feature = "etcd")]
const ETCD_PREFIX: &str = "/etcd/gpusher";

/// Where services are registered: `static:`, `etcd://host:2379,…[/prefix]`, or Redis as [`gpusher_redis`] understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiscoveryUrl {
    /// Nowhere: the configuration names all.
    Static,
    /// In Redis.
    #[cfg(feature = "redis")]
    Redis(RedisUrl),
    /// In etcd.
    #[cfg(feature = "etcd")]
    Etcd {
        /// host:port of its members.
        addresses: Vec<String>,
        /// What its keys begin with.
        prefix: String,
    },
}

impl DiscoveryUrl {
    /// Whether processes register themselves, so that a configuration need not name them.
    pub fn is_registry(&self) -> bool {
        *self != Self::Static
    }

    pub(crate) fn registry(
        &self,
        _lease: Duration,
    ) -> Result<Option<Arc<dyn Registry>>, DiscoveryError> {
        Ok(match self {
            Self::Static => None,
            #[cfg(feature = "redis")]
            Self::Redis(url) => Some(Arc::new(InRedis::new(url.clone(), _lease))),
            #[cfg(feature = "etcd")]
            Self::Etcd { addresses, prefix } => {
                Some(Arc::new(InEtcd::new(addresses, prefix, _lease)?))
            }
        })
    }
}

impl FromStr for DiscoveryUrl {
    type Err = DiscoveryError;

    fn from_str(url: &str) -> Result<Self, DiscoveryError> {
        match url.split_once(':') {
            Some(("static", "")) => Ok(Self::Static),
            Some((scheme @ ("redis" | "rediss" | "redis+sentinel" | "redis+cluster"), _)) => {
                in_redis(scheme, url)
            }
            Some(("etcd", rest)) => in_etcd(rest),
            _ => Err(DiscoveryError::Invalid(format!(
                "nothing is known about {url:?}; use static:, redis://host:6379 or etcd://host:2379"
            ))),
        }
    }
}

#[cfg(feature = "redis")]
fn in_redis(_scheme: &str, url: &str) -> Result<DiscoveryUrl, DiscoveryError> {
    let parsed = url.parse().map_err(|error| DiscoveryError::Invalid(format!("{error}")));
    parsed.map(DiscoveryUrl::Redis)
}

#[cfg(not(feature = "redis"))]
fn in_redis(scheme: &str, _url: &str) -> Result<DiscoveryUrl, DiscoveryError> {
    Err(not_built_in(scheme, "redis"))
}

#[cfg(feature = "etcd")]
fn in_etcd(rest: &str) -> Result<DiscoveryUrl, DiscoveryError> {
    let invalid = |what: &str| {
        DiscoveryError::Invalid(format!(
            "the URL of etcd has {what}; etcd://host:2379,host:2379/prefix"
        ))
    };
    let rest = rest.strip_prefix("//").ok_or_else(|| invalid("no host"))?;
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    if hosts.contains('@') {
        return Err(invalid("credentials, which are not supported"));
    }
    let addresses: Vec<String> = hosts.split(',').map(str::to_owned).collect();
    let is_address = |address: &String| {
        let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        port.is_some_and(|(_, port)| port.parse().is_ok_and(|port: u16| port > 0))
    };
    if !addresses.iter().all(is_address) {
        return Err(invalid("no host and port"));
    }
    let prefix = match path.trim_end_matches('/') {
        "" => ETCD_PREFIX.to_owned(),
        path => format!("/{path}"),
    };
    Ok(DiscoveryUrl::Etcd { addresses, prefix })
}

#[cfg(not(feature = "etcd"))]
fn in_etcd(_rest: &str) -> Result<DiscoveryUrl, DiscoveryError> {
    Err(not_built_in("etcd", "etcd"))
}

#[cfg(not(all(feature = "redis", feature = "etcd")))]
fn not_built_in(scheme: &str, feature: &str) -> DiscoveryError {
    DiscoveryError::Invalid(format!(
        "this program was built without {scheme}:; `cargo build --features {feature}` builds it in"
    ))
}

impl fmt::Display for DiscoveryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static => f.write_str("static:"),
            #[cfg(feature = "redis")]
            Self::Redis(url) => write!(f, "{url}"),
            #[cfg(feature = "etcd")]
            Self::Etcd { addresses, prefix } => write!(f, "etcd://{}{prefix}", addresses.join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_come_back() {
        for (url, shown) in [
            ("static:", "static:"),
            #[cfg(feature = "redis")]
            ("redis://:secret@h/1", "redis://h:6379/1"),
            #[cfg(feature = "etcd")]
            ("etcd://a:1,b:2", "etcd://a:1,b:2/etcd/gpusher"),
            #[cfg(feature = "etcd")]
            ("etcd://a:1/blue/", "etcd://a:1/blue"),
        ] {
            let parsed: DiscoveryUrl = url.parse().unwrap();
            assert_eq!(parsed.to_string(), shown);
            assert_eq!(parsed.is_registry(), url != "static:");
        }
    }

    #[test]
    fn what_is_no_place_is_explained() {
        for (url, part) in [
            ("pigeon://a", "nothing is known about \"pigeon://a\""),
            #[cfg(feature = "redis")]
            ("redis://", "no host"),
            #[cfg(feature = "etcd")]
            ("etcd://a", "no host and port"),
            #[cfg(not(feature = "etcd"))]
            ("etcd://a:1", "cargo build --features etcd"),
        ] {
            let error = url.parse::<DiscoveryUrl>().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
