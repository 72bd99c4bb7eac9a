//! One process of the product: started, killed, paused, limited, started again.

use anyhow::{Context, Result};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// How much of a log is shown with an error.
const TAIL_BYTES: usize = 600;

/// How a process is started, every time in the same way.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Environment variables beside those that we have.
    pub environment: Vec<(String, String)>,
}

/// A process and how it is started.
#[derive(Debug)]
pub struct Process {
    recipe: Recipe,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// Nothing runs yet; what it says on standard error goes to the file.
    pub fn new(recipe: Recipe, log: PathBuf) -> Self {
        Self { recipe, log, child: None }
    }

    /// Starts it.
    ///
    /// # Errors
    /// If the executable or the log cannot be opened.
    pub fn start(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("cannot write {}", self.log.display()))?;
        let Recipe { program, arguments, environment } = &self.recipe;
        let mut command = Command::new(program);
        command.args(arguments).envs(environment.iter().cloned());
        if std::env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "warn");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn();
        self.child = Some(child.with_context(|| format!("cannot start {}", program.display()))?);
        Ok(())
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Both fail only for a process that has ended, which is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGSTOP.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Sets the soft limit of a resource and returns the one before; none: it does not run.
    pub fn limit(&self, resource: Resource, soft: u64) -> Option<u64> {
        let pid = self.pid()?;
        let before = prlimit(Some(pid), resource, Rlimit { current: Some(soft), maximum: None });
        let before = before.ok()?;
        Some(before.current.unwrap_or(u64::MAX))
    }

    /// What it has in memory of its own that can be written, as `RLIMIT_DATA` counts it; none: it does not run.
    pub fn data_bytes(&self) -> Option<u64> {
        let path = format!("/proc/{}/status", self.pid()?.as_raw_nonzero());
        let text = fs::read_to_string(path).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmData:"))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes << 10)
    }

    /// How it ended, if it has ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        Some(status)
    }

    /// Its number while it runs.
    pub fn pid(&self) -> Option<Pid> {
        self.child.as_ref().map(Pid::from_child)
    }

    /// The end of what it said.
    pub fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let from = text.len().saturating_sub(TAIL_BYTES);
        String::from_utf8_lossy(&text[from..]).trim().to_owned()
    }

    /// What it says goes there.
    pub fn log(&self) -> &Path {
        &self.log
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            // It may have ended meanwhile; whoever tends the processes finds out.
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
