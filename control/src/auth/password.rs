//! Passwords, hashed with argon2id: about 19 MiB and tens of milliseconds each, by intent. Callers bound how many run at once.

use crate::error::{Code, Error, Result};
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};

/// Hashes a password with a fresh salt into a PHC string.
pub fn hash(password: &str) -> Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    let hash = hash.map_err(|e| Error::new(Code::Internal, format!("cannot hash: {e}")))?;
    Ok(hash.to_string())
}

/// Whether the password is the one that was hashed. What is not a hash matches nothing.
pub fn verify(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_matches() {
        let known = hash("secret").unwrap();
        assert!(known.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{known}");
        assert_ne!(known, hash("secret").unwrap(), "the salt is fresh");
        assert!(verify("secret", &known));
        assert!(!verify("Secret", &known));
        assert!(!verify("secret", "not a hash"));
    }
}
