//! Secrets of the operator: given in the configuration, in a file, or made once and kept in the data directory.

use crate::error::{Code, Error, Result};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Shorter secrets and keys can be guessed.
pub const SECRET_BYTES_MIN: usize = 16;

/// A secret that does not show itself in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret. `invalid` if it is too short; `name` is what the operator calls it.
    pub fn new(name: &str, secret: impl Into<String>) -> Result<Self> {
        let secret = secret.into();
        if secret.len() < SECRET_BYTES_MIN {
            let text = format!(
                "{name} has {} bytes; at least {SECRET_BYTES_MIN} are needed",
                secret.len()
            );
            return Err(Error::new(Code::Invalid, text));
        }
        Ok(Self(secret))
    }

    /// 32 random bytes, as text.
    pub fn random() -> Self {
        let bytes: [u8; 32] = rand::random();
        Self(BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a secret from a file; white space around it is left out.
    pub fn read(name: &str, path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| cannot("read", name, path, &error))?;
        Self::new(name, text.trim())
    }

    /// Reads a secret from a file, or makes one there that only this user may read.
    pub fn read_or_create(name: &str, path: &Path) -> Result<Self> {
        let secret = Self::random();
        let mut options = OpenOptions::new();
        let created = options.write(true).create_new(true).mode(0o600).open(path);
        match created.and_then(|mut file| {
            writeln!(file, "{}", secret.0)?;
            file.sync_all()
        }) {
            Ok(()) => Ok(secret),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Self::read(name, path),
            Err(error) => Err(cannot("create", name, path, &error)),
        }
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

fn cannot(what: &str, name: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::new(Code::Invalid, format!("cannot {what} {name} at {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token.secret");
        let made = Secret::read_or_create("token secret", &path).unwrap();
        assert_eq!(Secret::read_or_create("token secret", &path).unwrap(), made);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_ne!(Secret::random(), made);
        assert_eq!(format!("{made:?}"), "Secret(…)");
    }

    #[test]
    fn short_and_missing_secrets_are_named() {
        let short = Secret::new("auth.token_secret", "too short").unwrap_err().text;
        assert_eq!(short, "auth.token_secret has 9 bytes; at least 16 are needed");
        let missing = Secret::read("auth.token_secret", Path::new("/nowhere")).unwrap_err().text;
        assert!(missing.starts_with("cannot read auth.token_secret at /nowhere: "), "{missing}");
    }
}
