//! The kernel driver that the connections use: io_uring with descriptors in the ring's own table, and several rings for
//! each thread: a table holds as many as the descriptor limit allows a whole process.

use anyhow::{Context, Result};
use gpusher_sys::Waker;
use gpusher_sys::limits::raise_descriptor_limit;
use gpusher_sys::uring::{Descriptors, TABLE_ENTRIES_MAX, Uring, UringOptions};

/// Room for sockets that are being closed while their successors connect.
const TABLE_SPARE: u32 = 64;
/// Rings of one thread at most.
const RINGS_MAX: u32 = 64;
/// Receives at once of one thread.
const SCRATCH_BUFFERS: u32 = 64;

/// Opens a driver for that many connections, with as many rings as their tables take.
///
/// # Errors
/// When the kernel refuses.
pub fn open(connections: u32, waker: Waker) -> Result<Uring> {
    let rings = connections.div_ceil(connections_per_ring()?).max(1);
    let table = connections.div_ceil(rings) + TABLE_SPARE;
    let options = UringOptions {
        descriptors: Descriptors::Direct { table },
        rings,
        scratch_buffers: SCRATCH_BUFFERS,
        ..UringOptions::default()
    };
    Uring::new(&options, None, waker).context("cannot open a ring for the connections")
}

/// Connections that one ring can hold.
///
/// # Errors
/// When the limit cannot be read.
pub fn connections_per_ring() -> Result<u32> {
    let limit = raise_descriptor_limit().context("cannot raise the descriptor limit")?.soft;
    let entries = u32::try_from(limit).unwrap_or(u32::MAX).min(TABLE_ENTRIES_MAX);
    Ok(entries.saturating_sub(TABLE_SPARE).max(1))
}

/// Connections that one driver can hold.
///
/// # Errors
/// As [`connections_per_ring`].
pub fn connections_max() -> Result<u32> {
    Ok(connections_per_ring()?.saturating_mul(RINGS_MAX))
}
