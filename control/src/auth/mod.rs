//! Who may do what: passwords of users, tokens of clients, secrets of the operator.
//!
//! API keys are compared by web's gate; tokens are checked by the gateway's shards.

pub mod password;
mod secret;
mod token;

pub use self::secret::{SECRET_BYTES_MIN, Secret};
pub use self::token::{LIFETIME_DEFAULT, Tokens};

use crate::error::Result;
use std::time::{SystemTime, UNIX_EPOCH};

/// What web needs: tokens signed with the process's secret, and passwords.
impl crate::web::Credentials for Tokens {
    fn sign(&self, uuid: &str) -> Result<String> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.issue(uuid, None, since.as_secs())
    }

    fn hash(&self, password: &str) -> Result<String> {
        password::hash(password)
    }

    fn verify(&self, password: &str, hash: &str) -> bool {
        password::verify(password, hash)
    }
}
