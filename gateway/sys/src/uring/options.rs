//! How a ring is made.

use super::RingFlags;

/// A ring's own table has at most this many entries.
pub const TABLE_ENTRIES_MAX: u32 = 1 << 20;

/// Where sockets live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Descriptors {
    /// In the process's table, which RLIMIT_NOFILE bounds.
    #[default]
    Plain,
    /// In a table of the ring. RLIMIT_NOFILE bounds each table, not their sum; `ss -p` and `lsof`
    /// do not show them.
    Direct {
        /// Entries, at most [`TABLE_ENTRIES_MAX`].
        table: u32,
    },
}

/// Sizes of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UringOptions {
    /// Where sockets live.
    pub descriptors: Descriptors,
    /// Rings that share the sockets; more than one only with direct descriptors, whose tables it
    /// multiplies.
    pub rings: u32,
    /// What to ask of the kernel first; less is tried where it refuses.
    pub flags: RingFlags,
    /// Operations per system call; a power of two.
    pub sq_entries: u32,
    /// Completions that fit before the kernel has to keep a list; a power of two. They come when the
    /// ring is entered, a bounded number at a time, so a few thousand do for any number of sockets.
    pub cq_entries: u32,
    /// Receives at once, 4 KiB each.
    pub scratch_buffers: u32,
}

impl Default for UringOptions {
    fn default() -> Self {
        Self {
            descriptors: Descriptors::Plain,
            rings: 1,
            flags: RingFlags::All,
            sq_entries: 1_024,
            cq_entries: 4_096,
            scratch_buffers: 256,
        }
    }
}
