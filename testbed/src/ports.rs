//! Ports for servers.

use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// Below what most kernels give to outgoing connections.
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

/// A port of 127.0.0.1 that nobody has, another one with each call. It stays reserved as long as this process lives: while its server is down, the kernel
/// gives it to nobody else, neither to a client as its own port nor to a server that asks for any. Who wants it sets `SO_REUSEADDR`, as servers do.
///
/// # Panics
/// If every port is taken.
pub fn free_port() -> u16 {
    static RESERVED: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());
    static ASKED: AtomicU16 = AtomicU16::new(0);
    // Processes side by side look in different places first.
    let begin = std::process::id().wrapping_mul(2_654_435_761) >> 16;
    for _ in 0..PORTS {
        let asked = ASKED.fetch_add(1, Relaxed);
        let port = FIRST + ((begin + u32::from(asked)) % u32::from(PORTS)) as u16;
        if let Ok(socket) = reserve(port) {
            RESERVED.lock().unwrap_or_else(PoisonError::into_inner).push(socket);
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + PORTS);
}

/// A socket that is bound without the option, so that nobody else has the port, and lets a listener that has it beside it from then on.
fn reserve(port: u16) -> rustix::io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &local(port))?;
    set_socket_reuseaddr(&socket, true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_port_is_its_servers_and_nobody_elses() {
        let port = free_port();
        reserve(port).unwrap_err();
        let server = TcpListener::bind(local(port)).unwrap();
        TcpStream::connect(local(port)).unwrap();
        TcpListener::bind(local(port)).unwrap_err();
        drop(server);
        reserve(port).unwrap_err();
        TcpListener::bind(local(port)).unwrap();
        assert_ne!(free_port(), port);
    }
}
