//! The system under test: one that is running, or one started for the run on ports and data of its own.

use crate::process::{Usage, usage};
use anyhow::{Context, Result, bail};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where it is, and which process it is if that is known.
#[derive(Debug)]
pub struct Server {
    /// Where clients connect.
    pub clients: SocketAddrV4,
    /// Where pushes are taken.
    pub pushes: SocketAddrV4,
    pid: Option<u32>,
    owned: Option<Owned>,
}

/// Ended and removed with the run.
#[derive(Debug)]
struct Owned {
    child: Child,
    _data: tempfile::TempDir,
}

const READY_TIMEOUT: Duration = Duration::from_secs(60);

impl Server {
    /// A system that somebody else started.
    pub fn running(clients: SocketAddrV4, pushes: SocketAddrV4, pid: Option<u32>) -> Self {
        Self { clients, pushes, pid, owned: None }
    }

    /// Starts the `gpusher-control` at `binary` in development mode; it ends when this is dropped.
    ///
    /// # Errors
    /// When it cannot be started, ends early, or is not ready within a minute.
    pub fn start(binary: &Path, arguments: &[String]) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let ports = free_ports()?;
        let address = |index: usize| format!("127.0.0.1:{}", ports[index]);
        let child = Command::new(binary)
            .arg("dev")
            .arg("--data")
            .arg(data.path())
            .args(arguments)
            .env("GPUSHER_CONTROL__GATEWAY__LISTEN", address(0))
            .env("GPUSHER_CONTROL__GATEWAY__ADMIN_LISTEN", address(1))
            .env("GPUSHER_CONTROL__WEB__LISTEN", address(2))
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let pid = Some(child.id());
        let clients = SocketAddrV4::new(Ipv4Addr::LOCALHOST, ports[0]);
        let pushes = SocketAddrV4::new(Ipv4Addr::LOCALHOST, ports[2]);
        let owned = Some(Owned { child, _data: data });
        let mut server = Self { clients, pushes, pid, owned };
        server.wait_listening()?;
        Ok(server)
    }

    fn wait_listening(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            let open = [self.clients, self.pushes]
                .iter()
                .all(|address| std::net::TcpStream::connect(address).is_ok());
            if open {
                return Ok(());
            }
            if let Some(owned) = &mut self.owned
                && let Some(status) = owned.child.try_wait()?
            {
                bail!("the server ended early: {status}");
            }
            if Instant::now() > deadline {
                bail!("the server does not listen within {READY_TIMEOUT:?}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the process has used so far; `None` when its id is not known.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn usage(&self) -> Result<Option<Usage>> {
        self.pid.map(usage).transpose()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(owned) = &mut self.owned {
            let _ = owned.child.kill();
            let _ = owned.child.wait();
        }
    }
}

/// Held together until all are known, so that they differ.
fn free_ports() -> Result<Vec<u16>> {
    let held = (0..3)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<std::io::Result<Vec<_>>>()?;
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
