//! How logics find a gateway that is a process of its own. Part of the program, not of the library: a gateway within another process is
//! that process's to register.

use gpusher_discovery::{Discovery, DiscoveryUrl, LEASE_MIN, Registration, Service, Services};
use gpusher_gateway::config::{DiscoveryConfig, RuntimeConfig};
use gpusher_gateway::gateway::Gateway;

/// Checks what the configuration says of it; the text names the key and the remedy.
pub(crate) fn check(config: &RuntimeConfig) -> Result<(), String> {
    let url = url(&config.discovery)?;
    if config.discovery.lease < LEASE_MIN {
        return Err("discovery.lease_ms: less than a second; raise it".into());
    }
    let unreachable = config.rpc_listen.filter(|at| at.ip().is_unspecified());
    match unreachable {
        Some(at) if url.is_registry() && config.discovery.address.is_none() => Err(format!(
            "discovery.address: missing, and logics of other hosts cannot connect to rpc_listen, {at}; name host and port where they reach it"
        )),
        _ => Ok(()),
    }
}

/// Registers the gateway. Must be called within a tokio runtime.
pub(crate) fn register(
    discovery: &DiscoveryConfig,
    gateway: &Gateway,
) -> Result<Registration, String> {
    let listening = gateway.rpc_addr().map(|at| at.to_string());
    let address = discovery.address.clone().or(listening);
    let address = address.ok_or("discovery.address: nothing listens for logic; set rpc_listen")?;
    let opened = open(discovery)?;
    Ok(opened.register(Service::Gateway(address)))
}

/// Asks the place where gateways register.
pub(crate) async fn ask(discovery: &DiscoveryConfig) -> Result<String, String> {
    let found = open(discovery)?.check().await.map_err(|error| error.to_string())?;
    Ok(format!("{} has {} gateways", url(discovery)?, found.gateways.len()))
}

fn url(discovery: &DiscoveryConfig) -> Result<DiscoveryUrl, String> {
    discovery.url.parse().map_err(|error| format!("discovery.url: {error}"))
}

fn open(discovery: &DiscoveryConfig) -> Result<Discovery, String> {
    let opened = Discovery::open(&url(discovery)?, Services::default(), discovery.lease);
    opened.map_err(|error| format!("discovery.url: {error}"))
}
