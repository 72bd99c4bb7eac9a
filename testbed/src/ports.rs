//! Ports for servers.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

/// Below what the kernel gives to outgoing connections, so that no client takes a server's port while it is down.
const FIRST: u16 = 10_000;
const PORTS: u16 = 22_000;

/// A free port on a host.
pub(crate) fn free_address(host: Ipv4Addr) -> SocketAddrV4 {
    SocketAddrV4::new(host, free_port())
}

/// On 127.0.0.1.
pub(crate) fn local(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}

/// A port of 127.0.0.1 that nobody listens on now, another one with each call.
///
/// # Panics
/// If every port is taken.
pub fn free_port() -> u16 {
    static ASKED: AtomicU16 = AtomicU16::new(0);
    // Processes side by side look in different places first.
    let begin = std::process::id().wrapping_mul(2_654_435_761) >> 16;
    for _ in 0..PORTS {
        let asked = ASKED.fetch_add(1, Relaxed);
        let port = FIRST + ((begin + u32::from(asked)) % u32::from(PORTS)) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + PORTS);
}
