//! `Idempotency-Key`: the same request sent twice is done once.
//!
//! Scope: one web process, for the configured time, within the configured memory. To another web process, or to this one
//! after a restart, a repeat is another message. A repeat that comes while the first is under way waits for it.

use super::envelope::{ApiError, number};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use prometheus_client::metrics::counter::Counter;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

const KEY_BYTES_MAX: usize = 255;
/// Answer of one push, with its share of the table.
const ENTRY_BYTES: usize = 256;

/// A request under a key: the ids its messages have whoever publishes them first, and the answer once there is one.
pub(super) struct Remembered {
    body_hash: u64,
    /// One per push of the request.
    pub(super) ids: Vec<u64>,
    /// The answer; only success is remembered, so that a repeat of a failure tries again under the same ids.
    pub(super) answer: OnceCell<Bytes>,
}

/// Keys of this process.
pub(super) struct Table {
    entries: Cache<String, Arc<Remembered>>,
    hasher: RandomState,
}

impl Table {
    /// `forgotten` counts those that go before their time, for want of room.
    pub(super) fn new(bytes_max: u64, ttl: Duration, forgotten: Counter) -> Self {
        let entries = Cache::builder()
            .weigher(|key: &String, entry: &Arc<Remembered>| {
                u32::try_from(key.len() + ENTRY_BYTES * (1 + entry.ids.len())).unwrap_or(u32::MAX)
            })
            .max_capacity(bytes_max)
            // Otherwise a full table would turn newcomers away, and it is they who are asked for again.
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    forgotten.inc();
                }
            })
            .time_to_live(ttl)
            .build();
        Self { entries, hasher: RandomState::new() }
    }

    /// The entry of a request that names a key. `scope` keeps routes apart. `new_ids` is called for a key not seen yet.
    pub(super) fn entry(
        &self,
        scope: &str,
        headers: &HeaderMap,
        body: &[u8],
        new_ids: impl FnOnce() -> Vec<u64>,
    ) -> Result<Option<Arc<Remembered>>, ApiError> {
        let Some(key) = key_of(headers)? else { return Ok(None) };
        let body_hash = self.hasher.hash_one(body);
        let entry = self.entries.get_with(format!("{scope} {key}"), || {
            Arc::new(Remembered { body_hash, ids: new_ids(), answer: OnceCell::new() })
        });
        if entry.body_hash != body_hash {
            let text = "this idempotency key came with another body before";
            return Err(ApiError::plain(StatusCode::UNPROCESSABLE_ENTITY, text));
        }
        Ok(Some(entry))
    }
}

fn key_of(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=KEY_BYTES_MAX).contains(&key.len()) => Ok(Some(key)),
        _ => Err(ApiError::invalid(
            number::BAD_BODY,
            "Idempotency-Key",
            "must be 1 to 255 visible characters",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_key_goes_when_there_is_no_room() {
        const ROOM: u64 = 8;
        let forgotten = Counter::default();
        let entry_bytes = 2 * ENTRY_BYTES as u64 + "push key-00".len() as u64;
        let table = Table::new(ROOM * entry_bytes, Duration::from_secs(60), forgotten.clone());
        let ids_of = |key: u64, new: u64| {
            let headers =
                [("idempotency-key".parse().unwrap(), format!("key-{key:02}").parse().unwrap())];
            let entry = table.entry("push", &headers.into_iter().collect(), b"", || vec![new]);
            table.entries.run_pending_tasks();
            entry.unwrap().unwrap().ids[0]
        };
        for key in 0..3 * ROOM {
            assert_eq!(ids_of(key, key), key);
            // At once, as after an answer that was lost.
            assert_eq!(ids_of(key, 1_000), key, "a newcomer is remembered");
        }
        assert_eq!(forgotten.get(), 2 * ROOM);
        assert_eq!(ids_of(0, 1_000), 1_000);
        assert_eq!(ids_of(3 * ROOM - 1, 1_000), 3 * ROOM - 1);
    }
}
