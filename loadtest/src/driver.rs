//! The kernel driver that the connections use.

use crate::report::Report;
use crate::run::RunConfig;
use anyhow::Result;
use gpusher_sys::Waker;
use gpusher_sys::epoll::Epoll;

/// Opens a driver for that many connections.
///
/// # Errors
/// When the kernel refuses.
pub fn open(_connections: u32) -> Result<Epoll> {
    Ok(Epoll::new(None, Waker::new()?)?)
}

/// Measures the floor with as many sockets.
///
/// # Errors
/// When the kernel refuses.
pub fn add_floor(_report: &mut Report, _config: &RunConfig) -> Result<()> {
    Ok(())
}
