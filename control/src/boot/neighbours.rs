//! The other processes: how this one knows them, and how they know it.

use crate::config::{Config, Role};
use crate::error::{Code, Error, Result};
use gpusher_discovery::{Discovery, DiscoveryError, Registration, Service, Services};
use gpusher_gateway::Gateway;
use tokio::sync::watch;

/// Discovery, and what of this process is registered there.
pub(super) struct Neighbours {
    discovery: Discovery,
    /// Where logics of other processes find the gateway of this one.
    gateway: Option<String>,
    registrations: Vec<Registration>,
}

impl Neighbours {
    pub(super) fn open(config: &Config) -> Result<Self> {
        let discovery = open(config)?;
        Ok(Self { discovery, gateway: None, registrations: Vec::new() })
    }

    /// The services as they come and go.
    pub(super) fn services(&self) -> watch::Receiver<Services> {
        self.discovery.services()
    }

    /// The address under which a gateway of this process is in that set.
    pub(super) fn own_gateway(&self) -> Option<String> {
        self.gateway.clone()
    }

    /// Lets logics of other processes find the gateway, if it listens for them.
    pub(super) fn register_gateway(&mut self, config: &Config, gateway: &Gateway) {
        let configured = config.gateway.discovery.address.clone();
        let listening = gateway.rpc_addr();
        self.gateway = listening.map(|at| configured.unwrap_or_else(|| at.to_string()));
        self.register(self.gateway.clone().map(Service::Gateway));
    }

    /// Lets the other logics know of this one.
    pub(super) fn register_logic(&mut self, config: &Config) {
        self.register(Some(Service::Logic(config.logic.name.clone())));
    }

    fn register(&mut self, service: Option<Service>) {
        self.registrations.extend(service.map(|service| self.discovery.register(service)));
    }

    /// Takes the registrations back.
    pub(super) async fn leave(self) {
        let ends = self.registrations.into_iter().map(Registration::end);
        futures_util::future::join_all(ends).await;
    }
}

/// What the configuration says of the other processes, as it comes to be known.
///
/// # Errors
/// `invalid` if a URL cannot be one.
pub fn open(config: &Config) -> Result<Discovery> {
    let known = &config.discovery;
    let logics = if config.has(Role::Logic) { known.logics.clone() } else { Vec::new() };
    let fixed = Services::new(known.gateways.clone(), logics);
    Discovery::open(&known.url, fixed, known.lease).map_err(error)
}

/// The control plane's error of a kind.
pub fn error(error: DiscoveryError) -> Error {
    let code = match error {
        DiscoveryError::Invalid(_) => Code::Invalid,
        DiscoveryError::Unavailable(_) => Code::Unavailable,
    };
    Error::new(code, format!("discovery: {error}"))
}
