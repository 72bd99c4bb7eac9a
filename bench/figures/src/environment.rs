//! What a figure has to be read with: commit, kernel, CPU, date.

use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};
use std::fs;
use std::process::Command;

/// Where and of what figures were taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// When, in UTC.
    pub date: String,
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
            .map_or_else(unknown, |(_, name)| name.to_owned());
        Self {
            date: answer("date", &["-u", "+%FT%TZ"]).unwrap_or_else(unknown),
            commit: commit(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            cpu,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            optimised: !cfg!(debug_assertions),
        }
    }
}

fn commit() -> String {
    let Some(hash) = answer("git", &["rev-parse", "--short", "HEAD"]) else { return unknown() };
    let changes = answer("git", &["status", "--porcelain"]);
    if changes.is_some_and(|changes| changes.is_empty()) { hash } else { hash + "+" }
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// What a program prints, if it is there and content.
fn answer(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Display for Environment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { date, commit, kernel, cpu, cores, optimised } = self;
        write!(f, "{date}, commit {commit}, Linux {kernel}, {cores} cores of {cpu}")?;
        if !optimised {
            f.write_str("; not optimised: the figures mean nothing")?;
        }
        Ok(())
    }
}
