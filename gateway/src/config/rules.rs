//! What a configuration that is understood may still not say.

use super::{Auth, RuntimeConfig};
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::wire::BODY_BYTES_MAX;
use std::time::Duration;

/// Shorter secrets can be guessed.
const SECRET_BYTES_MIN: usize = 16;

/// A configuration that must not be run: the key, why, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}; {remedy}")]
pub struct Refused {
    /// Key to change.
    pub key: &'static str,
    /// What is wrong.
    pub why: &'static str,
    /// What would be right.
    pub remedy: &'static str,
}

impl RuntimeConfig {
    /// Checks what single values cannot show.
    ///
    /// # Errors
    /// With the first rule that is broken.
    pub fn validate(&self) -> Result<(), Refused> {
        self.validate_auth()?;
        self.validate_link()?;
        self.validate_numbers()
    }

    fn validate_auth(&self) -> Result<(), Refused> {
        let refuse = |key, why, remedy| Err(Refused { key, why, remedy });
        match &self.auth {
            Auth::Any if !self.listen.ip().is_loopback() => refuse(
                "auth.mode",
                "any token would be accepted from beyond loopback",
                "set it to \"jwt\", or listen on 127.0.0.1",
            ),
            Auth::Jwt { secret } if secret.len() < SECRET_BYTES_MIN => refuse(
                "auth.secret",
                "shorter than 16 bytes",
                "set it to the secret that tokens are signed with, or auth.mode to \"any\" for development on loopback",
            ),
            Auth::Any | Auth::Jwt { .. } => Ok(()),
        }
    }

    fn validate_link(&self) -> Result<(), Refused> {
        let refuse = |why, remedy| Err(Refused { key: "link.secret", why, remedy });
        match (&self.link.secret, self.rpc_listen) {
            (Some(secret), _) if secret.len() < SECRET_BYTES_MIN => {
                refuse("shorter than 16 bytes", "choose a longer one, the same in logic")
            }
            (None, Some(address)) if !address.ip().is_loopback() => refuse(
                "anybody who reaches rpc_listen could attach as logic",
                "set it, the same in logic, or listen on 127.0.0.1",
            ),
            _ => Ok(()),
        }
    }

    fn validate_numbers(&self) -> Result<(), Refused> {
        let limits = &self.limits;
        let rules = [
            (self.id < ConnId::GATEWAYS_MAX, "id", "not below 4096", "choose another"),
            (
                self.shards.is_none_or(|shards| shards <= ConnId::SHARDS_MAX as usize),
                "shards",
                "more than 256",
                "run several gateways",
            ),
            (
                limits.frame_bytes <= BODY_BYTES_MAX,
                "limits.frame_bytes",
                "more than the protocol's 4 MiB",
                "lower it",
            ),
            (
                limits.frame_bytes_before_admission <= limits.frame_bytes,
                "limits.frame_bytes_before_admission",
                "more than limits.frame_bytes",
                "lower it",
            ),
            (
                limits.partial_bytes_per_shard >= limits.frame_bytes as usize,
                "limits.partial_bytes_per_shard",
                "not even one frame of limits.frame_bytes fits",
                "raise it",
            ),
            (
                self.deadlines.heartbeat >= Duration::from_secs(1)
                    && self.deadlines.heartbeat < self.deadlines.idle,
                "deadlines.heartbeat_ms",
                "not between a second and deadlines.idle_ms",
                "choose a third of deadlines.idle_ms",
            ),
        ];
        let broken = rules.into_iter().find(|&(holds, ..)| !holds);
        broken.map_or(Ok(()), |(_, key, why, remedy)| Err(Refused { key, why, remedy }))
    }
}
