//! The data directory: one process at a time.

use crate::auth::Secret;
use crate::error::{Code, Error, Result};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

const LOCK: &str = "lock";
const TOKEN_SECRET: &str = "token.secret";

/// The directory, held by this process until it is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Takes the directory, making it if need be.
    ///
    /// # Errors
    /// `unavailable` if it cannot be used, or another process has it.
    pub fn open(path: &Path) -> Result<Self> {
        let cannot = |error: &dyn std::fmt::Display| {
            let shown = path.display();
            let text = format!(
                "cannot use the data directory {shown}: {error}; choose another with data_dir or --data"
            );
            Error::new(Code::Unavailable, text)
        };
        fs::create_dir_all(path).map_err(|error| cannot(&error))?;
        let path = path.canonicalize().map_err(|error| cannot(&error))?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join(LOCK))
            .map_err(|error| cannot(&error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(&path)),
            Err(TryLockError::Error(error)) => return Err(cannot(&error)),
        }
        lock.set_len(0).map_err(|error| cannot(&error))?;
        writeln!(lock, "{}", std::process::id()).map_err(|error| cannot(&error))?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is, from the root.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The secret that tokens are signed with, made at the first start.
    pub fn token_secret(&self) -> Result<Secret> {
        Secret::read_or_create("the token secret", &self.path.join(TOKEN_SECRET))
    }
}

/// Who has it wrote its number into the lock.
fn in_use(path: &Path) -> Error {
    let holder = fs::read_to_string(path.join(LOCK)).unwrap_or_default();
    let holder = holder.trim();
    let process = if holder.is_empty() { String::new() } else { format!(" {holder}") };
    let shown = path.display();
    let text = format!(
        "the data directory {shown} is in use by process{process}; stop it, or choose another with data_dir or --data"
    );
    Error::new(Code::Unavailable, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/data");
        let held = DataDir::open(&path).unwrap();
        let refused = DataDir::open(&path).unwrap_err();
        assert_eq!(refused.code, Code::Unavailable);
        let holder = format!("is in use by process {};", std::process::id());
        assert!(refused.text.contains(&holder), "{}", refused.text);
        let secret = held.token_secret().unwrap();
        drop(held);
        let again = DataDir::open(&path).unwrap();
        assert_eq!(again.token_secret().unwrap(), secret);
    }

    #[test]
    fn what_is_no_directory_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = DataDir::open(file.path()).unwrap_err().text;
        assert!(refused.starts_with("cannot use the data directory /"), "{refused}");
        assert!(refused.ends_with("; choose another with data_dir or --data"), "{refused}");
    }
}
