//! What a configuration that is understood may still not say.

use super::{AuthMode, Config, DiscoveryConfig, Role, invalid};
use crate::backend::{MESSAGE, is_embedded};
use crate::error::Result;
use crate::message_id::MessageIds;
use gpusher_discovery::LEASE_MIN;
use std::net::SocketAddr;

impl Config {
    /// Checks what single values cannot show.
    ///
    /// # Errors
    /// `invalid`, with the first rule that is broken and the remedy.
    pub fn validate(&self) -> Result<()> {
        let rules = [
            Self::check_numbers,
            Self::check_backends,
            Self::check_logics,
            Self::check_discovery,
            Self::check_open,
            Self::check_secrets,
        ];
        rules.into_iter().try_for_each(|rule| rule(self))
    }

    /// Where this process will listen, with the key that says so.
    pub fn listeners(&self) -> Vec<(&'static str, SocketAddr)> {
        let mut listeners = Vec::new();
        if self.has(Role::Web) {
            listeners.push(("web.listen", self.web.listen));
        }
        if self.serves_logic() {
            listeners.push(("logic.listen", self.logic.listen));
        }
        if self.serves_message() {
            listeners.push(("message.listen", self.message_listen));
        }
        if self.serves_message_pages() {
            listeners.push(("message.pages_listen", self.message_pages));
        }
        if self.has(Role::Gateway) {
            listeners.push(("gateway.listen", self.gateway.listen));
            listeners.extend(self.gateway.admin_listen.map(|at| ("gateway.admin_listen", at)));
            listeners.extend(self.gateway_rpc().map(|at| ("gateway.rpc_listen", at)));
        }
        listeners
    }

    /// Whether logic shows its numbers itself, for want of web.
    pub fn serves_logic(&self) -> bool {
        self.has(Role::Logic) && !self.has(Role::Web)
    }

    /// Whether the message role has callers in other processes.
    pub fn serves_message(&self) -> bool {
        self.has(Role::Message) && !(self.has(Role::Web) && self.has(Role::Logic))
    }

    /// Whether message shows its numbers itself, for want of web and logic.
    pub fn serves_message_pages(&self) -> bool {
        self.has(Role::Message) && !self.has(Role::Web) && !self.has(Role::Logic)
    }

    /// Where the gateway waits for logics of other processes, if there can be any.
    pub fn gateway_rpc(&self) -> Option<SocketAddr> {
        let DiscoveryConfig { url, logics, .. } = &self.discovery;
        let alone = self.has(Role::Logic) && logics.len() == 1 && !url.is_registry();
        self.gateway.rpc_listen.filter(|_| !alone)
    }

    /// Whether a role of this process works on store, routes and queue.
    pub fn needs_data(&self) -> bool {
        self.has(Role::Web) || self.has(Role::Logic) || self.has(Role::Message)
    }

    fn check_numbers(&self) -> Result<()> {
        if self.roles.is_empty() {
            return Err(invalid("roles is empty; name web, logic, message or gateway"));
        }
        if self.node >= MessageIds::NODES_MAX {
            return Err(invalid(format!(
                "node is {}; it must be below {}",
                self.node,
                MessageIds::NODES_MAX
            )));
        }
        if self.discovery.lease < LEASE_MIN {
            return Err(invalid("discovery.lease_ms must be at least 1000"));
        }
        if self.retention.interval.is_zero() || self.retention.batch_max == 0 {
            return Err(invalid("retention.interval_s and retention.batch_max must be above 0"));
        }
        Ok(())
    }

    /// Embedded backends belong to the process with the message role, and to no other; servers may be anybody's.
    fn check_backends(&self) -> Result<()> {
        if !self.needs_data() {
            return Ok(());
        }
        let urls = [
            ("store.url", self.store.url.to_string()),
            ("routes.url", self.routes.to_string()),
            ("queue.url", self.queue.url.to_string()),
        ];
        for (key, url) in urls {
            match self.has(Role::Message) {
                true if url.starts_with(MESSAGE) => {
                    let text = format!(
                        "{key} is {url}, but this process has the message role itself; give it a backend of its own, or leave the role out"
                    );
                    return Err(invalid(text));
                }
                false if is_embedded(&url) => {
                    let text = format!(
                        "{key} is {url}, which only the process with the message role can have; set it to {MESSAGE}HOST:7780 or to a server, or add the role message here"
                    );
                    return Err(invalid(text));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_logics(&self) -> Result<()> {
        if !self.has(Role::Logic) {
            return Ok(());
        }
        if !self.discovery.logics.contains(&self.logic.name) {
            let text = format!("discovery.logics does not name this instance, {}", self.logic.name);
            return Err(invalid(text));
        }
        let found = !self.discovery.gateways.is_empty() || self.discovery.url.is_registry();
        if self.has(Role::Gateway) || found {
            return Ok(());
        }
        let text = "logic has no gateway: name some in discovery.gateways (host:7771), give the discovery.url where they register, or add the role gateway here";
        Err(invalid(text))
    }

    /// What is registered has to be an address that others can reach.
    fn check_discovery(&self) -> Result<()> {
        let Some(at) = self.gateway_rpc().filter(|_| self.has(Role::Gateway)) else {
            return Ok(());
        };
        let registered = self.discovery.url.is_registry();
        if registered && self.gateway.discovery.address.is_none() && at.ip().is_unspecified() {
            let text = format!(
                "gateway.discovery.address is missing: logics of other hosts cannot connect to gateway.rpc_listen, {at}; name host and port where they reach it"
            );
            return Err(invalid(text));
        }
        Ok(())
    }

    fn check_open(&self) -> Result<()> {
        let beyond = self.listeners().into_iter().find(|(_, at)| !at.ip().is_loopback());
        match (self.auth.mode, beyond) {
            (AuthMode::Open, Some((key, at))) => {
                let text = format!(
                    "auth.mode is open and {key} is {at}, beyond loopback: anybody could push and read; set auth.mode to required, or listen on 127.0.0.1"
                );
                Err(invalid(text))
            }
            _ => Ok(()),
        }
    }

    fn check_secrets(&self) -> Result<()> {
        if self.auth.mode == AuthMode::Open {
            return Ok(());
        }
        if self.has(Role::Web) && self.auth.api_keys.is_empty() {
            let text = "no API key: nobody could push; set auth.api_keys or auth.api_keys_file (`openssl rand -hex 24` makes one), or run `gpusher-control dev` to try things out";
            return Err(invalid(text));
        }
        let signs = self.has(Role::Web) != self.has(Role::Gateway);
        if signs && self.auth.token_secret.is_none() {
            let text = "auth.token_secret is missing: web signs tokens with it and gateways in other processes check them; give both the same";
            return Err(invalid(text));
        }
        let message = self.serves_message().then_some(self.message_listen);
        match message {
            Some(at) if !at.ip().is_loopback() && self.auth.link_secret.is_none() => {
                let text = format!(
                    "auth.link_secret is missing: anybody who reaches message.listen ({at}) could read and change everything; set it, the same in all processes"
                );
                Err(invalid(text))
            }
            _ => Ok(()),
        }
    }
}
