//! What the host allows this process, for the budget that is printed at start.

use crate::syscall::check;
use std::io;
use std::str::FromStr;

/// How many descriptors the process may have open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DescriptorLimit {
    /// In force.
    pub soft: u64,
    /// How far the process may raise it by itself.
    pub hard: u64,
}

/// Reads RLIMIT_NOFILE.
///
/// # Errors
/// As the kernel says.
pub fn descriptor_limit() -> io::Result<DescriptorLimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is live and of the type that the call fills in.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    Ok(DescriptorLimit { soft: limit.rlim_cur, hard: limit.rlim_max })
}

/// Sets RLIMIT_NOFILE's soft limit; the hard one stays.
///
/// # Errors
/// When `soft` exceeds the hard limit.
pub fn set_descriptor_limit(soft: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: descriptor_limit()?.hard };
    // SAFETY: `limit` is live; the kernel only reads it.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }).map(drop)
}

/// Raises the soft limit to the hard one, and returns what is in force afterwards.
///
/// # Errors
/// As the kernel says.
pub fn raise_descriptor_limit() -> io::Result<DescriptorLimit> {
    let limit = descriptor_limit()?;
    if limit.soft < limit.hard {
        set_descriptor_limit(limit.hard)?;
    }
    descriptor_limit()
}

/// Bytes in a page.
#[must_use]
pub fn page_bytes() -> u64 {
    // SAFETY: takes no pointers.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).expect("every Linux has a page size")
}

/// Bytes of this process that are in memory now. The kernel's part (sockets) is not among them.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn resident_bytes() -> io::Result<u64> {
    let [_, resident_pages] = numbers("/proc/self/statm")?;
    Ok(resident_pages * page_bytes())
}

/// `fs.nr_open`: the most RLIMIT_NOFILE can be set to.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn descriptor_limit_ceiling() -> io::Result<u64> {
    numbers("/proc/sys/fs/nr_open").map(|[value]| value)
}

/// `net.core.somaxconn`: the most a listener's backlog can be.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn backlog_max() -> io::Result<u64> {
    numbers("/proc/sys/net/core/somaxconn").map(|[value]| value)
}

/// `net.ipv4.tcp_max_syn_backlog`: handshakes of one listener under way.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn syn_backlog_max() -> io::Result<u64> {
    numbers("/proc/sys/net/ipv4/tcp_max_syn_backlog").map(|[value]| value)
}

/// `net.netfilter.nf_conntrack_max`: connections that are tracked; beyond it, new ones are dropped.
///
/// # Errors
/// When it is not there: nothing is tracked.
pub fn conntrack_max() -> io::Result<u64> {
    numbers("/proc/sys/net/netfilter/nf_conntrack_max").map(|[value]| value)
}

/// `net.ipv4.tcp_mem`, in pages: below the first, all is well; at the last, TCP drops. Each socket
/// with anything queued holds at least one page.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn tcp_memory_pages() -> io::Result<[u64; 3]> {
    numbers("/proc/sys/net/ipv4/tcp_mem")
}

/// `kernel.io_uring_disabled`: 0 allowed, 1 for the privileged only, 2 for nobody. Kernels before
/// 6.6 have no such switch.
///
/// # Errors
/// When it is not there.
pub fn io_uring_disabled() -> io::Result<u64> {
    numbers("/proc/sys/kernel/io_uring_disabled").map(|[value]| value)
}

/// The first N numbers in a file.
fn numbers<const N: usize>(path: &str) -> io::Result<[u64; N]> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, format!("{path} is malformed"));
    let text = std::fs::read_to_string(path)?;
    let found: Vec<u64> =
        text.split_ascii_whitespace().take(N).map_while(|word| u64::from_str(word).ok()).collect();
    found.try_into().map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raising_reaches_the_hard_limit() {
        let raised = raise_descriptor_limit().unwrap();
        assert_eq!(raised.soft, raised.hard);
        assert!(
            set_descriptor_limit(raised.hard.saturating_add(1)).is_err() || raised.hard == u64::MAX
        );
    }

    #[test]
    fn memory_shows_as_it_is_touched() {
        let before = resident_bytes().unwrap();
        let touched = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(resident_bytes().unwrap() >= before + (32 << 20));
        drop(touched);
    }

    #[test]
    fn the_host_can_be_asked() {
        assert!(page_bytes().is_power_of_two());
        assert!(backlog_max().unwrap() > 0);
        assert!(descriptor_limit_ceiling().unwrap() > 0);
        let [low, pressure, high] = tcp_memory_pages().unwrap();
        assert!(low <= pressure && pressure <= high);
    }

    #[test]
    fn a_file_that_is_not_numbers_is_an_error() {
        assert!(numbers::<1>("/proc/version").is_err());
    }
}
