//! Where Redis is.
//!
//! | | |
//! | --- | --- |
//! | one server | `redis://[user:password@]host[:6379][/database]` |
//! | Sentinel | `redis+sentinel://[user:password@]host[:26379],…/service[/database]` |
//! | Cluster | `redis+cluster://[user:password@]host[:6379],…` |
//!
//! `?name=blue` sets systems apart that share a server. Credentials are for the data servers; a `%` with two hexadecimal digits stands
//! for a byte.

use std::fmt;
use std::str::FromStr;

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
/// Longest name of a system.
const NAME_BYTES_MAX: usize = 64;

/// Where Redis is, and how to get in. `Display` leaves the credentials out.
#[derive(Clone, PartialEq, Eq)]
pub enum RedisUrl {
    /// One server.
    Server {
        /// Credentials and names.
        access: Access,
        /// Its host and port.
        node: [(String, u16); 1],
    },
    /// The master that sentinels know.
    Sentinel {
        /// Credentials and names.
        access: Access,
        /// Hosts and ports of the sentinels.
        nodes: Vec<(String, u16)>,
        /// The master's name.
        service: String,
    },
    /// A cluster.
    Cluster {
        /// Credentials and names.
        access: Access,
        /// Hosts and ports of some of its nodes.
        nodes: Vec<(String, u16)>,
    },
}

/// Credentials and names.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Access {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: i64,
    /// Sets systems apart that share a server.
    pub(crate) name: String,
}

/// What is wrong with a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UrlError(String);

impl RedisUrl {
    /// The schemes that are understood.
    pub const SCHEMES: [&str; 3] = ["redis", "redis+sentinel", "redis+cluster"];

    /// What every key of ours begins with: `gpusher_`, and the system's name if it has one.
    pub fn key_prefix(&self) -> String {
        match self.access().name.as_str() {
            "" => "gpusher_".into(),
            name => format!("gpusher_{name}_"),
        }
    }

    /// The same server, for the system of another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        let (Self::Server { access, .. }
        | Self::Sentinel { access, .. }
        | Self::Cluster { access, .. }) = &mut self;
        access.name = name.to_owned();
        self
    }

    pub(crate) fn nodes(&self) -> &[(String, u16)] {
        match self {
            Self::Server { node, .. } => node,
            Self::Sentinel { nodes, .. } | Self::Cluster { nodes, .. } => nodes,
        }
    }

    pub(crate) fn access(&self) -> &Access {
        let (Self::Server { access, .. }
        | Self::Sentinel { access, .. }
        | Self::Cluster { access, .. }) = self;
        access
    }
}

impl FromStr for RedisUrl {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("no scheme"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (credentials, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let mut access = credentials_of(credentials)?;
        access.name = name_of(query)?;
        let port = if scheme == "redis+sentinel" { SENTINEL_PORT } else { PORT };
        let nodes: Vec<_> =
            hosts.split(',').map(|host| node_of(host, port)).collect::<Result<_, _>>()?;
        match scheme {
            "redis" => {
                access.database = database_of(path)?;
                let node = nodes.try_into().map_err(|_| {
                    wrong("several hosts; redis+cluster:// or redis+sentinel:// can have them")
                })?;
                Ok(Self::Server { access, node })
            }
            "redis+sentinel" => {
                let (service, database) = path.split_once('/').unwrap_or((path, ""));
                access.database = database_of(database)?;
                if service.is_empty() {
                    return Err(wrong("no service; redis+sentinel://host:26379/SERVICE"));
                }
                Ok(Self::Sentinel { access, nodes, service: service.to_owned() })
            }
            "redis+cluster" if path.is_empty() => Ok(Self::Cluster { access, nodes }),
            "redis+cluster" => Err(wrong("a path; a cluster has no databases")),
            "rediss" => Err(wrong("TLS, which is not built in; use a tunnel, and redis://")),
            _ => Err(wrong("another scheme than redis, redis+sentinel or redis+cluster")),
        }
    }
}

/// The URL itself is not repeated: it may have a password.
fn wrong(what: &str) -> UrlError {
    UrlError(format!("the URL of redis has {what}"))
}

fn credentials_of(text: &str) -> Result<Access, UrlError> {
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (decoded(user)?, decoded(password)?),
        None => (decoded(text)?, String::new()),
    };
    let nonempty = |text: String| (!text.is_empty()).then_some(text);
    Ok(Access { user: nonempty(user), password: nonempty(password), ..Access::default() })
}

fn decoded(text: &str) -> Result<String, UrlError> {
    let malformed = || wrong("a % without two hexadecimal digits in its credentials");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2).ok_or_else(malformed)?;
        let digits = std::str::from_utf8(digits).map_err(|_| malformed())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| malformed())?);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| wrong("credentials that are not UTF-8"))
}

fn name_of(query: &str) -> Result<String, UrlError> {
    let name = match query.split_once('=') {
        None if query.is_empty() => "",
        Some(("name", name)) => name,
        _ => return Err(wrong("a query other than name=…")),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match name.len() <= NAME_BYTES_MAX && name.chars().all(plain) {
        true => Ok(name.to_owned()),
        false => Err(wrong("a name of other than 64 letters, digits, - and _")),
    }
}

fn node_of(text: &str, port: u16) -> Result<(String, u16), UrlError> {
    let is_address = text.ends_with(']');
    let (host, port) = match text.rsplit_once(':').filter(|_| !is_address) {
        Some((host, port)) => (host, port.parse().map_err(|_| wrong("a port that is none"))?),
        None => (text, port),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.is_empty() || port == 0 {
        true => Err(wrong("no host; redis://host:6379")),
        false => Ok((host.to_owned(), port)),
    }
}

fn database_of(path: &str) -> Result<i64, UrlError> {
    match path {
        "" => Ok(0),
        number => match number.parse() {
            Ok(number @ 0..) => Ok(number),
            _ => Err(wrong("a database that is no number")),
        },
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, service) = match self {
            Self::Server { .. } => ("redis", None),
            Self::Sentinel { service, .. } => ("redis+sentinel", Some(service)),
            Self::Cluster { .. } => ("redis+cluster", None),
        };
        write!(f, "{scheme}://")?;
        for (index, (host, port)) in self.nodes().iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            match host.contains(':') {
                true => write!(f, "{comma}[{host}]:{port}")?,
                false => write!(f, "{comma}{host}:{port}")?,
            }
        }
        if let Some(service) = service {
            write!(f, "/{service}")?;
        }
        let Access { database, name, .. } = self.access();
        if *database != 0 {
            write!(f, "/{database}")?;
        }
        if !name.is_empty() {
            write!(f, "?name={name}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_come_back_without_their_credentials() {
        for (url, shown) in [
            ("redis://h", "redis://h:6379"),
            ("redis://h:1/2", "redis://h:1/2"),
            ("redis://u:p%40w@[::1]:1", "redis://[::1]:1"),
            ("redis://:secret@h?name=blue", "redis://h:6379?name=blue"),
            ("redis+sentinel://a,b:7/main", "redis+sentinel://a:26379,b:7/main"),
            ("redis+sentinel://a/main/3", "redis+sentinel://a:26379/main/3"),
            ("redis+cluster://u:secret@a:1,b:2", "redis+cluster://a:1,b:2"),
        ] {
            let parsed: RedisUrl = url.parse().unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(parsed.to_string(), shown, "{url}");
            assert!(!format!("{parsed:?}").contains("secret"));
        }
        let url: RedisUrl = "redis://u:p%40w@h".parse().unwrap();
        let Access { user, password, .. } = url.access();
        assert_eq!((user.as_deref(), password.as_deref()), (Some("u"), Some("p@w")));
    }

    #[test]
    fn wrong_urls_are_explained_without_their_credentials() {
        for (url, part) in [
            ("redis:h", "no scheme"),
            ("redis://", "no host"),
            ("redis://h:x", "a port"),
            ("redis://h/x", "a database"),
            ("redis://a,b", "several hosts"),
            ("redis+sentinel://:secret@a", "no service"),
            ("redis+cluster://a/1", "a path"),
            ("rediss://:secret@h", "TLS"),
            ("redis://:secret%4@h", "a % without"),
            ("redis://h?db=1", "a query"),
            ("redis://h?name={a}", "a name"),
        ] {
            let error = url.parse::<RedisUrl>().unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("secret"), "{url}: {error}");
        }
    }

    #[test]
    fn keys_begin_with_the_products_name() {
        let url: RedisUrl = "redis://h".parse().unwrap();
        assert_eq!(url.key_prefix(), "gpusher_");
        assert_eq!(url.named("blue").key_prefix(), "gpusher_blue_");
    }
}
