//! The gateway, as small as it can be and as each runtime wants it written: it accepts, holds every connection, gives back what it reads; and what begins
//! with [`BROADCAST`] it gives to everybody.
//!
//! A connection that does not take a message at once is closed where the runtime says so at once, and waited for where it does not: in the comparison every
//! socket has room.

mod glommio;
mod monoio;
mod sys;
mod tokio;

use crate::contender::Contender;
use anyhow::{Context, Result};
use gpusher_sys::affinity;
use gpusher_sys::socket::{ListenOptions, Listener};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;

/// First byte of what goes to everybody.
pub(crate) const BROADCAST: u8 = b'B';

/// Longest message that is read at once. Runtimes that lend a buffer to the kernel have one of this size per connection.
const MESSAGE_BYTES_MAX: usize = 512;

/// Serves until the process ends.
///
/// # Errors
/// When the runtime does not start; with what it lacks.
pub(crate) fn serve(contender: Contender) -> Result<()> {
    let core = *affinity::allowed_cores()?.last().context("no core")?;
    affinity::pin_to(core)?;
    match contender {
        Contender::Uring => sys::serve_uring(listen()?),
        Contender::Epoll => sys::serve_epoll(listen()?),
        Contender::Monoio => monoio::serve_uring(as_std(&listen()?)?),
        Contender::MonoioEpoll => monoio::serve_epoll(as_std(&listen()?)?),
        Contender::Glommio => glommio::serve(core),
        Contender::Tokio => tokio::serve(as_std(&listen()?)?),
    }
}

/// The same listener for everybody, its options inherited by what it accepts.
fn listen() -> Result<Listener> {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Ok(Listener::bind(anywhere, &ListenOptions::default())?)
}

fn as_std(listener: &Listener) -> Result<TcpListener> {
    let listener = TcpListener::from(listener.as_fd().try_clone_to_owned()?);
    listener.set_nonblocking(true)?;
    announce(listener.local_addr()?)?;
    Ok(listener)
}

/// Tells the parent where to connect.
fn announce(address: SocketAddr) -> Result<()> {
    println!("{}", address.port());
    Ok(std::io::stdout().flush()?)
}
