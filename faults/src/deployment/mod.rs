//! The product as processes on this machine: which there are, and what a fault may do to them.

mod clock;
mod cpu;
mod hosts;
mod link;
mod process;
mod secrets;
mod servers;
mod shape;
mod switch;

pub use process::{Process, Recipe};
pub use secrets::Secrets;
pub use servers::{Backends, Server, ServerKind};
pub use shape::{Programs, Role, Shape};

use anyhow::{Context, Result, bail, ensure};
use clock::{Clock, Clockmaker};
use hosts::{Ground, port};
use link::Link;
use parking_lot::Mutex;
use shape::{Architect, Plan};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use switch::Switch;
use tokio::net::TcpStream;

/// For everything to listen, on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How often somebody looks whether a process has ended. A supervisor would take about as long.
const TEND_INTERVAL: Duration = Duration::from_millis(50);
/// What was started on a host that did not let it work may take so long to say so.
const EXCUSE_AFTER: Duration = Duration::from_secs(5);

/// What is to be started.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The executables.
    pub programs: Programs,
    /// Which processes.
    pub shape: Shape,
    /// What is behind them.
    pub backends: Backends,
    /// Whether each process has a host of its own, a network namespace, instead of an address of loopback.
    pub hosts_apart: bool,
    /// Data of the processes.
    pub data: PathBuf,
    /// What they say.
    pub logs: PathBuf,
    /// Configuration beside what the deployment needs, as `key.of.the.file` and value; the gateway's begin with `gateway.`.
    pub keys: Vec<(String, String)>,
    /// Whether the wall clock of each process can jump, which needs a C compiler.
    pub clocks_jump: bool,
    /// For secrets.
    pub seed: u64,
}

/// One process of the deployment.
#[derive(Debug)]
pub struct Part {
    /// Unique.
    pub name: String,
    /// What it does.
    pub roles: BTreeSet<Role>,
    host: Ipv4Addr,
    clock: Option<Clock>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    process: Process,
    /// It is meant to run: whoever tends it starts it again.
    wanted: bool,
    /// A fault is at work that may end it; once it is over, until then.
    excused: bool,
    excused_until: Instant,
}

/// A process that ended although nobody killed it.
#[derive(Debug, Clone)]
pub struct Death {
    /// Which.
    pub part: String,
    /// How, and what it said last.
    pub text: String,
}

/// The running product.
#[derive(Debug)]
pub struct Deployment {
    parts: Vec<Arc<Part>>,
    links: Vec<Link>,
    switch: Option<Switch>,
    deaths: Arc<Mutex<Vec<Death>>>,
    /// Gone after the processes that use them.
    servers: Vec<Arc<Server>>,
    /// What proves who is who.
    pub secrets: Secrets,
    /// Where the data is.
    pub data: PathBuf,
    tender: tokio::task::JoinHandle<()>,
}

impl Deployment {
    /// Starts all processes, and waits until they listen.
    ///
    /// # Errors
    /// If one cannot be started, ends, or does not listen in time; the text has what it said.
    pub async fn start(settings: &Settings) -> Result<Self> {
        let secrets = Secrets::new(settings.seed);
        let switch = settings.hosts_apart.then(Switch::build).transpose()?;
        let ground = if settings.hosts_apart { Ground::Switched } else { Ground::Loopback };
        let servers = servers::start(settings.backends, ground).await?;
        let architect = Architect {
            programs: &settings.programs,
            secrets: &secrets,
            data: &settings.data,
            settings: &settings.keys,
            servers: &servers,
            ground,
        };
        let mut layout = architect.draw(settings.shape);
        let mut links = Vec::new();
        for link in layout.links {
            links.push(Link::open(link.told.into(), link.gateway.into()).await?);
        }
        if let Some(switch) = &switch {
            for plan in &mut layout.plans {
                switch.plug_in(plan.host)?;
                plan.recipe = switch.on_host(plan.host, &plan.recipe);
            }
        }
        let clockmaker = settings.clocks_jump.then(|| Clockmaker::new(&settings.logs));
        let clockmaker = clockmaker.transpose()?;
        let parts = layout.plans.into_iter().map(|mut plan| {
            let clock = clockmaker.as_ref().map(|maker| maker.make(&plan.name)).transpose()?;
            plan.recipe.environment.extend(clock.iter().flat_map(Clock::environment));
            let log = settings.logs.join(format!("{}.log", plan.name));
            let process = Process::new(plan.recipe, log);
            let state = Mutex::new(State {
                process,
                wanted: true,
                excused: false,
                excused_until: Instant::now(),
            });
            let Plan { name, roles, host, .. } = plan;
            Ok(Arc::new(Part { name, roles, host, clock, state }))
        });
        let parts: Vec<Arc<Part>> = parts.collect::<Result<_>>()?;
        for part in &parts {
            part.state.lock().process.start()?;
        }
        wait_listening(&parts).await?;
        let deaths = Arc::default();
        let tender = tokio::spawn(tend(parts.clone(), Arc::clone(&deaths)));
        let data = settings.data.clone();
        Ok(Self { parts, links, switch, deaths, servers, secrets, data, tender })
    }

    /// Processes that have a role.
    pub fn with_role(&self, role: Role) -> Vec<Arc<Part>> {
        self.parts.iter().filter(|part| part.roles.contains(&role)).cloned().collect()
    }

    /// The server of a kind, if processes share one.
    pub fn server(&self, kind: ServerKind) -> Option<&Arc<Server>> {
        self.servers.iter().find(|server| server.kind == kind)
    }

    /// All processes.
    pub fn parts(&self) -> &[Arc<Part>] {
        &self.parts
    }

    /// Where clients connect.
    pub fn gateways(&self) -> Vec<String> {
        let gateways = self.with_role(Role::Gateway);
        gateways.iter().map(|part| hosts::at(part.host, port::CLIENTS)).collect()
    }

    /// Where pushes go, as URLs.
    pub fn webs(&self) -> Vec<String> {
        let webs = self.with_role(Role::Web);
        webs.iter().map(|part| format!("http://{}", hosts::at(part.host, port::WEB))).collect()
    }

    /// Pages of the processes with a role, their metrics among them, as URLs.
    pub fn pages(&self, role: Role) -> Vec<String> {
        let parts = self.with_role(role);
        let at = |part: &Arc<Part>| match role {
            Role::Gateway => hosts::at(part.host, port::GATEWAY_PAGES),
            Role::Logic if part.roles.len() == 1 => hosts::at(part.host, port::LOGIC_PAGES),
            Role::Message if part.roles.len() == 1 => hosts::at(part.host, port::DATA),
            _ => hosts::at(part.host, port::WEB),
        };
        parts.iter().map(|part| format!("http://{}", at(part))).collect()
    }

    /// Whether there is a network between logic and gateways that can be cut.
    pub fn has_links(&self) -> bool {
        !self.links.is_empty()
    }

    /// Cuts the network between a gateway and all logics, or joins it again.
    pub fn set_link(&self, gateway: usize, whole: bool) {
        self.links[gateway % self.links.len()].set_whole(whole);
    }

    /// Whether each process has a host of its own.
    pub fn has_hosts(&self) -> bool {
        self.switch.is_some()
    }

    /// Pulls the cable of a process's host, or plugs it in again.
    ///
    /// # Errors
    /// If it has no host of its own.
    pub fn set_cable(&self, part: &Part, whole: bool) -> Result<()> {
        let switch = self.switch.as_ref().context("there are no hosts to cut off")?;
        switch.set_cable(part.host, whole)
    }

    /// What each process has worked so far, by name; servers come last.
    pub fn cpu_times(&self) -> Vec<(String, Duration)> {
        let parts = self.parts.iter().map(|part| (part.name.clone(), part.pid()));
        let servers = self.servers.iter().map(|server| (server.kind.to_string(), server.pid()));
        let time =
            |(name, pid): (String, Option<u32>)| (name, pid.map_or(Duration::ZERO, cpu::cpu_time));
        parts.chain(servers).map(time).collect()
    }

    /// Processes that ended by themselves so far.
    pub fn deaths(&self) -> Vec<Death> {
        self.deaths.lock().clone()
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        self.tender.abort();
    }
}

impl Part {
    /// Where its pages are, its metrics among them, as a URL: where the first of its roles has them, for the others have none then.
    pub fn page(&self) -> String {
        let port = match self.roles.first() {
            Some(Role::Web) => port::WEB,
            Some(Role::Logic) => port::LOGIC_PAGES,
            Some(Role::Message) => port::MESSAGE_PAGES,
            _ => port::GATEWAY_PAGES,
        };
        format!("http://{}", hosts::at(self.host, port))
    }

    /// SIGKILL; it is started again at once if `again`, else when [`Self::start`] is called.
    pub fn kill(&self, again: bool) {
        let mut state = self.state.lock();
        state.wanted = again;
        state.process.kill();
    }

    /// It is meant to run.
    pub fn start(&self) {
        self.state.lock().wanted = true;
    }

    /// SIGSTOP.
    pub fn pause(&self) {
        self.state.lock().process.pause();
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.state.lock().process.resume();
    }

    /// From now on its wall clock is ahead of the machine's by so many milliseconds, or behind, whoever starts it again.
    ///
    /// # Errors
    /// If the deployment was started with clocks that cannot jump, or the program does not go by them.
    pub fn set_clock(&self, ahead_ms: i64) -> Result<()> {
        let clock = self.clock.as_ref().context("clocks that jump were not asked for")?;
        clock.set(ahead_ms)?;
        let deaf = self.pid().is_some_and(|pid| !clock.is_of(pid));
        ensure!(!deaf, "{} does not go by its clock: is the program linked statically?", self.name);
        Ok(())
    }

    /// Whether it may end by itself, as long as it is started again: for a host that does not let it work.
    pub fn excuse(&self, excused: bool) {
        let mut state = self.state.lock();
        state.excused = excused;
        state.excused_until = Instant::now() + EXCUSE_AFTER;
    }

    /// The number of its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.with_process(|process| process.pid()).map(|pid| pid.as_raw_nonzero().get() as u32)
    }

    /// What only the process itself can be asked for.
    pub fn with_process<T>(&self, ask: impl FnOnce(&mut Process) -> T) -> T {
        ask(&mut self.state.lock().process)
    }

    fn listens_at(&self) -> Vec<SocketAddr> {
        let ports = self.roles.iter().map(|role| match role {
            Role::Web => port::WEB,
            Role::Gateway => port::CLIENTS,
            Role::Logic if self.roles.len() > 1 => port::WEB,
            Role::Logic => port::LOGIC_PAGES,
            Role::Message if self.roles.len() > 1 => port::WEB,
            Role::Message => port::DATA,
        });
        ports.map(|port| SocketAddr::from((self.host, port))).collect()
    }

    /// Starts it if it should run and does not; tells of an end that nobody brought about.
    fn tend(&self) -> Option<Death> {
        let mut state = self.state.lock();
        let ended = state.process.ended();
        if state.wanted && state.process.pid().is_none() {
            // Tried again the next time.
            let _ = state.process.start();
        }
        let status = ended.filter(|_| !state.excused && Instant::now() > state.excused_until)?;
        let text = format!("{status}: {}", state.process.last_words());
        Some(Death { part: self.name.clone(), text })
    }
}

async fn tend(parts: Vec<Arc<Part>>, deaths: Arc<Mutex<Vec<Death>>>) {
    loop {
        for part in &parts {
            deaths.lock().extend(part.tend());
        }
        tokio::time::sleep(TEND_INTERVAL).await;
    }
}

async fn wait_listening(parts: &[Arc<Part>]) -> Result<()> {
    for part in parts {
        for address in part.listens_at() {
            let listening = wait_for_listener(part, address);
            tokio::time::timeout(START_TIMEOUT, listening).await.with_context(|| {
                let words = part.with_process(|process| process.last_words());
                format!("{} does not listen on {address}: {words}", part.name)
            })??;
        }
    }
    Ok(())
}

async fn wait_for_listener(part: &Part, address: SocketAddr) -> Result<()> {
    while TcpStream::connect(address).await.is_err() {
        let ended = part.with_process(|process| process.ended());
        if let Some(status) = ended {
            let words = part.with_process(|process| process.last_words());
            bail!("{} ended with {status}: {words}", part.name);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// A file's folder is made before anybody needs it.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))
}
