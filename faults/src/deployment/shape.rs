//! Which processes there are, what each of them does, and how they find each other.

use super::hosts::{Ground, at, port};
use super::process::Recipe;
use super::secrets::Secrets;
use super::servers::{Server, ServerKind};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
        /// Processes with the message role.
        messages: usize,
        /// Processes with the web role.
        webs: usize,
    },
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded",
            Self::Apart => "apart",
            Self::Grid { .. } => "grid",
        })
    }
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
    pub(super) links: Vec<Link>,
}

/// The way from logics to one gateway.
#[derive(Debug)]
pub(super) struct Link {
    /// Where the gateway waits for them.
    pub(super) gateway: SocketAddrV4,
    /// Where they are told it is: a proxy's place.
    pub(super) told: SocketAddrV4,
}

/// Writes the recipes.
pub(super) struct Architect<'a> {
    pub(super) programs: &'a Programs,
    pub(super) secrets: &'a Secrets,
    pub(super) data: &'a Path,
    pub(super) settings: &'a [(String, String)],
    /// None: store, routes and queue are embedded, and addresses configured.
    pub(super) servers: &'a [Arc<Server>],
    /// Where the processes listen.
    pub(super) ground: Ground,
}

impl Architect<'_> {
    pub(super) fn draw(&self, shape: Shape) -> Layout {
        match shape {
            Shape::Embedded => self.embedded(),
            Shape::Apart => self.spread(1, 1, 1, 1),
            Shape::Grid { gateways, logics, messages, webs } => {
                self.spread(gateways, logics, messages, webs)
            }
        }
    }

    fn embedded(&self) -> Layout {
        let host = self.ground.own();
        let roles = [Role::Web, Role::Logic, Role::Message, Role::Gateway];
        let mut environment = self.secrets.of_control();
        let mut set = |key: &str, value: String| environment.push((control_key(key), value));
        set("web.listen", at(host, port::WEB));
        set("gateway.listen", at(host, port::CLIENTS));
        set("gateway.admin_listen", at(host, port::GATEWAY_PAGES));
        environment.extend(self.own_data());
        let plan = self.control("gpusher", "web,logic,message,gateway", host, environment);
        Layout {
            plans: vec![Plan { roles: roles.into_iter().collect(), ..plan }],
            links: Vec::new(),
        }
    }

    fn spread(&self, gateways: usize, logics: usize, messages: usize, webs: usize) -> Layout {
        let link = |_| Link {
            gateway: SocketAddrV4::new(self.ground.own(), port::LINK),
            told: SocketAddrV4::new(self.ground.beside_us(), port::LINK),
        };
        let links: Vec<Link> = (0..gateways).map(link).collect();
        let gateways = links.iter().enumerate().map(|(id, link)| self.gateway(id, link));
        let mut plans: Vec<Plan> = gateways.collect();
        plans.extend((0..messages).map(|number| self.message(number)));
        let hosts = plans.iter().filter(|plan| plan.roles.contains(&Role::Message));
        let hosts: Vec<String> = hosts.map(|plan| at(plan.host, port::DATA)).collect();
        let mut common = self.secrets.of_control();
        common.extend(self.data_of_others(&hosts));
        common.extend(self.neighbours(&links, logics));
        for number in 0..logics {
            let host = self.ground.own();
            let mut environment = common.clone();
            environment.push((control_key("logic.listen"), at(host, port::LOGIC_PAGES)));
            environment.push((control_key("logic.name"), format!("logic-{number}")));
            environment.push((control_key("node"), number.to_string()));
            plans.push(self.control(&format!("logic-{number}"), "logic", host, environment));
        }
        for number in 0..webs {
            let host = self.ground.own();
            let mut environment = common.clone();
            environment.push((control_key("web.listen"), at(host, port::WEB)));
            environment.push((control_key("node"), (logics + number).to_string()));
            plans.push(self.control(&format!("web-{number}"), "web", host, environment));
        }
        Layout { plans, links }
    }

    /// Where logic and web have their data: the store and the routes behind the message role, the queue there as well or on Kafka.
    fn data_of_others(&self, hosts: &[String]) -> Vec<(String, String)> {
        let message = format!("message://{}", hosts.join(","));
        let queue = self.server(ServerKind::Kafka).unwrap_or_else(|| message.clone());
        let keys = [("store.url", message.clone()), ("routes.url", message), ("queue.url", queue)];
        keys.map(|(key, value)| (control_key(key), value)).to_vec()
    }

    /// How logics find gateways and each other: registered under the address where their link's proxy is, or named one by one.
    fn neighbours(&self, links: &[Link], logics: usize) -> Vec<(String, String)> {
        if let Some(url) = self.registry() {
            return vec![(control_key("discovery.url"), url)];
        }
        let told: Vec<String> = links.iter().map(|link| format!("\"{}\"", link.told)).collect();
        let names: Vec<String> = (0..logics).map(|at| format!("\"logic-{at}\"")).collect();
        let mut keys = vec![(control_key("discovery.gateways"), format!("[{}]", told.join(",")))];
        if logics > 1 {
            keys.push((control_key("discovery.logics"), format!("[{}]", names.join(","))));
        }
        keys
    }

    /// Where the message role has its data, if not in its process.
    fn own_data(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let data = [
            ("store.url", ServerKind::Database),
            ("routes.url", ServerKind::Redis),
            ("queue.url", ServerKind::Kafka),
        ];
        data.into_iter().filter_map(|(key, kind)| Some((control_key(key), self.server(kind)?)))
    }

    fn server(&self, kind: ServerKind) -> Option<String> {
        self.servers.iter().find(|server| server.kind == kind).map(|server| server.url())
    }

    fn registry(&self) -> Option<String> {
        self.server(ServerKind::Etcd).or_else(|| self.server(ServerKind::Redis))
    }

    fn message(&self, number: usize) -> Plan {
        let host = self.ground.own();
        let mut environment = self.secrets.of_control();
        environment.push((control_key("message.listen"), at(host, port::DATA)));
        environment.push((control_key("message.pages_listen"), at(host, port::MESSAGE_PAGES)));
        environment.extend(self.own_data());
        self.control(&format!("message-{number}"), "message", host, environment)
    }

    fn control(
        &self,
        name: &str,
        roles: &str,
        host: Ipv4Addr,
        mut environment: Vec<(String, String)>,
    ) -> Plan {
        let with_gateway = roles.contains("gateway");
        let of_it = |key: &str| with_gateway || !key.starts_with("gateway.");
        let settings = self.settings.iter().filter(|(key, _)| of_it(key));
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

    fn gateway(&self, id: usize, link: &Link) -> Plan {
        let host = *link.gateway.ip();
        let mut environment = self.secrets.of_gateway();
        let mut set = |key: &str, value: String| environment.push((gateway_key(key), value));
        set("id", id.to_string());
        set("listen", at(host, port::CLIENTS));
        set("rpc_listen", link.gateway.to_string());
        set("admin_listen", at(host, port::GATEWAY_PAGES));
        if let Some(url) = self.registry() {
            set("discovery.url", url);
            set("discovery.address", link.told.to_string());
        }
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
