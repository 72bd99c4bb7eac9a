//! The kernel driver that the connections use: io_uring with descriptors in the ring's own table, so that a thread holds as many
//! as the descriptor limit allows a whole process.

use anyhow::{Context, Result};
use gpusher_sys::Waker;
use gpusher_sys::uring::{Descriptors, Uring, UringOptions};

/// Room for sockets that are being closed while their successors connect.
const TABLE_SPARE: u32 = 64;

/// Opens a driver for that many connections.
///
/// # Errors
/// When the kernel refuses, or the table would be larger than RLIMIT_NOFILE: then more threads are needed.
pub fn open(connections: u32) -> Result<Uring> {
    let descriptors = Descriptors::Direct { table: connections + TABLE_SPARE };
    let options = UringOptions { descriptors, ..UringOptions::default() };
    Uring::new(&options, None, Waker::new()?).context("cannot open a ring for the connections")
}
