//! Passwords: argon2id, at most so many at a time.
//!
//! One hash takes about 19 MiB and tens of milliseconds of a core, by intent. So the work is done on blocking threads, a fixed
//! number at once, and those that wait are bounded too: a flood of guesses cannot take the memory or every core.

use crate::error::{Code, Error, Result};
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use std::sync::Arc;
use std::sync::LazyLock;
use tokio::sync::Semaphore;

/// Callers that may wait for each one that is served.
const WAITING_PER_PLACE: usize = 16;
/// Longer passwords are refused before any work is done.
const PASSWORD_BYTES_MAX: usize = 1024;

/// What an unknown user's password is compared with, so that the time taken does not tell who exists.
static NOBODY: LazyLock<String> =
    LazyLock::new(|| hash_now("nobody has this password").expect("hashing a constant"));

/// Hashes and checks passwords. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Passwords {
    places: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

impl Passwords {
    /// At most `at_a_time` hashes are computed at once; 16 times as many callers may wait.
    pub fn new(at_a_time: usize) -> Self {
        let at_a_time = at_a_time.max(1);
        Self {
            places: Arc::new(Semaphore::new(at_a_time)),
            admitted: Arc::new(Semaphore::new(at_a_time * (1 + WAITING_PER_PLACE))),
        }
    }

    /// Hashes a password with a fresh salt into a PHC string. `invalid` if it is empty or too long, `overloaded` if too many wait.
    pub async fn hash(&self, password: String) -> Result<String> {
        if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
            let text = format!("a password has 1 to {PASSWORD_BYTES_MAX} bytes");
            return Err(Error::new(Code::Invalid, text));
        }
        self.run(move || hash_now(&password)).await?
    }

    /// Whether the password is the one hashed. With no hash (an unknown user) the same work is done and the answer is no.
    /// `overloaded` if too many wait.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        self.run(move || {
            let known = hash.is_some();
            let hash = hash.as_deref().unwrap_or(&NOBODY);
            let matches = PasswordHash::new(hash).is_ok_and(|hash| {
                Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
            });
            known && matches
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let _admitted = self.admitted.try_acquire().map_err(|_| {
            Error::new(Code::Overloaded, "too many passwords are being checked; try again later")
        })?;
        let place = self.places.clone().acquire_owned().await.expect("it is never closed");
        let done = tokio::task::spawn_blocking(move || {
            // Held by the work, not by the caller: a caller that gives up does not free a core.
            let _place = place;
            work()
        });
        done.await.map_err(|_| Error::new(Code::Internal, "password hashing was cut off"))
    }
}

fn hash_now(password: &str) -> Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    let hash = hash.map_err(|e| Error::new(Code::Internal, format!("cannot hash: {e}")))?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;

    #[tokio::test]
    async fn only_the_password_matches() {
        let passwords = Passwords::new(2);
        let hash = passwords.hash("secret".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash("secret".into()).await.unwrap(), "the salt is fresh");
        assert!(passwords.verify("secret".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("Secret".into(), Some(hash)).await.unwrap());
        assert!(!passwords.verify("secret".into(), Some("not a hash".into())).await.unwrap());
        assert!(!passwords.verify("nobody has this password".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn absurd_passwords_are_refused() {
        let passwords = Passwords::new(1);
        for password in [String::new(), "x".repeat(PASSWORD_BYTES_MAX + 1)] {
            assert_eq!(passwords.hash(password).await.unwrap_err().code, Code::Invalid);
        }
    }

    #[tokio::test]
    async fn a_flood_is_refused_and_passes() {
        let passwords = Passwords::new(1);
        let hash = passwords.hash("secret".into()).await.unwrap();
        let flood = (0..40).map(|_| passwords.verify("guess".into(), Some(hash.clone())));
        let answers = join_all(flood).await;
        let refused = answers.iter().filter(|answer| answer.is_err()).count();
        assert_eq!(refused, 40 - (1 + WAITING_PER_PLACE));
        assert!(passwords.verify("secret".into(), Some(hash)).await.unwrap());
    }
}
