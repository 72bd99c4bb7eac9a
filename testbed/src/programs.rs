//! Where the servers' programs are.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What a test says that needs a server which is not there.
pub(crate) fn missing(what: &str) -> ! {
    panic!("{what} is missing: `make servers` installs what the tests need")
}

/// A program of the path, or of where the system's servers are.
pub(crate) fn find(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let mut found = folders.map(|folder| folder.join(name)).filter(|file| file.is_file());
    found.next().unwrap_or_else(|| missing(name))
}

/// A program of the newest PostgreSQL installed; Debian keeps them out of the path.
pub(crate) fn find_postgres(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())))
        .map(|(version, folder)| (version, folder.join("bin").join(name)))
        .filter(|(_, file)| file.is_file())
        .max();
    newest.map(|(_, file)| file).unwrap_or_else(|| find(name))
}

/// Kafka's jars: `GPUSHER_KAFKA_JARS`, else where `make servers` puts them.
pub(crate) fn kafka_jars() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/kafka");
    let folder = std::env::var_os("GPUSHER_KAFKA_JARS").map_or(here, PathBuf::from);
    if folder.join("complete").is_file() { folder } else { missing("Kafka (its jars)") }
}

/// Runs a program to its end.
///
/// # Panics
/// If it fails, with what it printed.
pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
}
