//! Tokens that clients present at login: JWTs signed with HMAC-SHA256.
//!
//! Claims: `sub` the user's uuid, `app` the app id (absent: any app), `iat` and `exp` in Unix seconds. The gateway checks them
//! with the same secret.

use crate::error::{Code, Error, Result};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// How long a token is good for unless the operator decides otherwise.
pub const LIFETIME_DEFAULT: Duration = Duration::from_secs(8 * 3600);

/// Issues tokens.
#[derive(Clone)]
pub struct Tokens {
    key: EncodingKey,
    lifetime: Duration,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<u32>,
    iat: u64,
    exp: u64,
}

impl Tokens {
    /// Signs with this secret.
    pub fn new(secret: &[u8], lifetime: Duration) -> Self {
        Self { key: EncodingKey::from_secret(secret), lifetime }
    }

    /// A token for a user, and one app or all. `iat`: Unix seconds.
    pub fn issue(&self, uuid: &str, app: Option<u32>, iat: u64) -> Result<String> {
        let claims = Claims { sub: uuid, app, iat, exp: iat + self.lifetime.as_secs() };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.key)
            .map_err(|error| Error::new(Code::Internal, format!("token cannot be signed: {error}")))
    }

    /// How long a token is good for.
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{DecodingKey, Validation, decode};
    use serde_json::{Value, json};

    #[test]
    fn a_token_says_who_where_and_until_when() {
        let tokens = Tokens::new(b"0123456789abcdef", LIFETIME_DEFAULT);
        let token = tokens.issue("liangjf", Some(1000), 5000).unwrap();
        let mut rules = Validation::new(Algorithm::HS256);
        rules.validate_exp = false;
        let key = DecodingKey::from_secret(b"0123456789abcdef");
        let claims = decode::<Value>(&token, &key, &rules).unwrap().claims;
        assert_eq!(
            claims,
            json!({"sub": "liangjf", "app": 1000, "iat": 5000, "exp": 5000 + 28_800})
        );
        let other = DecodingKey::from_secret(b"0123456789abcdeF");
        assert!(decode::<Value>(&token, &other, &rules).is_err());
        assert!(!format!("{tokens:?}").contains("0123"));
    }
}
