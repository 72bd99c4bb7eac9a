//! Starts gpusher's processes: everything in one, or the gateway apart.

use anyhow::{Context, Result, bail};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// Which processes there are.
#[derive(Debug, Clone)]
pub enum Layout {
    /// `gpusher-control` with the gateway in it.
    One(PathBuf),
    /// `gpusher-gateway`, and `gpusher-control` with the other roles.
    Apart {
        /// The gateway.
        gateway: PathBuf,
        /// Everything else.
        control: PathBuf,
    },
}

/// What to start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which processes.
    pub layout: Layout,
    /// Configuration, as `key.of.the.file` and value. Keys that begin with `gateway.` are the gateway's.
    pub keys: Vec<(String, String)>,
    /// Secret that tokens are checked with; without one, any token is good.
    pub token_secret: Option<String>,
    /// The API key, which goes with a token secret.
    pub api_key: Option<String>,
}

/// Ended and removed with the run.
#[derive(Debug)]
pub(super) struct Owned {
    pub(super) clients: SocketAddrV4,
    pub(super) pushes: SocketAddrV4,
    /// How the gateway is started again.
    gateway_command: Command,
    gateway: Child,
    control: Option<Child>,
    _data: tempfile::TempDir,
}

impl Owned {
    pub(super) fn start(settings: Settings) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let ports = free_ports()?;
        let (mut gateway_command, control_command) = commands(&settings, data.path(), &ports);
        let [clients, _, _, pushes] = ports;
        let gateway = spawn(&mut gateway_command)?;
        // From here on, what was started is ended whatever happens.
        let mut owned =
            Self { clients, pushes, gateway_command, gateway, control: None, _data: data };
        if let Some(mut command) = control_command {
            owned.control = Some(spawn(&mut command)?);
        }
        owned.wait_listening()?;
        Ok(owned)
    }

    /// The process that holds the connections, and the others.
    pub(super) fn pids(&self) -> (u32, Vec<u32>) {
        (self.gateway.id(), self.control.iter().map(Child::id).collect())
    }

    pub(super) fn kill_gateway(&mut self) -> Result<Duration> {
        let killed = Instant::now();
        self.gateway.kill()?;
        self.gateway.wait()?;
        self.gateway = spawn(&mut self.gateway_command)?;
        self.wait_listening()?;
        Ok(killed.elapsed())
    }

    fn wait_listening(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        while ![self.clients, self.pushes].iter().all(|at| TcpStream::connect(at).is_ok()) {
            for child in [Some(&mut self.gateway), self.control.as_mut()].into_iter().flatten() {
                if let Some(status) = child.try_wait()? {
                    bail!("the server ended early: {status}");
                }
            }
            if Instant::now() > deadline {
                bail!("the server does not listen within {READY_TIMEOUT:?}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        for child in [Some(&mut self.gateway), self.control.as_mut()].into_iter().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn spawn(command: &mut Command) -> Result<Child> {
    let name = command.get_program().to_owned();
    command.spawn().with_context(|| format!("cannot start {}", Path::new(&name).display()))
}

/// Clients, the gateway's link, its pages, and HTTP: held together until all are known, so that they differ.
fn free_ports() -> Result<[SocketAddrV4; 4]> {
    let held = (0..4)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<std::io::Result<Vec<_>>>()?;
    let mut ports = [SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0); 4];
    for (port, listener) in ports.iter_mut().zip(&held) {
        port.set_port(listener.local_addr()?.port());
    }
    Ok(ports)
}

/// The process that holds the connections, and the other one if there is one.
fn commands(
    settings: &Settings,
    data: &Path,
    ports: &[SocketAddrV4; 4],
) -> (Command, Option<Command>) {
    let [clients, link, pages, pushes] = ports.map(|port| port.to_string());
    let listens = [("listen", clients), ("rpc_listen", link.clone()), ("admin_listen", pages)];
    let (gateway_keys, control_keys): (Vec<_>, Vec<_>) =
        settings.keys.iter().partition(|(key, _)| key.starts_with("gateway."));
    match &settings.layout {
        Layout::One(control) => {
            let mut command = command(control);
            command.args(["run", "--data"]).arg(data).args(gateway_in_control(settings));
            let mut set = |key: &str, value: &str| set(&mut command, "GPUSHER_CONTROL", key, value);
            listens.iter().for_each(|(key, value)| set(&format!("gateway.{key}"), value));
            set("web.listen", &pushes);
            control_auth(settings, &mut set);
            settings.keys.iter().for_each(|(key, value)| set(key, value));
            (command, None)
        }
        Layout::Apart { gateway, control } => {
            let mut gateway = command(gateway);
            let mut set_gateway =
                |key: &str, value: &str| set(&mut gateway, "GPUSHER_GATEWAY", key, value);
            listens.iter().for_each(|(key, value)| set_gateway(key, value));
            match &settings.token_secret {
                None => set_gateway("auth.mode", "any"),
                Some(secret) => set_gateway("auth.secret", secret),
            }
            for (key, value) in gateway_keys {
                set_gateway(key.trim_start_matches("gateway."), value);
            }
            let mut control = command(control);
            control.args(["run", "--roles", "web,logic,message", "--data"]).arg(data);
            let mut set_control =
                |key: &str, value: &str| set(&mut control, "GPUSHER_CONTROL", key, value);
            set_control("web.listen", &pushes);
            set_control("discovery.gateways", &format!("[{link:?}]"));
            control_auth(settings, &mut set_control);
            control_keys.iter().for_each(|(key, value)| set_control(key, value));
            (gateway, Some(control))
        }
    }
}

fn command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    command.stdout(Stdio::null());
    // What is normal is no news here.
    if std::env::var_os("RUST_LOG").is_none() {
        command.env("RUST_LOG", "warn");
    }
    command
}

fn set(command: &mut Command, prefix: &str, key: &str, value: &str) {
    let name = key.to_uppercase().replace('.', "__");
    command.env(format!("{prefix}__{name}"), value);
}

fn control_auth(settings: &Settings, set: &mut impl FnMut(&str, &str)) {
    match &settings.token_secret {
        None => set("auth.mode", "open"),
        Some(secret) => {
            set("auth.token_secret", secret);
            let key = settings.api_key.as_deref().unwrap_or_default();
            set("auth.api_keys", &format!("[{key:?}]"));
        }
    }
}

/// In one process, io_uring is optional only in development mode; elsewhere its absence is an error that says what to do.
fn gateway_in_control(settings: &Settings) -> Vec<&'static str> {
    if settings.token_secret.is_none() { vec!["--dev"] } else { Vec::new() }
}
