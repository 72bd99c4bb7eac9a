//! What the system says about processes and itself: CPU time and memory, read from `/proc`.

use anyhow::{Context, Result};
use serde::Serialize;
use std::fs;

/// A reading of a process; differences of two are what a phase cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// CPU time of all threads, user and system, in nanoseconds.
    pub cpu_ns: u64,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// The most that it has been.
    pub resident_bytes_max: u64,
    /// Of it anonymous: heap and stacks, not file pages.
    pub anonymous_bytes: u64,
}

/// A reading of the kernel's memory, of the whole machine.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Kernel {
    /// Slab: sockets, files, polls.
    pub slab_bytes: u64,
    /// Pages that TCP has charged for what is queued on sockets.
    pub tcp_bytes: u64,
}

/// Reads the usage of a process now.
///
/// # Errors
/// When the process has ended, or `/proc` is not mounted.
pub fn usage(pid: u32) -> Result<Usage> {
    let status = read(&format!("/proc/{pid}/status"))?;
    Ok(Usage {
        cpu_ns: threads(pid)?.into_iter().map(|(_, cpu_ns)| cpu_ns).sum(),
        resident_bytes: kilobytes(&status, "VmRSS:")? * 1024,
        resident_bytes_max: kilobytes(&status, "VmHWM:")? * 1024,
        anonymous_bytes: kilobytes(&status, "RssAnon:")? * 1024,
    })
}

/// Reads the kernel's memory now.
///
/// # Errors
/// When `/proc` is not mounted.
pub fn kernel() -> Result<Kernel> {
    let sockets = read("/proc/net/sockstat")?;
    let tcp = sockets.lines().find(|line| line.starts_with("TCP:"));
    let pages = tcp.and_then(|line| line.split(" mem ").nth(1)?.trim().parse::<u64>().ok());
    Ok(Kernel {
        slab_bytes: kilobytes(&read("/proc/meminfo")?, "Slab:")? * 1024,
        tcp_bytes: pages.context("sockstat has no TCP memory")? * gpusher_sys::limits::page_bytes(),
    })
}

/// CPU time of each thread, in nanoseconds, by its id. `schedstat` counts nanoseconds, where `stat` counts hundredths of a second;
/// threads that ended are missed, and the long-lived ones are what counts.
///
/// # Errors
/// When the process has ended.
pub fn threads(pid: u32) -> Result<Vec<(u32, u64)>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .with_context(|| format!("process {pid} is not there"))?;
    let mut all = Vec::new();
    for task in tasks {
        // A thread may end between being listed and being read.
        let path = task?.path();
        let Ok(text) = fs::read_to_string(path.join("schedstat")) else { continue };
        let id = path.file_name().and_then(|name| name.to_str()?.parse().ok());
        let first = text.split(' ').next().unwrap_or_default();
        let cpu_ns = first.parse().context("schedstat has no run time")?;
        all.push((id.context("a thread has no number")?, cpu_ns));
    }
    Ok(all)
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

fn kilobytes(text: &str, key: &str) -> Result<u64> {
    let line = text.lines().find(|line| line.starts_with(key));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|number| number.parse().ok()).with_context(|| format!("there is no {key}"))
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
        assert!(after.resident_bytes >= after.anonymous_bytes);
    }

    #[test]
    fn reads_the_kernel() {
        assert!(kernel().unwrap().slab_bytes > 0);
    }

    #[test]
    fn ended_process_is_an_error() {
        assert!(usage(u32::MAX - 1).is_err());
    }
}
