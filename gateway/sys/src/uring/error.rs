//! Why there is no ring, each with what to do about it.

use crate::limits::{descriptor_limit, io_uring_disabled};
use std::io;

/// See the module. The epoll driver is the way out of all of them.
#[derive(Debug, thiserror::Error)]
pub enum UringError {
    /// By the administrator.
    #[error(
        "io_uring is switched off (kernel.io_uring_disabled = {setting}): set it to 0 with sysctl, or use epoll"
    )]
    SwitchedOff {
        /// Of the sysctl: 1 is for unprivileged processes only.
        setting: u64,
    },
    /// By something that filters system calls.
    #[error(
        "io_uring is blocked, as the default seccomp profiles of Docker and containerd do: allow io_uring_setup, io_uring_enter and io_uring_register in the profile, or use epoll"
    )]
    Blocked,
    /// Something the driver is built on is missing.
    #[error("this kernel's io_uring has no {missing}: run Linux 6.1 or later, or use epoll")]
    KernelTooOld {
        /// What.
        missing: &'static str,
    },
    /// The ring does not fit.
    #[error(
        "no memory for the ring: raise the locked memory limit (LimitMEMLOCK) or the container's memory, or use epoll"
    )]
    OutOfMemory,
    /// The ring's own table.
    #[error(
        "a table of {entries} direct descriptors exceeds the descriptor limit of {limit}: raise LimitNOFILE, or lower the connections per shard"
    )]
    TableTooLarge {
        /// Asked for.
        entries: u32,
        /// RLIMIT_NOFILE, which bounds each ring's table.
        limit: u64,
    },
    /// The kernel does something else than the driver relies on.
    #[error("self-test of io_uring failed: {check}, but {seen}: use epoll, and report the kernel")]
    SelfTest {
        /// What must hold.
        check: &'static str,
        /// What happened.
        seen: String,
    },
    /// Anything else.
    #[error("io_uring: {doing} failed")]
    Other {
        /// What was tried.
        doing: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl UringError {
    /// From what `io_uring_setup` said.
    pub(super) fn from_setup(source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => match io_uring_disabled() {
                Ok(setting) if setting != 0 => Self::SwitchedOff { setting },
                _ => Self::Blocked,
            },
            // Older than 5.1, or hidden by a filter; nearly always the latter.
            Some(libc::ENOSYS) => Self::Blocked,
            Some(libc::ENOMEM) => Self::OutOfMemory,
            Some(libc::EINVAL) => Self::KernelTooOld { missing: "cooperative task running" },
            _ => Self::Other { doing: "setting up a ring", source },
        }
    }

    /// From what registering a table of direct descriptors said.
    pub(super) fn from_table(entries: u32, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EMFILE | libc::EINVAL) => {
                let limit = descriptor_limit().map_or(0, |limit| limit.soft);
                Self::TableTooLarge { entries, limit }
            }
            Some(libc::ENOMEM) => Self::OutOfMemory,
            _ => Self::Other { doing: "registering direct descriptors", source },
        }
    }
}
