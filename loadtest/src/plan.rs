//! What the connections of a run are.

use crate::account::Account;
use crate::protocol;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

/// The connections of one thread.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where to connect: clients are dealt out in turn.
    pub servers: Arc<[SocketAddrV4]>,
    /// What to speak.
    pub protocol: protocol::Name,
    /// Who the clients are.
    pub account: Account,
    /// Index of the thread's first client.
    pub first: u32,
    /// Connections of the thread.
    pub count: u32,
    /// When the thread's first login is due, in nanoseconds of the run's clock; [`WHEN_TOLD`]: when it is ordered to.
    pub start_ns: u64,
    /// Logins a second that the thread starts. Infinite: as fast as they are accepted.
    pub logins_per_s: f64,
    /// Logins of the thread that may be under way at once.
    pub logins_under_way: u32,
    /// Between two heartbeats of a connection.
    pub heartbeat: Duration,
}

/// See [`Plan::start_ns`].
pub const WHEN_TOLD: u64 = u64::MAX;

/// Ports that one source address gives.
const PORTS_PER_SOURCE: u32 = 14_000;

impl Plan {
    /// Whether logins are limited only by how many may be under way.
    pub fn is_saturated(&self) -> bool {
        self.logins_per_s.is_infinite()
    }

    /// Where a slot connects, each time it does.
    pub fn server(&self, slot: u32) -> SocketAddrV4 {
        self.servers[(self.first + slot) as usize % self.servers.len()]
    }

    /// Source address of a slot: 127.0.0.2 and up, a new one before the kernel's search for a free port gets slow. The server's own
    /// address is left alone, so that its ports are not taken by clients. To another host: the one that the kernel takes.
    pub fn source(&self, slot: u32) -> SocketAddrV4 {
        if !self.server(slot).ip().is_loopback() {
            return SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
        }
        let number = (self.first + slot) / PORTS_PER_SOURCE + 2;
        let base = u32::from(Ipv4Addr::new(127, 0, 0, 0));
        SocketAddrV4::new(Ipv4Addr::from(base + number), 0)
    }
}
