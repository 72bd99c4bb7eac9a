//! Where each part listens: every part has an address of its own, so that the default ports can be used.
//!
//! Ports of 127.0.0.1 that are free now may be a client's own port by the time a killed part is started again; addresses that nobody connects
//! from cannot.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicU32, Ordering};

/// Hosts of one process; they are taken again when all have been, which no deployments that run side by side come near.
const HOSTS: u32 = 253;

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// What hosts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    /// Addresses of loopback: 127.a.b.1 and so on, with a and b of this process.
    Loopback,
    /// The product's processes on 10.77.1.0/24, each in a network namespace; servers and the rest, as we ourselves, on 10.77.0.0/24.
    Switched,
}

impl Ground {
    /// For a process of the product: no other part of a deployment of this process has it.
    pub(super) fn own(self) -> Ipv4Addr {
        match self {
            Self::Loopback => loopback(),
            Self::Switched => Ipv4Addr::new(10, 77, 1, next()),
        }
    }

    /// For what runs beside us, which nobody else has either.
    pub(super) fn beside_us(self) -> Ipv4Addr {
        match self {
            Self::Loopback => loopback(),
            Self::Switched => Ipv4Addr::new(10, 77, 0, next()),
        }
    }
}

fn loopback() -> Ipv4Addr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 128 | high, low, next())
}

/// From 2 to 254: the first is the switch's own.
fn next() -> u8 {
    (TAKEN.fetch_add(1, Ordering::Relaxed) % HOSTS + 2) as u8
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
