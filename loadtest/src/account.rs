//! Who the clients of a run are: names by index, tokens, what they are subscribed to.

use anyhow::{Context, Result};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use std::fmt;
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// What all clients have in common.
#[derive(Debug, Clone)]
pub struct Account {
    /// Number of the app.
    pub app_id: u32,
    /// Its tag.
    pub tag: String,
    /// Users are named this and their index.
    pub user_prefix: String,
    /// How a client proves who it is.
    pub token: Token,
    /// Topics that the clients are dealt out to, one each; 0: none.
    pub topics: u32,
}

impl Account {
    /// Appends the name of a client: 16 bytes with the default prefix.
    pub fn push_user(&self, index: u32, out: &mut String) {
        write!(out, "{}{index:08}", self.user_prefix).expect("a string takes all");
    }

    /// Which topic a client is in; none without topics.
    pub fn topic_of(&self, index: u32) -> Option<u32> {
        (self.topics > 0).then(|| index % self.topics)
    }

    /// Appends the name of a topic.
    pub fn push_topic(&self, topic: u32, out: &mut String) {
        write!(out, "{}-topic-{topic}", self.user_prefix).expect("a string takes all");
    }

    /// How many clients of `count`, from index 0, are in a topic.
    pub fn members(&self, topic: u32, count: u32) -> u32 {
        if topic >= self.topics { 0 } else { (count + self.topics - 1 - topic) / self.topics }
    }
}

/// What a client presents.
#[derive(Clone)]
pub enum Token {
    /// Development mode takes any.
    Any,
    /// Made for each user, with the secret that the server checks it with.
    Signed(EncodingKey),
}

/// Longer than any run.
const LIFETIME_S: u64 = 24 * 3600;

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    app: u32,
    iat: u64,
    exp: u64,
}

impl Token {
    /// Tokens signed with this secret (HMAC-SHA256).
    pub fn signed(secret: &[u8]) -> Self {
        Self::Signed(EncodingKey::from_secret(secret))
    }

    /// The token of a user.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn issue(&self, user: &str, app_id: u32) -> Result<String> {
        let Self::Signed(key) = self else { return Ok("any".to_owned()) };
        let iat = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let claims = Claims { sub: user, app: app_id, iat, exp: iat + LIFETIME_S };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, key)
            .context("a token cannot be signed")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "Any",
            Self::Signed(_) => "Signed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_is_in_one_topic() {
        let account = Account {
            app_id: 1,
            tag: "t".to_owned(),
            user_prefix: "u".to_owned(),
            token: Token::Any,
            topics: 7,
        };
        for count in [0, 1, 6, 7, 8, 100] {
            for topic in 0..9 {
                let counted = (0..count).filter(|i| account.topic_of(*i) == Some(topic)).count();
                assert_eq!(account.members(topic, count), u32::try_from(counted).unwrap());
            }
        }
    }
}
