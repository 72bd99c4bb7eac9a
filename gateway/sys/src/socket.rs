//! Listeners. What is set on a listener is inherited by every socket it accepts, so accepting costs
//! no further call.

use crate::address::{bind, local_address};
use crate::syscall::{check, option, set_option};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Until it is tried again whether a port is free.
const TAKEN_PAUSE: Duration = Duration::from_millis(10);

/// What to set on a listener. `None` and 0 leave the kernel's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenOptions {
    /// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
    pub backlog: u32,
    /// Several listeners share the port, and the kernel spreads connections over them.
    pub reuse_port: bool,
    /// Finds dead peers that send nothing.
    pub keepalive: Option<Keepalive>,
    /// A peer that acknowledges nothing for this long is gone, in milliseconds.
    pub user_timeout_ms: u32,
    /// Send buffer per socket; the kernel doubles it for its own bookkeeping.
    pub send_buffer_bytes: u32,
    /// Receive buffer per socket; likewise.
    pub receive_buffer_bytes: u32,
    /// Writable again when fewer unsent bytes than this are left.
    pub not_sent_low_water_bytes: u32,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            backlog: 65_535,
            reuse_port: true,
            keepalive: None,
            user_timeout_ms: 0,
            send_buffer_bytes: 0,
            receive_buffer_bytes: 0,
            not_sent_low_water_bytes: 0,
        }
    }
}

/// TCP keepalive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe.
    pub idle_s: u32,
    /// Between probes.
    pub interval_s: u32,
    /// Unanswered probes after which the peer is gone.
    pub probes: u32,
}

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}; {remedy}")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// What to do about it.
    pub remedy: &'static str,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

impl ListenError {
    fn is_taken(&self) -> bool {
        self.source.raw_os_error() == Some(libc::EADDRINUSE)
    }

    fn new(address: SocketAddr, source: io::Error) -> Self {
        let remedy = match source.raw_os_error() {
            Some(libc::EADDRINUSE) => {
                "another process has the port: stop it, or choose another port"
            }
            Some(libc::EACCES) => {
                "ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE"
            }
            Some(libc::EADDRNOTAVAIL) => "this host does not have that address",
            Some(libc::EAFNOSUPPORT) => "this host has no such address family: is IPv6 off?",
            Some(libc::EMFILE | libc::ENFILE) => "out of descriptors: raise LimitNOFILE",
            _ => "see the error of the kernel",
        };
        Self { address, remedy, source }
    }
}

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    address: SocketAddr,
}

impl Listener {
    /// Listens on `address`; port 0 lets the kernel choose.
    ///
    /// # Errors
    /// With the address and the remedy.
    pub fn bind(address: SocketAddr, options: &ListenOptions) -> Result<Self, ListenError> {
        Self::try_bind(address, options).map_err(|source| ListenError::new(address, source))
    }

    /// One listener per shard on one port. Listeners of one user may share a port without noticing
    /// each other, so a second process would take half of the first one's connections: whether the
    /// port is free is tried beforehand.
    ///
    /// A port that is taken may be free before the patience is over: the kernel takes rings apart after
    /// it has told of their process's end, and the listeners that a killed gateway accepted from with
    /// them.
    ///
    /// # Errors
    /// With the address and the remedy.
    pub fn bind_group(
        address: SocketAddr,
        count: usize,
        options: &ListenOptions,
        patience: Duration,
    ) -> Result<Vec<Self>, ListenError> {
        let exclusive = ListenOptions { reuse_port: false, ..options.clone() };
        let begun = Instant::now();
        let address = loop {
            match Self::bind(address, &exclusive) {
                Err(error) if error.is_taken() && begun.elapsed() < patience => {
                    std::thread::sleep(TAKEN_PAUSE);
                }
                bound => break bound?.address,
            }
        };
        let shared = ListenOptions { reuse_port: true, ..options.clone() };
        (0..count).map(|_| Self::bind(address, &shared)).collect()
    }

    fn try_bind(address: SocketAddr, options: &ListenOptions) -> io::Result<Self> {
        let socket = stream_socket(&address, 0)?;
        options.apply(socket.as_fd(), &address)?;
        bind(socket.as_fd(), &address)?;
        let backlog = options.backlog.min(i32::MAX as u32) as libc::c_int;
        // SAFETY: takes no pointers.
        check(unsafe { libc::listen(socket.as_raw_fd(), backlog) })?;
        let address = local_address(socket.as_fd())?;
        Ok(Self { socket, address })
    }

    /// Where it listens, with the port that the kernel chose.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Refuses further connections; those waiting to be accepted are reset.
    pub(crate) fn shut(&self) {
        // SAFETY: takes no pointers. It can fail only for a socket that does not listen, and then
        // there is nothing to do.
        unsafe { libc::shutdown(self.socket.as_raw_fd(), libc::SHUT_RDWR) };
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl ListenOptions {
    fn apply(&self, socket: BorrowedFd<'_>, address: &SocketAddr) -> io::Result<()> {
        let set = |level, name, value: u32| {
            set_option(socket, level, name, value.min(i32::MAX as u32) as libc::c_int)
        };
        let set_unless_zero = |level, name, value: u32| match value {
            0 => Ok(()),
            _ => set(level, name, value),
        };
        set(libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
        set(libc::SOL_SOCKET, libc::SO_REUSEPORT, u32::from(self.reuse_port))?;
        set(libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
        set_unless_zero(libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, self.user_timeout_ms)?;
        set_unless_zero(libc::SOL_SOCKET, libc::SO_SNDBUF, self.send_buffer_bytes)?;
        set_unless_zero(libc::SOL_SOCKET, libc::SO_RCVBUF, self.receive_buffer_bytes)?;
        let low_water = self.not_sent_low_water_bytes;
        set_unless_zero(libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, low_water)?;
        if let Some(keepalive) = self.keepalive {
            set(libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
            set_unless_zero(libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, keepalive.idle_s)?;
            set_unless_zero(libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, keepalive.interval_s)?;
            set_unless_zero(libc::IPPROTO_TCP, libc::TCP_KEEPCNT, keepalive.probes)?;
        }
        // `[::]` takes IPv4 too only if told so: hosts differ in their default.
        if address.is_ipv6() {
            set(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 0)?;
        }
        Ok(())
    }
}

/// A TCP socket of the address's family.
pub(crate) fn stream_socket(address: &SocketAddr, flags: libc::c_int) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | flags;
    // SAFETY: takes no pointers.
    let fd = check(unsafe { libc::socket(family, kind, 0) })?;
    // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes a socket for a connection from `source`, if given. With port 0 the kernel chooses the port
/// only when the peer is known (IP_BIND_ADDRESS_NO_PORT), so that one source address reaches each
/// peer from all of its ports.
pub(crate) fn client_socket(
    source: Option<SocketAddrV4>,
    flags: libc::c_int,
) -> io::Result<OwnedFd> {
    let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
    let source = source.map(SocketAddr::V4);
    let socket = stream_socket(&source.unwrap_or(SocketAddr::V4(any)), flags)?;
    set_option(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    if let Some(source) = source {
        set_option(socket.as_fd(), libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)?;
        bind(socket.as_fd(), &source)?;
    }
    Ok(socket)
}

/// The error a socket holds, and clears by being asked; 0 if none.
pub(crate) fn pending_error(socket: BorrowedFd<'_>) -> i32 {
    option(socket, libc::SOL_SOCKET, libc::SO_ERROR).unwrap_or(libc::EBADF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv6Addr, TcpStream};

    fn loopback() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[test]
    fn a_group_shares_the_port_that_the_kernel_chose() {
        let group =
            Listener::bind_group(loopback(), 3, &ListenOptions::default(), Duration::ZERO).unwrap();
        assert!(group.iter().all(|listener| listener.address() == group[0].address()));
        assert_ne!(group[0].address().port(), 0);
    }

    #[test]
    fn a_second_group_is_refused_with_the_remedy() {
        let options = ListenOptions::default();
        let group = Listener::bind_group(loopback(), 2, &options, Duration::ZERO).unwrap();
        let error =
            Listener::bind_group(group[0].address(), 2, &options, Duration::ZERO).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&group[0].address().to_string()), "{text}");
        assert!(text.contains("another port"), "{text}");
    }

    #[test]
    fn a_port_that_is_freed_in_time_is_taken() {
        let options = ListenOptions::default();
        let group = Listener::bind_group(loopback(), 2, &options, Duration::ZERO).unwrap();
        let address = group[0].address();
        let again =
            move || Listener::bind_group(address, 2, &options, Duration::from_secs(60)).map(drop);
        let again = std::thread::spawn(again);
        std::thread::yield_now();
        drop(group);
        again.join().unwrap().unwrap();
    }

    #[test]
    fn an_address_of_another_host_is_refused_with_the_remedy() {
        let address = SocketAddr::from(([192, 0, 2, 1], 0));
        let error = Listener::bind(address, &ListenOptions::default()).unwrap_err();
        assert!(error.to_string().contains("does not have that address"));
    }

    #[test]
    fn options_are_in_force() {
        let options = ListenOptions {
            keepalive: Some(Keepalive { idle_s: 61, interval_s: 7, probes: 3 }),
            user_timeout_ms: 30_000,
            send_buffer_bytes: 16_384,
            receive_buffer_bytes: 8_192,
            not_sent_low_water_bytes: 4_096,
            ..ListenOptions::default()
        };
        let listener = Listener::bind(loopback(), &options).unwrap();
        let read = |level, name| option(listener.as_fd(), level, name).unwrap();
        assert_eq!(read(libc::IPPROTO_TCP, libc::TCP_NODELAY), 1);
        assert_eq!(read(libc::IPPROTO_TCP, libc::TCP_KEEPIDLE), 61);
        assert_eq!(read(libc::IPPROTO_TCP, libc::TCP_KEEPINTVL), 7);
        assert_eq!(read(libc::IPPROTO_TCP, libc::TCP_KEEPCNT), 3);
        assert_eq!(read(libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT), 30_000);
        assert_eq!(read(libc::SOL_SOCKET, libc::SO_SNDBUF), 2 * 16_384);
        assert_eq!(read(libc::SOL_SOCKET, libc::SO_RCVBUF), 2 * 8_192);
        assert_eq!(read(libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT), 4_096);
    }

    #[test]
    fn the_wildcard_of_ipv6_takes_ipv4_too() {
        let wildcard = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let listener = match Listener::bind(wildcard, &ListenOptions::default()) {
            Ok(listener) => listener,
            Err(error) if error.source.raw_os_error() == Some(libc::EAFNOSUPPORT) => return,
            Err(error) => panic!("{error}"),
        };
        let port = listener.address().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
    }
}
