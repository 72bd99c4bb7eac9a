//! Whether a login's token is good. Checked in the shard, so that a refused login never reaches logic.
//!
//! A token is a JWT signed with HMAC-SHA256 whose claims are [`Claims`]. The web role issues them; gateway and web share the secret.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user's uuid, as in the login.
    pub sub: String,
    /// The app it is good for; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<u32>,
    /// Good until then, in Unix seconds.
    pub exp: u64,
}

/// Why a token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not signed by us, not a token at all, or another user's or app's.
    #[error("token is not one of ours, or another user's")]
    Bad,
    /// It was good once.
    #[error("token has expired")]
    Expired,
}

/// How tokens are checked; cheap to share between shards.
pub enum TokenCheck {
    /// Development only: every token is good.
    AcceptAny,
    /// See [`TokenCheck::jwt`].
    Jwt(Box<JwtRules>),
}

/// The shared secret and what is accepted.
pub struct JwtRules {
    key: DecodingKey,
    /// HS256 and nothing else. Expiry is left to the shard's clock.
    rules: Validation,
}

impl TokenCheck {
    /// Accepts JWTs signed with HS256 and this secret.
    pub fn jwt(secret: &[u8]) -> Self {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.validate_exp = false;
        rules.validate_aud = false;
        rules.required_spec_claims.clear();
        Self::Jwt(Box::new(JwtRules { key: DecodingKey::from_secret(secret), rules }))
    }

    /// Checks a login's token at the time `unix_s`.
    ///
    /// # Errors
    /// `Bad` when it is not a token of ours for this user and app, else `Expired` when its time is over.
    pub fn check(&self, app: u32, user: &str, token: &str, unix_s: u64) -> Result<(), TokenError> {
        let Self::Jwt(jwt) = self else { return Ok(()) };
        let claims = jsonwebtoken::decode::<Claims>(token, &jwt.key, &jwt.rules)
            .map_err(|_| TokenError::Bad)?
            .claims;
        if claims.sub != user || claims.app.is_some_and(|claimed| claimed != app) {
            return Err(TokenError::Bad);
        }
        if claims.exp <= unix_s {
            return Err(TokenError::Expired);
        }
        Ok(())
    }
}

impl fmt::Debug for TokenCheck {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::AcceptAny => "TokenCheck::AcceptAny",
            Self::Jwt(_) => "TokenCheck::Jwt",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{EncodingKey, Header};

    fn token(algorithm: Algorithm, secret: &[u8], app: Option<u32>) -> String {
        let claims = Claims { sub: "liangjf".into(), app, exp: 1_000 };
        let key = EncodingKey::from_secret(secret);
        jsonwebtoken::encode(&Header::new(algorithm), &claims, &key).unwrap()
    }

    #[test]
    fn a_token_is_good_for_its_user_app_and_time() {
        let check = TokenCheck::jwt(b"secret");
        let good = token(Algorithm::HS256, b"secret", Some(7));
        assert_eq!(check.check(7, "liangjf", &good, 999), Ok(()));
        assert_eq!(check.check(7, "liangjf", &good, 1_000), Err(TokenError::Expired));
        assert_eq!(check.check(8, "liangjf", &good, 999), Err(TokenError::Bad));
        assert_eq!(check.check(7, "other", &good, 999), Err(TokenError::Bad));
        let any_app = token(Algorithm::HS256, b"secret", None);
        assert_eq!(check.check(8, "liangjf", &any_app, 999), Ok(()));
    }

    #[test]
    fn forged_tokens_are_bad() {
        let check = TokenCheck::jwt(b"secret");
        let bad = |token: &str| check.check(7, "liangjf", token, 0) == Err(TokenError::Bad);
        assert!(bad(&token(Algorithm::HS256, b"guess", Some(7))));
        assert!(bad(&token(Algorithm::HS512, b"secret", Some(7))));
        // {"alg":"none"} with our claims and no signature.
        assert!(bad("eyJhbGciOiJub25lIn0.eyJzdWIiOiJsaWFuZ2pmIiwiZXhwIjoxMDAwfQ."));
        assert!(bad(""));
        assert!(bad("a.b.c"));
    }

    #[test]
    fn development_takes_anything() {
        assert_eq!(TokenCheck::AcceptAny.check(7, "liangjf", "", u64::MAX), Ok(()));
    }
}
