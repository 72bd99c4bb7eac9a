//! What the connections of a run are.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// Protocol of the clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Version {
    /// The forerunner's frame.
    #[value(name = "0")]
    V0,
    /// The present one.
    #[value(name = "1")]
    V1,
}

/// The connections of one thread.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where to connect.
    pub server: SocketAddrV4,
    /// Which protocol.
    pub version: Version,
    /// Number of the app.
    pub app_id: u32,
    /// Its tag.
    pub tag: String,
    /// Users are named this and their index.
    pub user_prefix: String,
    /// Index of the thread's first user.
    pub first: u32,
    /// Connections of the thread.
    pub count: u32,
    /// Logins a second that the thread starts.
    pub logins_per_s: f64,
    /// Between two heartbeats of a connection.
    pub heartbeat: Duration,
}

/// Ports that one source address gives.
const PORTS_PER_SOURCE: u32 = 20_000;

impl Plan {
    /// The user of a slot.
    pub fn user(&self, slot: u32) -> String {
        crate::pusher::user_name(&self.user_prefix, self.first + slot)
    }

    /// Source address of a slot: 127.0.0.2 and up, a new one every 20,000 connections. The server's own address is left alone,
    /// so that its ports are not taken by clients.
    pub fn source(&self, slot: u32) -> SocketAddrV4 {
        let number = (self.first + slot) / PORTS_PER_SOURCE + 2;
        let base = u32::from(Ipv4Addr::new(127, 0, 0, 0));
        SocketAddrV4::new(Ipv4Addr::from(base + number), 0)
    }
}
