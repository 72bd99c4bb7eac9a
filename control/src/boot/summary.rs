//! What is printed when everything works: where it is, what it can hold, what to try first.

use super::{DataDir, Listeners};
use crate::config::{AuthMode, Config};
use gpusher_gateway::Gateway;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where a process can be reached. Ports that were 0 are those that were chosen.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    /// HTTP.
    pub web: Option<SocketAddr>,
    /// The numbers of logic or message, where web does not show them.
    pub pages: Option<SocketAddr>,
    /// Store, routes and queue over gRPC.
    pub message: Option<SocketAddr>,
    /// Clients.
    pub clients: Option<SocketAddr>,
    /// The gateway's for logics of other processes.
    pub gateway_rpc: Option<SocketAddr>,
    /// The gateway's pages.
    pub gateway_admin: Option<SocketAddr>,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Where it can be reached.
    pub addresses: Addresses,
    roles: String,
    data_dir: Option<PathBuf>,
    open: bool,
    gateway: Option<Holds>,
}

/// What the gateway can hold.
#[derive(Debug, Clone)]
struct Holds {
    io: &'static str,
    io_warning: Option<String>,
    connections: u64,
    bound: String,
    remedy: &'static str,
    mebibytes: u64,
}

impl Summary {
    pub(super) fn new(config: &Config, listeners: &Listeners, data_dir: Option<&DataDir>) -> Self {
        let address = |listener: &Option<tokio::net::TcpListener>| {
            listener.as_ref().and_then(|listener| listener.local_addr().ok())
        };
        let addresses = Addresses {
            web: address(&listeners.web),
            pages: address(&listeners.pages),
            message: listeners.message.as_ref().map(|server| server.local_addr()),
            ..Addresses::default()
        };
        let roles: Vec<String> = config.roles.iter().map(ToString::to_string).collect();
        Self {
            addresses,
            roles: roles.join(", "),
            data_dir: data_dir.map(|dir| dir.path().to_path_buf()),
            open: config.auth.mode == AuthMode::Open,
            gateway: None,
        }
    }

    pub(super) fn gateway(&mut self, gateway: &Gateway) {
        self.addresses.clients = Some(gateway.client_addr());
        self.addresses.gateway_rpc = gateway.rpc_addr();
        self.addresses.gateway_admin = gateway.admin_addr();
        let budget = gateway.budget();
        self.gateway = Some(Holds {
            io: gateway.metrics().constants.io,
            io_warning: gateway.io_warning().map(str::to_owned),
            connections: budget.connections,
            bound: budget.bound.to_string(),
            remedy: budget.bound.remedy(),
            mebibytes: budget.process_bytes().div_ceil(1 << 20),
        });
    }

    fn places(&self) -> Vec<(&'static str, String)> {
        let Addresses { web, pages, message, clients, gateway_rpc, gateway_admin } = self.addresses;
        let tcp = |name, at: Option<SocketAddr>| at.map(|at| (name, at.to_string()));
        let http = |name, at: Option<SocketAddr>| at.map(|at| (name, format!("http://{at}")));
        let places = [
            tcp("clients", clients),
            http("HTTP API", web),
            http("gateway pages", gateway_admin),
            http("pages", pages),
            tcp("gateway link", gateway_rpc),
            tcp("data layer", message),
        ];
        let mut places: Vec<_> = places.into_iter().flatten().collect();
        places.extend(self.data_dir.as_ref().map(|dir| ("data", dir.display().to_string())));
        places
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\ngpusher {} is up: {}\n", env!("CARGO_PKG_VERSION"), self.roles)?;
        for (name, place) in self.places() {
            writeln!(f, "  {name:<14} {place}")?;
        }
        if let Some(holds) = &self.gateway {
            writeln!(f, "  {:<14} {}", "driver", holds.io)?;
            if let Some(warning) = &holds.io_warning {
                writeln!(f, "  {:<14} instead of io_uring: {warning}", "")?;
            }
            writeln!(
                f,
                "  {:<14} {} connections, within {} MiB; for more: {} ({} binds)",
                "room for", holds.connections, holds.mebibytes, holds.remedy, holds.bound
            )?;
        }
        if self.open {
            writeln!(
                f,
                "\n  WARNING: development mode. Any token and no API key is accepted from this machine."
            )?;
        }
        self.first_steps(f)
    }
}

impl Summary {
    /// Lines to copy: one that receives, if the client's program lies beside this one, and one that pushes.
    fn first_steps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (true, Some(clients), Some(client)) = (self.open, self.addresses.clients, client()) {
            let client = client.display();
            writeln!(
                f,
                "\nReceive as the user alice:\n\n  {client} listen --user alice --gateway {clients}"
            )?;
        }
        if let Some(web) = self.addresses.web {
            let key = if self.open { "" } else { " -H 'Authorization: Bearer API_KEY'" };
            writeln!(f, "\nPush to alice; it is kept until she connects:\n")?;
            writeln!(
                f,
                "  curl -s http://{web}/v1/push{key} -H 'Content-Type: application/json' \\"
            )?;
            writeln!(
                f,
                "    -d '{{\"tag\": \"app_gpusher\", \"body\": {{\"type\": 1, \"uuid\": \"alice\", \"content\": \"hello\", \"offlinePush\": true}}}}'"
            )?;
        }
        Ok(())
    }
}

/// The command-line client, as somebody in this folder would call it.
fn client() -> Option<PathBuf> {
    let client = std::env::current_exe().ok()?.with_file_name("gpusher");
    let here = std::env::current_dir().ok()?;
    client.exists().then(|| client.strip_prefix(here).unwrap_or(&client).to_owned())
}
