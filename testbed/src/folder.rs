//! A temporary folder that goes with the process, and the processes in it too.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// Waits for the end of its input, which comes with the end of the process that holds the other end, however that ended; then kills
/// what runs in the folder (process groups named by `*.pid`) and removes it.
const JANITOR: &str = r#"read -r _; for file in "$1"/*.pid; do [ -e "$file" ] && kill -s KILL -- -"$(cat "$file")"; done; rm -rf "$1""#;

/// The folder and who cleans it up.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    janitor: Child,
    line: Option<ChildStdin>,
}

impl Folder {
    /// A new folder whose name tells the server it is for.
    pub(crate) fn new(server: &str) -> Self {
        let prefix = format!("gpusher-{server}-");
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir();
        let path = folder.expect("a temporary folder can be made").keep();
        let mut janitor = Command::new("sh")
            .args(["-c", JANITOR, "janitor"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sh starts");
        let line = janitor.stdin.take();
        Self { path, janitor, line }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A path in the folder, as text for a command line.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    /// Notes a process group that must not outlive the folder.
    pub(crate) fn note_process(&self, name: &str, pid: u32) {
        self.write(&format!("{name}.pid"), &pid.to_string());
    }

    /// Forgets a process group that has ended: its number may be somebody else's soon.
    pub(crate) fn forget_process(&self, name: &str) {
        // Absent if the folder is gone, which is as good.
        let _ = std::fs::remove_file(self.path.join(format!("{name}.pid")));
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path.join(name), text).expect("the temporary folder can be written");
    }

    /// Adds to a file that is there.
    pub(crate) fn append(&self, name: &str, text: &str) {
        let file = std::fs::File::options().append(true).open(self.path.join(name));
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.expect("the temporary folder can be written");
    }

    /// What a server has printed; its end, which tells why it failed.
    pub(crate) fn end_of(&self, name: &str) -> String {
        let text = std::fs::read(self.path.join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(mut line) = self.line.take() {
            let _ = line.write_all(b"\n");
        }
        let _ = self.janitor.wait();
    }
}
