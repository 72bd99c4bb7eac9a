//! How a ring is made.

use super::RingFlags;

/// Where sockets live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Descriptors {
    /// In the process's table, which RLIMIT_NOFILE bounds.
    #[default]
    Plain,
    /// In a table of the ring. RLIMIT_NOFILE bounds each table, not their sum; `ss -p` and `lsof`
    /// do not show them.
    Direct {
        /// Entries, at most 2^20.
        table: u32,
    },
}

/// Sizes of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UringOptions {
    /// Where sockets live.
    pub descriptors: Descriptors,
    /// What to ask of the kernel first; less is tried where it refuses.
    pub flags: RingFlags,
    /// Operations per system call; a power of two.
    pub sq_entries: u32,
    /// Completions that fit before the kernel has to keep a list; a power of two, at most 65,536 on
    /// most kernels.
    pub cq_entries: u32,
    /// Receives at once, 4 KiB each.
    pub scratch_buffers: u32,
}

impl Default for UringOptions {
    fn default() -> Self {
        Self {
            descriptors: Descriptors::Plain,
            flags: RingFlags::All,
            sq_entries: 4_096,
            cq_entries: 65_536,
            scratch_buffers: 256,
        }
    }
}
