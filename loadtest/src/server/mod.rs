//! The system under test: one that is running, or one started for the run on ports and data of its own.

mod start;

pub use start::{Layout, Settings};

use crate::process::{Usage, usage};
use anyhow::{Result, ensure};
use start::Owned;
use std::net::SocketAddrV4;
use std::time::Duration;

/// Where it is, and which processes it is if that is known.
#[derive(Debug)]
pub struct Server {
    /// Where clients connect: to several in turn.
    pub clients: Vec<SocketAddrV4>,
    /// Where pushes are taken.
    pub pushes: SocketAddrV4,
    /// The process that holds the connections, and the others.
    gateway: Option<u32>,
    others: Vec<u32>,
    owned: Option<Owned>,
}

/// What the system's processes have used.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServerUsage {
    /// The process that holds the connections.
    pub gateway: Usage,
    /// CPU time of all processes, in nanoseconds.
    pub cpu_ns: u64,
    /// The most memory that was resident in each of the other processes, added up.
    pub others_bytes_max: u64,
}

impl Server {
    /// A system that somebody else started. `pids`: the process that holds the connections, then the others, if their CPU time and
    /// memory are wanted.
    pub fn running(clients: Vec<SocketAddrV4>, pushes: SocketAddrV4, pids: &[u32]) -> Self {
        let gateway = pids.first().copied();
        Self {
            clients,
            pushes,
            gateway,
            others: pids.iter().skip(1).copied().collect(),
            owned: None,
        }
    }

    /// Starts the system; it ends when this is dropped.
    ///
    /// # Errors
    /// When it cannot be started, ends early, or is not ready within a minute.
    pub fn start(settings: Settings) -> Result<Self> {
        let owned = Owned::start(settings)?;
        let (clients, pushes) = (vec![owned.clients], owned.pushes);
        let (gateway, others) = owned.pids();
        Ok(Self { clients, pushes, gateway: Some(gateway), others, owned: Some(owned) })
    }

    /// What the processes have used so far; `None` when they are not known.
    ///
    /// # Errors
    /// When one has ended.
    pub fn usage(&self) -> Result<Option<ServerUsage>> {
        let Some(gateway) = self.gateway else { return Ok(None) };
        let gateway = usage(gateway)?;
        let mut all = ServerUsage { gateway, cpu_ns: gateway.cpu_ns, others_bytes_max: 0 };
        for pid in &self.others {
            let other = usage(*pid)?;
            all.cpu_ns += other.cpu_ns;
            all.others_bytes_max += other.resident_bytes_max;
        }
        Ok(Some(all))
    }

    /// The process that holds the connections, if it is known.
    pub fn gateway(&self) -> Option<u32> {
        self.gateway
    }

    /// Whether this run started it, and so may kill it.
    pub fn is_owned(&self) -> bool {
        self.owned.is_some()
    }

    /// Whether the gateway is a process of its own.
    pub fn has_gateway_apart(&self) -> bool {
        !self.others.is_empty()
    }

    /// Ends the process that holds the connections with SIGKILL and starts it again; returns how long it was until it listened.
    ///
    /// # Errors
    /// When the system is not ours, or does not come back within a minute.
    pub fn kill_gateway(&mut self) -> Result<Duration> {
        ensure!(self.owned.is_some(), "only a system that was started for the run can be killed");
        let Some(owned) = &mut self.owned else { unreachable!("checked") };
        let pause = owned.kill_gateway()?;
        let (gateway, others) = owned.pids();
        (self.gateway, self.others) = (Some(gateway), others);
        Ok(pause)
    }
}
