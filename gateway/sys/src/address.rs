//! Addresses as the kernel reads and writes them.

use crate::syscall::check;
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

/// An IPv4 address as the kernel reads it.
pub(crate) fn sockaddr_v4(address: &SocketAddrV4) -> libc::sockaddr_in {
    // SAFETY: a `sockaddr_in` is plain integers, for which all zeros is a value.
    let mut raw: libc::sockaddr_in = unsafe { zeroed() };
    raw.sin_family = libc::AF_INET as libc::sa_family_t;
    raw.sin_port = address.port().to_be();
    raw.sin_addr.s_addr = u32::from_ne_bytes(address.ip().octets());
    raw
}

fn sockaddr_v6(address: &SocketAddrV6) -> libc::sockaddr_in6 {
    // SAFETY: a `sockaddr_in6` is plain integers, for which all zeros is a value.
    let mut raw: libc::sockaddr_in6 = unsafe { zeroed() };
    raw.sin6_family = libc::AF_INET6 as libc::sa_family_t;
    raw.sin6_port = address.port().to_be();
    raw.sin6_flowinfo = address.flowinfo();
    raw.sin6_addr.s6_addr = address.ip().octets();
    raw.sin6_scope_id = address.scope_id();
    raw
}

/// Binds a socket.
pub(crate) fn bind(socket: BorrowedFd<'_>, address: &SocketAddr) -> io::Result<()> {
    let result = match address {
        SocketAddr::V4(address) => {
            let raw = sockaddr_v4(address);
            let bytes = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            // SAFETY: `raw` is live and of the length given; the kernel only reads it.
            unsafe { libc::bind(socket.as_raw_fd(), (&raw const raw).cast(), bytes) }
        }
        SocketAddr::V6(address) => {
            let raw = sockaddr_v6(address);
            let bytes = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            // SAFETY: `raw` is live and of the length given; the kernel only reads it.
            unsafe { libc::bind(socket.as_raw_fd(), (&raw const raw).cast(), bytes) }
        }
    };
    check(result).map(drop)
}

/// Connects a socket, or starts to.
pub(crate) fn connect(socket: BorrowedFd<'_>, to: &SocketAddrV4) -> io::Result<()> {
    let raw = sockaddr_v4(to);
    let bytes = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    // SAFETY: `raw` is live and of the length given; the kernel only reads it.
    check(unsafe { libc::connect(socket.as_raw_fd(), (&raw const raw).cast(), bytes) }).map(drop)
}

/// Where a socket is bound.
pub(crate) fn local_address(socket: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    // SAFETY: a `sockaddr_in6` is plain integers, for which all zeros is a value.
    let mut raw: libc::sockaddr_in6 = unsafe { zeroed() };
    let mut bytes = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
    // SAFETY: both out-pointers are live and `bytes` holds the room behind `raw`, enough for either
    // family.
    check(unsafe { libc::getsockname(socket.as_raw_fd(), (&raw mut raw).cast(), &raw mut bytes) })?;
    if libc::c_int::from(raw.sin6_family) == libc::AF_INET6 {
        let ip = Ipv6Addr::from(raw.sin6_addr.s6_addr);
        let port = u16::from_be(raw.sin6_port);
        return Ok(SocketAddrV6::new(ip, port, raw.sin6_flowinfo, raw.sin6_scope_id).into());
    }
    // SAFETY: the kernel wrote a `sockaddr_in`, which is shorter than `raw` and no more strictly
    // aligned.
    let raw = unsafe { (&raw const raw).cast::<libc::sockaddr_in>().read() };
    let ip = Ipv4Addr::from(raw.sin_addr.s_addr.to_ne_bytes());
    Ok(SocketAddrV4::new(ip, u16::from_be(raw.sin_port)).into())
}
