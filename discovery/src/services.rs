//! What there is to be found.

use std::collections::BTreeSet;
use std::fmt;

/// A process that others look for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// A gateway, by host:port of its `rpc_listen` as logics reach it.
    Gateway(String),
    /// An instance of logic, by its name.
    Logic(String),
}

/// The services of a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Services {
    /// Gateways: host:port for logics.
    pub gateways: BTreeSet<String>,
    /// Names of the instances of logic.
    pub logics: BTreeSet<String>,
}

impl Services {
    /// From two lists, as a configuration has them.
    pub fn new(
        gateways: impl IntoIterator<Item = String>,
        logics: impl IntoIterator<Item = String>,
    ) -> Self {
        Self { gateways: gateways.into_iter().collect(), logics: logics.into_iter().collect() }
    }

    fn insert(&mut self, service: Service) {
        match service {
            Service::Gateway(address) => self.gateways.insert(address),
            Service::Logic(name) => self.logics.insert(name),
        };
    }
}

impl Extend<Service> for Services {
    fn extend<T: IntoIterator<Item = Service>>(&mut self, services: T) {
        services.into_iter().for_each(|service| self.insert(service));
    }
}

impl FromIterator<Service> for Services {
    fn from_iter<T: IntoIterator<Item = Service>>(services: T) -> Self {
        let mut set = Self::default();
        set.extend(services);
        set
    }
}

impl Service {
    /// How registries write it: the kind, a slash, the name.
    pub fn path(&self) -> String {
        self.to_string()
    }

    /// The reverse of [`Service::path`]; none for what a later version has written.
    pub fn from_path(path: &str) -> Option<Self> {
        match path.split_once('/')? {
            (_, "") => None,
            ("gateway", address) => Some(Self::Gateway(address.to_owned())),
            ("logic", name) => Some(Self::Logic(name.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway(address) => write!(f, "gateway/{address}"),
            Self::Logic(name) => write!(f, "logic/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_back() {
        for service in [Service::Gateway("[::1]:7771".into()), Service::Logic("a/b".into())] {
            assert_eq!(Service::from_path(&service.path()), Some(service));
        }
        for unknown in ["", "gateway", "gateway/", "web/x"] {
            assert_eq!(Service::from_path(unknown), None, "{unknown}");
        }
    }
}
