//! What proves who is who: tokens, API key, link secret. A deployment of its own has secrets of its own.

use crate::random::Random;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

/// Longer than any run.
const TOKEN_LIFETIME_S: u64 = 7 * 24 * 3600;

/// Of one deployment.
#[derive(Debug, Clone)]
pub struct Secrets {
    token: String,
    link: String,
    /// For HTTP callers.
    pub api_key: String,
}

impl Secrets {
    /// Different ones for every seed; nothing secret is done with them.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut make = |name: &str| format!("{name}-{:016x}{:016x}", random.bits(), random.bits());
        Self { token: make("token"), link: make("link"), api_key: make("key") }
    }

    /// What tokens are signed with.
    pub fn token_secret(&self) -> &str {
        &self.token
    }

    /// A token for a user of any app.
    pub fn token(&self, user: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let claims = json!({"sub": user, "exp": now.as_secs() + TOKEN_LIFETIME_S});
        let key = EncodingKey::from_secret(self.token.as_bytes());
        jsonwebtoken::encode(&Header::default(), &claims, &key).expect("HS256 signs anything")
    }

    pub(super) fn of_control(&self) -> Vec<(String, String)> {
        let keys = [
            ("AUTH__TOKEN_SECRET", self.token.clone()),
            ("AUTH__LINK_SECRET", self.link.clone()),
            ("AUTH__API_KEYS", format!("[\"{}\"]", self.api_key)),
        ];
        keys.map(|(key, value)| (format!("GPUSHER_CONTROL__{key}"), value)).to_vec()
    }

    pub(super) fn of_gateway(&self) -> Vec<(String, String)> {
        let keys = [("AUTH__SECRET", self.token.clone()), ("LINK__SECRET", self.link.clone())];
        keys.map(|(key, value)| (format!("GPUSHER_GATEWAY__{key}"), value)).to_vec()
    }
}
