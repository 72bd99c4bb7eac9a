//! What a figure has to be read with: commit, kernel, CPU.

use serde::Serialize;
use std::fs;
use std::process::Command;

/// Where and of what figures were taken.
#[derive(Debug, Clone, Serialize)]
pub struct Environment {
    /// Commit of the tree; with `+` when it had changes.
    pub commit: String,
    /// Kernel release.
    pub kernel: String,
    /// Model name.
    pub cpu: String,
    /// Cores that may be used.
    pub cores: usize,
    /// Whether this build is optimised: figures of one that is not mean nothing.
    pub optimised: bool,
}

impl Environment {
    /// Looks around.
    pub fn read() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or_else(|| "unknown".to_owned(), |(_, name)| name.to_owned());
        Self {
            commit: commit(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            cpu,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            optimised: !cfg!(debug_assertions),
        }
    }
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    match git(&["rev-parse", "--short", "HEAD"]) {
        Some(hash) if git(&["status", "--porcelain"]).is_some_and(|changes| changes.is_empty()) => {
            hash
        }
        Some(hash) => hash + "+",
        None => "unknown".to_owned(),
    }
}
