//! Which services there are: gateways, which every logic links to, and the logics, which share the work.
//!
//! A process reads the set with [`Discovery::services`] and adds itself with [`Discovery::register`]. Where the set is kept is a URL
//! ([`DiscoveryUrl`]): nowhere (`static:`, the configuration names all), in Redis, or in etcd. A registration is a lease that is kept alive;
//! nothing here fails for good while a registry is away: what was known stays known, and it is asked again.

#![forbid(unsafe_code)]

mod error;
#[cfg(feature = "etcd")]
mod in_etcd;
#[cfg(feature = "redis")]
mod in_redis;
mod registration;
mod registry;
mod roster;
mod services;
#[cfg(all(test, feature = "redis", feature = "etcd"))]
mod tests;
mod url;

pub use self::error::DiscoveryError;
pub use self::registration::Registration;
pub use self::services::{Service, Services};
pub use self::url::DiscoveryUrl;

use self::registry::{Registry, observe};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// How long a service that does not renew its registration is still counted, unless told otherwise.
pub const LEASE_DEFAULT: Duration = Duration::from_secs(10);
/// Shorter leases run out whenever a machine is busy.
pub const LEASE_MIN: Duration = Duration::from_secs(1);

/// The services as far as they are known, and the way to become one of them.
pub struct Discovery {
    services: watch::Receiver<Services>,
    fixed: Services,
    /// None: what is known is all there is.
    registry: Option<Arc<dyn Registry>>,
    observer: Option<AbortHandle>,
    /// Keeps the channel of a set that does not change.
    _unchanging: Option<watch::Sender<Services>>,
}

impl Discovery {
    /// The given services, always.
    pub fn fixed(services: Services) -> Self {
        let (sender, receiver) = watch::channel(services.clone());
        Self {
            services: receiver,
            fixed: services,
            registry: None,
            observer: None,
            _unchanging: Some(sender),
        }
    }

    /// What is registered at `url`, and the `fixed` services besides. Returns at once; the set grows as the registry answers. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// `Invalid` if the URL cannot be one.
    pub fn open(
        url: &DiscoveryUrl,
        fixed: Services,
        lease: Duration,
    ) -> Result<Self, DiscoveryError> {
        Ok(match url.registry(lease)? {
            None => Self::fixed(fixed),
            Some(registry) => Self::watching(registry, fixed, lease),
        })
    }

    fn watching(registry: Arc<dyn Registry>, fixed: Services, lease: Duration) -> Self {
        let (sender, services) = watch::channel(fixed.clone());
        let observer = tokio::spawn(observe(registry.clone(), fixed.clone(), lease, sender));
        Self {
            services,
            fixed,
            registry: Some(registry),
            observer: Some(observer.abort_handle()),
            _unchanging: None,
        }
    }

    /// The set as it is, and each that follows. A service that has vanished from the registry leaves it after a further lease, so that a
    /// registry that was restarted empty costs nothing.
    pub fn services(&self) -> watch::Receiver<Services> {
        self.services.clone()
    }

    /// Lets the others find a service, until the registration is dropped or taken back. Must be called within a tokio runtime.
    pub fn register(&self, service: Service) -> Registration {
        Registration::start(self.registry.clone(), service)
    }

    /// Asks the registry once.
    ///
    /// # Errors
    /// `Unavailable`, with the reason.
    pub async fn check(&self) -> Result<Services, DiscoveryError> {
        match &self.registry {
            None => Ok(self.fixed.clone()),
            Some(registry) => {
                let mut services = self.fixed.clone();
                services.extend(registry.list().await?);
                Ok(services)
            }
        }
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        if let Some(observer) = &self.observer {
            observer.abort();
        }
    }
}
