//! The systems: how each is found, started with fitting settings on a port of its own, and ended.

use super::Arguments;
use crate::protocol;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Who is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum System {
    /// This product, over version 1 of its wire.
    Gpusher,
    /// nats-server, core NATS.
    Nats,
    /// An MQTT broker: mosquitto.
    Mosquitto,
    /// goim with comet, logic and job, started by the user.
    Goim,
}

impl System {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gpusher => "gpusher",
            Self::Nats => "nats",
            Self::Mosquitto => "mosquitto",
            Self::Goim => "goim",
        }
    }

    pub(super) fn protocol(self) -> protocol::Name {
        match self {
            Self::Gpusher => protocol::Name::V1,
            Self::Nats => protocol::Name::Nats,
            Self::Mosquitto => protocol::Name::Mqtt,
            Self::Goim => protocol::Name::Goim,
        }
    }

    /// How broadcasts are pushed when the rate is what the system takes: connections, and pushes in a request. One connection where
    /// order is the connection's; gpusher's order is the channel's own.
    pub(super) fn saturating_lines(self) -> (u32, u32) {
        match self {
            Self::Gpusher => (4, 32),
            Self::Nats | Self::Mosquitto => (1, 32),
            Self::Goim => (1, 1),
        }
    }

    /// Connections that paced pushes are spread over: HTTP answers one push of a connection after the other.
    pub(super) fn paced_lines(self) -> u32 {
        match self {
            Self::Gpusher | Self::Goim => 32,
            Self::Nats | Self::Mosquitto => 1,
        }
    }
}

/// A system that runs; ended when this is dropped if it was started here.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) system: System,
    /// What it says of itself.
    pub(super) version: String,
    /// Arguments with which this program finds it.
    pub(super) found_by: Vec<String>,
    owned: Option<Owned>,
}

#[derive(Debug)]
struct Owned {
    child: Child,
    _folder: tempfile::TempDir,
}

const READY_TIMEOUT: Duration = Duration::from_secs(30);

impl Started {
    /// Starts it, or finds it running.
    ///
    /// # Errors
    /// When it is not installed, with what to do about it; when it does not start.
    pub(super) fn start(system: System, arguments: &Arguments) -> Result<Self> {
        match system {
            System::Gpusher => Self::gpusher(arguments),
            System::Nats => Self::nats(arguments),
            System::Mosquitto => Self::mosquitto(arguments),
            System::Goim => Self::goim(arguments),
        }
    }

    /// Started, with data of its own, by the process that measures.
    fn gpusher(arguments: &Arguments) -> Result<Self> {
        let beside = std::env::current_exe()?.with_file_name("gpusher-control");
        let given = arguments.gpusher.clone().or_else(|| beside.is_file().then_some(beside));
        let binary = find("gpusher-control", given, "build it: make build")?;
        let mut found_by = vec!["--start".to_owned(), binary.display().to_string()];
        for key in &arguments.keys {
            found_by.extend(["--set".to_owned(), key.clone()]);
        }
        let version = version(Command::new(&binary).arg("--version"));
        Ok(Self { system: System::Gpusher, version, found_by, owned: None })
    }

    /// Without JetStream: what core NATS does is what is compared.
    fn nats(arguments: &Arguments) -> Result<Self> {
        let install = "install it: go install github.com/nats-io/nats-server/v2@latest";
        let binary = find("nats-server", arguments.nats.clone(), install)?;
        let address = free_address()?;
        let mut command = Command::new(&binary);
        command.args(["--addr", "127.0.0.1", "--port", &address.port().to_string()]);
        let version = version(Command::new(&binary).arg("--version"));
        Self::spawn(System::Nats, version, &mut command, address, tempfile::tempdir()?)
    }

    /// Its defaults, but for anonymous clients and any number of them.
    fn mosquitto(arguments: &Arguments) -> Result<Self> {
        let install = "install it: apt-get install mosquitto";
        let given = arguments.mosquitto.clone();
        let binary = find("mosquitto", given, install)?;
        let address = free_address()?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("mosquitto.conf");
        let mut text = format!("listener {} 127.0.0.1\n", address.port());
        text.push_str("allow_anonymous true\nmax_connections -1\n");
        text.push_str("persistence false\nlog_type error\n");
        std::fs::write(&file, text)?;
        let mut command = Command::new(&binary);
        command.arg("-c").arg(&file);
        let version = version(Command::new(&binary).arg("-h"));
        Self::spawn(System::Mosquitto, version, &mut command, address, folder)
    }

    fn goim(arguments: &Arguments) -> Result<Self> {
        let (Some(clients), Some(pushes)) = (arguments.goim_clients, arguments.goim_pushes) else {
            bail!(
                "start it (see docs/COMPARING.md) and say where: --goim-clients, --goim-pushes, --goim-pid"
            );
        };
        let mut found_by = at(clients, pushes);
        for pid in &arguments.goim_pid {
            found_by.extend(["--pid".to_owned(), pid.to_string()]);
        }
        Ok(Self { system: System::Goim, version: "running".to_owned(), found_by, owned: None })
    }

    fn spawn(
        system: System,
        version: String,
        command: &mut Command,
        address: SocketAddrV4,
        folder: tempfile::TempDir,
    ) -> Result<Self> {
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", system.name()))?;
        let mut found_by = at(address, address);
        found_by.extend(["--pid".to_owned(), child.id().to_string()]);
        // From here on it is ended whatever happens.
        let owned = Some(Owned { child, _folder: folder });
        let mut started = Self { system, version, found_by, owned };
        started.wait_listening(address)?;
        Ok(started)
    }

    fn wait_listening(&mut self, address: SocketAddrV4) -> Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        while TcpStream::connect(address).is_err() {
            let owned = self.owned.as_mut().expect("it was started here");
            if let Some(status) = owned.child.try_wait()? {
                bail!("{} ended early: {status}", self.system.name());
            }
            if Instant::now() > deadline {
                bail!("{} does not listen within {READY_TIMEOUT:?}", self.system.name());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn at(clients: SocketAddrV4, pushes: SocketAddrV4) -> Vec<String> {
    let words = ["--connect", &clients.to_string(), "--pushes", &pushes.to_string()];
    words.map(str::to_owned).to_vec()
}

/// The one that was given, or the one of that name on PATH.
fn find(name: &str, given: Option<PathBuf>, install: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = || {
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        // Where Debian puts servers, for users who do not have it on PATH.
        folders.push(Path::new("/usr/sbin").to_owned());
        folders.into_iter().map(|folder| folder.join(name)).find(|file| file.is_file())
    };
    given
        .or_else(on_path)
        .filter(|file| file.is_file())
        .with_context(|| format!("{name} is not there; {install}"))
}

/// The first line of what a program says of itself.
fn version(command: &mut Command) -> String {
    let Ok(output) = command.output() else { return String::new() };
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().unwrap_or_default().trim().to_owned()
}

fn free_address() -> Result<SocketAddrV4> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(SocketAddrV4::new(Ipv4Addr::LOCALHOST, listener.local_addr()?.port()))
}
