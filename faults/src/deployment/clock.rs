//! Wall clocks that can be made to jump, one a process: the kernel has one for all, so a preloaded library moves what a process is told.

use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SOURCE: &str = include_str!("clock.c");
const LIBRARY: &str = "clock.so";
const VARIABLE: &str = "GPUSHER_FAULTS_CLOCK";

/// Makes clocks.
#[derive(Debug)]
pub(super) struct Clockmaker {
    folder: PathBuf,
}

/// The wall clock of one process; right until it is told to jump.
#[derive(Debug)]
pub(super) struct Clock {
    library: PathBuf,
    path: PathBuf,
    file: File,
}

impl Clockmaker {
    /// Compiles the library into a folder.
    ///
    /// # Errors
    /// If there is no C compiler, or it fails.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let folder = folder.canonicalize()?;
        let source = folder.join("clock.c");
        fs::write(&source, SOURCE)?;
        let mut command = Command::new("cc");
        command.args(["-O2", "-shared", "-fPIC", "-o"]).arg(folder.join(LIBRARY)).arg(&source);
        let output = match command.stdin(Stdio::null()).output() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                bail!("clocks that jump need a C compiler: install gcc, or put `cc` in the PATH")
            }
            output => output.context("cannot run cc")?,
        };
        if !output.status.success() {
            bail!("cc: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(Self { folder })
    }

    /// A clock for the process of a name.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub(super) fn make(&self, name: &str) -> Result<Clock> {
        let path = self.folder.join(format!("{name}.clock"));
        let file = File::options().create(true).truncate(true).write(true).open(&path)?;
        let clock = Clock { library: self.folder.join(LIBRARY), path, file };
        clock.set(0)?;
        Ok(clock)
    }
}

impl Clock {
    /// What a process has to be started with to go by it.
    pub(super) fn environment(&self) -> [(String, String); 2] {
        let pair = |key: &str, path: &Path| (key.to_owned(), path.display().to_string());
        [pair("LD_PRELOAD", &self.library), pair(VARIABLE, &self.path)]
    }

    /// From now on it is ahead of the machine's by so many milliseconds, or behind.
    ///
    /// # Errors
    /// If its file cannot be written.
    pub(super) fn set(&self, ahead_ms: i64) -> Result<()> {
        let ahead_ns = ahead_ms.saturating_mul(1_000_000);
        Ok(self.file.write_all_at(&ahead_ns.to_ne_bytes(), 0)?)
    }

    /// Whether a process goes by it: one that is linked statically does not.
    pub(super) fn is_of(&self, pid: u32) -> bool {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        maps.contains(&*self.path.to_string_lossy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    const ASKED: &str = "GPUSHER_FAULTS_TELLS_THE_TIME";

    /// In a process of its own: this program again.
    fn time_by(clock: &Clock) -> Duration {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "deployment::clock::tests::tells_the_time", "--nocapture"])
            .envs(clock.environment())
            .env(ASKED, "1")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let told = text.lines().find_map(|line| line.trim().strip_prefix("unix ms "));
        Duration::from_millis(told.expect(&text).parse().unwrap())
    }

    fn now() -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn tells_the_time() {
        if std::env::var_os(ASKED).is_some() {
            println!("\nunix ms {}", now().as_millis());
        }
    }

    #[test]
    fn one_process_is_told_another_time() {
        let folder = tempfile::tempdir().unwrap();
        let maker = Clockmaker::new(folder.path()).unwrap();
        let clock = maker.make("a").unwrap();
        let milli = Duration::from_millis(1);
        for ahead_ms in [0i64, 300_250, -300_250] {
            clock.set(ahead_ms).unwrap();
            let before = now();
            let told = time_by(&clock);
            let after = now();
            let by = |time: Duration| time.as_millis() as i64 + ahead_ms;
            let told = told.as_millis() as i64;
            assert!(by(before - milli) <= told && told <= by(after), "{ahead_ms} ms ahead");
        }
        assert!(!clock.is_of(std::process::id()));
    }
}
