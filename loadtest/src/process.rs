//! What the system says about a process: CPU time and memory, read from `/proc`.

use anyhow::{Context, Result};
use std::fs;

/// A reading; differences of two are what a phase cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// CPU time of all threads, user and system, in nanoseconds.
    pub cpu_ns: u64,
    /// Resident anonymous memory in bytes: heap and stacks, not file pages.
    pub anonymous_bytes: u64,
    /// Slab memory of the whole machine in bytes: sockets, files, polls.
    pub slab_bytes: u64,
}

/// Reads the usage of a process now.
///
/// # Errors
/// When the process has ended, or `/proc` is not mounted.
pub fn usage(pid: u32) -> Result<Usage> {
    Ok(Usage {
        cpu_ns: cpu_ns(pid)?,
        anonymous_bytes: kilobytes(&format!("/proc/{pid}/status"), "RssAnon:")? * 1024,
        slab_bytes: kilobytes("/proc/meminfo", "Slab:")? * 1024,
    })
}

/// `schedstat` counts nanoseconds, where `stat` counts hundredths of a second; threads that ended are missed, and ours do not.
fn cpu_ns(pid: u32) -> Result<u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .with_context(|| format!("process {pid} is not there"))?;
    let mut total_ns = 0;
    for task in tasks {
        // A thread may end between being listed and being read.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let first = text.split(' ').next().unwrap_or_default();
        total_ns += first.parse::<u64>().context("schedstat has no run time")?;
    }
    Ok(total_ns)
}

fn kilobytes(path: &str, key: &str) -> Result<u64> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find(|line| line.starts_with(key));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|number| number.parse().ok()).with_context(|| format!("{path} has no {key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_itself() {
        let before = usage(std::process::id()).unwrap();
        let block = std::hint::black_box(vec![1u8; 32 << 20]);
        let after = usage(std::process::id()).unwrap();
        assert!(after.cpu_ns > before.cpu_ns);
        assert!(after.anonymous_bytes >= before.anonymous_bytes + (block.len() as u64) / 2);
    }

    #[test]
    fn ended_process_is_an_error() {
        assert!(usage(u32::MAX - 1).is_err());
    }
}
