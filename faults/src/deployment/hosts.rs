//! Where each part listens: every part is a host of its own on loopback, so that the default ports can be used.
//!
//! Ports of 127.0.0.1 that are free now may be a client's own port by the time a killed part is started again; addresses that nobody connects
//! from cannot.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicU32, Ordering};

/// Hosts of one process; they are taken again when all have been, which no deployments that run side by side come near.
const HOSTS: u32 = 254;

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// An address that no other part of a deployment of this process has: 127.a.b.1, 127.a.b.2 and so on, with a and b of the process.
pub(super) fn next() -> Ipv4Addr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let host = TAKEN.fetch_add(1, Ordering::Relaxed) % HOSTS + 1;
    Ipv4Addr::new(127, 128 | high, low, host as u8)
}

/// Ports of the parts, those of their default configurations.
pub(super) mod port {
    pub(crate) const CLIENTS: u16 = 8881;
    pub(crate) const LINK: u16 = 7771;
    pub(crate) const GATEWAY_PAGES: u16 = 7773;
    pub(crate) const LOGIC_PAGES: u16 = 7772;
    pub(crate) const DATA: u16 = 7780;
    pub(crate) const MESSAGE_PAGES: u16 = 7781;
    pub(crate) const WEB: u16 = 7030;
}

pub(super) fn at(host: Ipv4Addr, port: u16) -> String {
    SocketAddrV4::new(host, port).to_string()
}
