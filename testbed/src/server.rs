//! A process that can be killed and started again.

use crate::folder::Folder;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longer than any of them takes to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(20);

/// A server's process in its folder: always the same command, as often as it is started.
pub(crate) struct Server {
    name: &'static str,
    command: Mutex<Command>,
    ready: Box<dyn Fn() -> bool + Send + Sync>,
    child: Mutex<Option<Child>>,
}

impl Server {
    /// Starts `command` and waits until `ready`; its output goes to `NAME.log`.
    ///
    /// # Panics
    /// If it ends, or is not ready in time: with the end of its output.
    pub(crate) fn start(
        name: &'static str,
        folder: &Folder,
        mut command: Command,
        ready: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        command.stdin(Stdio::null()).process_group(0);
        let server = Self {
            name,
            command: Mutex::new(command),
            ready: Box::new(ready),
            child: Mutex::new(None),
        };
        server.start_again(folder);
        server
    }

    /// Starts it after [`Server::kill`], and waits until it is ready.
    pub(crate) fn start_again(&self, folder: &Folder) {
        let mut child = lock(&self.child);
        assert!(child.is_none(), "{} runs already", self.name);
        let log = File::options().create(true).append(true).open(folder.file(&self.log()));
        let log = log.expect("the temporary folder can be written");
        let twin = log.try_clone().expect("a descriptor is left");
        let mut command = lock(&self.command);
        let started = command.stdout(log).stderr(twin).spawn();
        let started = started.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        folder.note_process(self.name, started.id());
        let started = child.insert(started);
        let deadline = Instant::now() + PATIENCE;
        while !(self.ready)() {
            let ended = started.try_wait().expect("it is our child");
            let why = ended.map(|status| format!("ended with {status}"));
            let why = why.or((Instant::now() > deadline).then(|| "is not ready in time".into()));
            if let Some(why) = why {
                panic!("{} {why}:\n{}", self.name, folder.end_of(&self.log()));
            }
            sleep(PAUSE);
        }
    }

    /// Kills it (SIGKILL), and what it has started.
    pub(crate) fn kill(&self, folder: &Folder) {
        let Some(mut child) = lock(&self.child).take() else { return };
        signal("STOP", child.id());
        let children = children(child.id());
        signal("KILL", child.id());
        child.wait().expect("it is our child");
        // Until the last of them has ended, PostgreSQL's memory is taken.
        let deadline = Instant::now() + PATIENCE;
        while children.iter().any(|pid| is_running(*pid)) {
            assert!(Instant::now() < deadline, "{}: {children:?} do not end", self.name);
            sleep(PAUSE);
        }
        folder.forget_process(self.name);
    }

    /// Makes it stand still (SIGSTOP), or go on (SIGCONT).
    pub(crate) fn pause(&self, still: bool) {
        if let Some(child) = &*lock(&self.child) {
            signal(if still { "STOP" } else { "CONT" }, child.id());
        }
    }

    /// The number of its process, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        lock(&self.child).as_ref().map(Child::id)
    }

    fn log(&self) -> String {
        format!("{}.log", self.name)
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.name, self.pid())
    }
}

/// To the process group and to the process's children, which may have left it (PostgreSQL's do); nobody may be left in it. While their
/// parent stands still, there are no more of them.
const SIGNAL: &str = r#"kill -s STOP -- "-$2"; children=$(cat "/proc/$2/task/$2/children"); kill -s "$1" -- "-$2" $children"#;

fn signal(signal: &str, pid: u32) {
    let mut kill = Command::new("sh");
    kill.args(["-c", SIGNAL, "signal", signal, &pid.to_string()]);
    kill.stderr(Stdio::null()).status().expect("sh starts");
}

fn children(pid: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    list.unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// A process that has ended may wait for somebody to ask for its end.
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = lock(&self.child).take() {
            signal("KILL", child.id());
            child.wait().expect("it is our child");
        }
    }
}

/// A test that panicked with the lock leaves nothing half done that matters.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The part that all servers of one process have: `kill`, `start_again`, `pause`, `resume`, `pid`. Expects the fields `server` and `folder`.
macro_rules! one_process {
    ($name:ident) => {
        impl $name {
            /// Kills it (SIGKILL), and what it has started; its folder stays.
            pub fn kill(&self) {
                self.server.kill(&self.folder);
            }

            /// Starts it after [`Self::kill`] with the same port and folder, and waits until it answers.
            pub fn start_again(&self) {
                self.server.start_again(&self.folder);
            }

            /// Makes it stand still (SIGSTOP): it takes connections and answers nothing.
            pub fn pause(&self) {
                self.server.pause(true);
            }

            /// Ends [`Self::pause`].
            pub fn resume(&self) {
                self.server.pause(false);
            }

            /// The number of its process, while it runs.
            pub fn pid(&self) -> Option<u32> {
                self.server.pid()
            }
        }
    };
}
pub(crate) use one_process;
