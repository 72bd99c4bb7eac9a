//! Services in Redis: one hash, of each service the end of its lease. It is looked at every second; there are few of them.

use crate::error::DiscoveryError;
use crate::registry::Registry;
use crate::services::Service;
use async_trait::async_trait;
use gpusher_redis::{Failure, Redis, RedisUrl, Script, cmd};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

const POLL_EVERY: Duration = Duration::from_secs(1);
/// Renewals within one lease.
const RENEWALS: u32 = 3;

/// KEYS: the hash. ARGV: service, milliseconds.
const KEEP: &str = r"
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now_ms + tonumber(ARGV[2])))
";

/// KEYS: the hash. Answers the services whose lease runs, and removes the others.
const LIST: &str = r"
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local all = redis.call('HGETALL', KEYS[1])
local running = {}
for index = 1, #all, 2 do
  if (tonumber(all[index + 1]) or 0) > now_ms then
    running[#running + 1] = all[index]
  else
    redis.call('HDEL', KEYS[1], all[index])
  end
end
return running
";

pub(crate) struct InRedis {
    redis: Redis,
    key: Vec<u8>,
    lease: Duration,
    keep: Script,
    list: Script,
}

impl InRedis {
    pub(crate) fn new(url: RedisUrl, lease: Duration) -> Self {
        let key = format!("{}services", url.key_prefix()).into_bytes();
        Self {
            redis: Redis::new(url),
            key,
            lease,
            keep: Script::new(KEEP),
            list: Script::new(LIST),
        }
    }

    async fn renew(&self, service: &Service) -> Result<(), Failure> {
        let lease_ms = self.lease.as_millis().to_string().into_bytes();
        let arguments = [service.path().into_bytes(), lease_ms];
        let key = std::slice::from_ref(&self.key);
        self.keep.run::<u64>(&self.redis, key, &arguments).await.map(drop)
    }
}

#[async_trait]
impl Registry for InRedis {
    async fn keep(&self, service: &Service) -> DiscoveryError {
        loop {
            if let Err(failure) = self.renew(service).await {
                return failure.into();
            }
            sleep(self.lease / RENEWALS).await;
        }
    }

    async fn forget(&self, service: &Service) -> Result<(), DiscoveryError> {
        let forget = cmd("HDEL").arg(&self.key).arg(service.path()).to_owned();
        Ok(self.redis.call::<u64>(&forget).await.map(drop)?)
    }

    async fn list(&self) -> Result<BTreeSet<Service>, DiscoveryError> {
        let key = std::slice::from_ref(&self.key);
        let paths: Vec<String> = self.list.run(&self.redis, key, &[]).await?;
        Ok(paths.iter().filter_map(|path| Service::from_path(path)).collect())
    }

    async fn watch(&self, tell: &watch::Sender<Option<BTreeSet<Service>>>) -> DiscoveryError {
        loop {
            match self.list().await {
                Ok(services) => {
                    tell.send_replace(Some(services));
                }
                Err(error) => return error,
            }
            sleep(POLL_EVERY).await;
        }
    }
}

impl From<Failure> for DiscoveryError {
    fn from(failure: Failure) -> Self {
        Self::Unavailable(failure.to_string())
    }
}
