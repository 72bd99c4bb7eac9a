//! Where services are registered.

use crate::error::DiscoveryError;
use crate::registry::Registry;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Where services are registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiscoveryUrl {
    /// Nowhere: the configuration names all.
    Static,
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
        match self {
            Self::Static => Ok(None),
        }
    }
}

impl FromStr for DiscoveryUrl {
    type Err = DiscoveryError;

    fn from_str(url: &str) -> Result<Self, DiscoveryError> {
        match url.split_once(':') {
            Some(("static", "")) => Ok(Self::Static),
            Some((scheme @ ("redis" | "redis+sentinel" | "redis+cluster" | "etcd"), _)) => {
                Err(not_compiled_in(scheme))
            }
            _ => {
                Err(DiscoveryError::Invalid(format!("nothing is known about {url:?}; use static:")))
            }
        }
    }
}

fn not_compiled_in(scheme: &str) -> DiscoveryError {
    let feature = scheme.split('+').next().unwrap_or(scheme);
    DiscoveryError::Invalid(format!(
        "this program was built without {scheme}: (`cargo build --features {feature}` builds it in); use static:"
    ))
}

impl fmt::Display for DiscoveryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static => f.write_str("static:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_is_no_registry() {
        let url: DiscoveryUrl = "static:".parse().unwrap();
        assert_eq!((url.to_string().as_str(), url.is_registry()), ("static:", false));
    }

    #[test]
    fn what_is_no_place_is_explained() {
        let error = "pigeon://a".parse::<DiscoveryUrl>().unwrap_err();
        assert_eq!(error.to_string(), "nothing is known about \"pigeon://a\"; use static:");
    }
}
