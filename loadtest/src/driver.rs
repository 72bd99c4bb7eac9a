//! The kernel driver that the connections use: io_uring with descriptors in the ring's own table, so that each thread holds as many
//! as the descriptor limit allows a whole process.

use anyhow::{Context, Result};
use gpusher_sys::Waker;
use gpusher_sys::limits::raise_descriptor_limit;
use gpusher_sys::uring::{Descriptors, Uring, UringOptions};

/// Room for sockets that are being closed while their successors connect.
const TABLE_SPARE: u32 = 64;
/// Sizes of a ring that is one of many: 0.4 MiB each.
const SQ_ENTRIES: u32 = 1_024;
const CQ_ENTRIES: u32 = 16_384;
const SCRATCH_BUFFERS: u32 = 64;

/// Opens a driver for that many connections.
///
/// # Errors
/// When the kernel refuses, or the table would be larger than RLIMIT_NOFILE: then more threads are needed.
pub fn open(connections: u32, waker: Waker) -> Result<Uring> {
    let options = UringOptions {
        descriptors: Descriptors::Direct { table: connections + TABLE_SPARE },
        sq_entries: SQ_ENTRIES,
        cq_entries: CQ_ENTRIES,
        scratch_buffers: SCRATCH_BUFFERS,
        ..UringOptions::default()
    };
    Uring::new(&options, None, waker).context("cannot open a ring for the connections")
}

/// Connections that one driver can hold.
///
/// # Errors
/// When the limit cannot be read.
pub fn connections_max() -> Result<u32> {
    let limit = raise_descriptor_limit().context("cannot raise the descriptor limit")?.soft;
    Ok(u32::try_from(limit.min(1 << 20)).expect("bounded").saturating_sub(TABLE_SPARE))
}
