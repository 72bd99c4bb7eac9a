//! Memory that this process may still take.

use std::fs;

/// What is available on the host, or left to the container, whichever is less; without limit where neither can be read.
pub(crate) fn memory_available() -> u64 {
    let host = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    let container = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|limit| {
        let used = fs::read_to_string("/sys/fs/cgroup/memory.current").ok()?;
        left(&limit, &used)
    });
    host.unwrap_or(u64::MAX).min(container.unwrap_or(u64::MAX))
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// `memory.max` is "max" where there is no limit.
fn left(limit: &str, used: &str) -> Option<u64> {
    let limit: u64 = limit.trim().parse().ok()?;
    Some(limit.saturating_sub(used.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_kernel_are_read() {
        let text = "MemTotal:  9 kB\nMemAvailable:    1024 kB\n";
        assert_eq!(available(text), Some(1 << 20));
        assert_eq!(available("nothing"), None);
        assert_eq!(left("1000\n", "400\n"), Some(600));
        assert_eq!(left("400\n", "1000\n"), Some(0));
        assert_eq!(left("max\n", "400\n"), None);
        assert!(memory_available() > 0);
    }
}
