//! Which processes there are, what each of them does, and how they find each other.

use super::hosts::{at, next, port};
use super::process::Recipe;
use super::secrets::Secrets;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// What a part does; a process may do several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// HTTP.
    Web,
    /// Routing and delivery.
    Logic,
    /// Store, routes, queue.
    Message,
    /// Client connections.
    Gateway,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Web => "web",
            Self::Logic => "logic",
            Self::Message => "message",
            Self::Gateway => "gateway",
        })
    }
}

/// How many processes of which role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Everything in one process.
    Embedded,
    /// Each role in its own.
    Apart,
    /// Several of each, where the backends allow it.
    Grid {
        /// Gateways.
        gateways: usize,
        /// Processes with the logic role.
        logics: usize,
        /// Processes with the web role.
        webs: usize,
    },
}

/// A process to be.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) roles: BTreeSet<Role>,
    pub(super) recipe: Recipe,
    pub(super) host: Ipv4Addr,
}

/// The executables.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `gpusher-control`.
    pub control: PathBuf,
    /// `gpusher-gateway`.
    pub gateway: PathBuf,
}

/// All that there will be.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) plans: Vec<Plan>,
    /// Link addresses of gateways, and where logic is told they are: the same, or a proxy's.
    pub(super) links: Vec<(SocketAddr, SocketAddr)>,
}

/// Writes the recipes.
pub(super) struct Architect<'a> {
    pub(super) programs: &'a Programs,
    pub(super) secrets: &'a Secrets,
    pub(super) data: &'a Path,
    pub(super) settings: &'a [(String, String)],
}

impl Architect<'_> {
    pub(super) fn draw(&self, shape: Shape) -> Layout {
        match shape {
            Shape::Embedded => self.embedded(),
            Shape::Apart => self.spread(1, 1, 1),
            Shape::Grid { gateways, logics, webs } => self.spread(gateways, logics, webs),
        }
    }

    fn embedded(&self) -> Layout {
        let host = next();
        let roles = [Role::Web, Role::Logic, Role::Message, Role::Gateway];
        let mut environment = self.secrets.of_control();
        let mut set = |key: &str, value: String| environment.push((control_key(key), value));
        set("web.listen", at(host, port::WEB));
        set("gateway.listen", at(host, port::CLIENTS));
        set("gateway.admin_listen", at(host, port::GATEWAY_PAGES));
        let plan = self.control("gpusher", "web,logic,message,gateway", host, environment);
        Layout {
            plans: vec![Plan { roles: roles.into_iter().collect(), ..plan }],
            links: Vec::new(),
        }
    }

    fn spread(&self, gateways: usize, logics: usize, webs: usize) -> Layout {
        let gateways: Vec<Plan> = (0..gateways).map(|id| self.gateway(id)).collect();
        let links = gateways.iter().map(|plan| {
            let link = SocketAddr::from((plan.host, port::LINK));
            (link, SocketAddr::from((next(), port::LINK)))
        });
        let links: Vec<_> = links.collect();
        let message = self.message();
        let mut common = self.secrets.of_control();
        let data = format!("message://{}", at(message.host, port::DATA));
        for key in ["store.url", "routes.url", "queue.url"] {
            common.push((control_key(key), data.clone()));
        }
        let told: Vec<String> = links.iter().map(|(_, told)| format!("\"{told}\"")).collect();
        common.push((control_key("discovery.gateways"), format!("[{}]", told.join(","))));
        let names: Vec<String> = (0..logics).map(|at| format!("\"logic-{at}\"")).collect();
        if logics > 1 {
            common.push((control_key("discovery.logics"), format!("[{}]", names.join(","))));
        }
        let mut plans = gateways;
        plans.push(message);
        for number in 0..logics {
            let host = next();
            let mut environment = common.clone();
            environment.push((control_key("logic.listen"), at(host, port::LOGIC_PAGES)));
            environment.push((control_key("logic.name"), format!("logic-{number}")));
            environment.push((control_key("node"), number.to_string()));
            plans.push(self.control(&format!("logic-{number}"), "logic", host, environment));
        }
        for number in 0..webs {
            let host = next();
            let mut environment = common.clone();
            environment.push((control_key("web.listen"), at(host, port::WEB)));
            environment.push((control_key("node"), (logics + number).to_string()));
            plans.push(self.control(&format!("web-{number}"), "web", host, environment));
        }
        Layout { plans, links }
    }

    fn message(&self) -> Plan {
        let host = next();
        let mut environment = self.secrets.of_control();
        environment.push((control_key("message.listen"), at(host, port::DATA)));
        self.control("message", "message", host, environment)
    }

    fn control(
        &self,
        name: &str,
        roles: &str,
        host: Ipv4Addr,
        mut environment: Vec<(String, String)>,
    ) -> Plan {
        let settings = self.settings.iter().filter(|(key, _)| !key.starts_with("gateway."));
        environment.extend(settings.map(|(key, value)| (control_key(key), value.clone())));
        let data = self.data.join(name).display().to_string();
        let arguments = ["run", "--roles", roles, "--io", "auto", "--data", &data];
        let recipe = Recipe {
            program: self.programs.control.clone(),
            arguments: arguments.map(str::to_owned).to_vec(),
            environment,
        };
        let only = match roles {
            "web" => Role::Web,
            "logic" => Role::Logic,
            _ => Role::Message,
        };
        Plan { name: name.to_owned(), roles: [only].into(), recipe, host }
    }

    fn gateway(&self, id: usize) -> Plan {
        let host = next();
        let mut environment = self.secrets.of_gateway();
        let mut set = |key: &str, value: String| environment.push((gateway_key(key), value));
        set("id", id.to_string());
        set("listen", at(host, port::CLIENTS));
        set("rpc_listen", at(host, port::LINK));
        set("admin_listen", at(host, port::GATEWAY_PAGES));
        let settings = self.settings.iter().filter_map(|(key, value)| {
            Some((gateway_key(key.strip_prefix("gateway.")?), value.clone()))
        });
        environment.extend(settings);
        let recipe = Recipe {
            program: self.programs.gateway.clone(),
            arguments: ["--io", "auto"].map(str::to_owned).to_vec(),
            environment,
        };
        Plan { name: format!("gateway-{id}"), roles: [Role::Gateway].into(), recipe, host }
    }
}

fn control_key(key: &str) -> String {
    variable("GPUSHER_CONTROL", key)
}

fn gateway_key(key: &str) -> String {
    variable("GPUSHER_GATEWAY", key)
}

fn variable(prefix: &str, key: &str) -> String {
    format!("{prefix}__{}", key.to_uppercase().replace('.', "__"))
}
