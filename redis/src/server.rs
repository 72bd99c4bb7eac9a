//! Calls to Redis, over one connection that is made anew when it breaks.

use crate::connection::{CONNECT_TIMEOUT, Connection};
use crate::failure::{Failure, is_about_the_connection};
use crate::url::RedisUrl;
use parking_lot::RwLock;
use redis::{Cmd, FromRedisValue, RedisError, Value};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout};

/// A call, its wait for others and a new connection included, takes no longer.
const CALL_TIMEOUT: Duration = Duration::from_secs(4);
/// Calls under way at a time; more wait.
const CALLS_MAX: usize = 4096;
/// While a server cannot be reached, no more often than this is it tried.
const RECONNECT_EVERY: Duration = Duration::from_millis(100);

/// Redis at a URL. Connects when it is first called, and again after a failure.
pub struct Redis {
    url: RedisUrl,
    current: RwLock<Option<Current>>,
    connecting: Mutex<Option<Refused>>,
    connections_made: AtomicU64,
    calls_unanswered: AtomicU64,
    calls: Semaphore,
}

#[derive(Clone)]
struct Current {
    connection: Connection,
    number: u64,
}

/// The last attempt to connect, which failed.
struct Refused {
    at: Instant,
    failure: Failure,
}

/// Why a command gave nothing.
pub(crate) enum Unanswered {
    /// The library or the server says why.
    Error(RedisError),
    /// There was no connection, or no time.
    Failure(Failure),
}

impl Redis {
    /// Redis at `url`; nothing is sent yet.
    pub fn new(url: RedisUrl) -> Self {
        Self {
            url,
            current: RwLock::new(None),
            connecting: Mutex::new(None),
            connections_made: AtomicU64::new(0),
            calls_unanswered: AtomicU64::new(0),
            calls: Semaphore::new(CALLS_MAX),
        }
    }

    /// What it was made with.
    pub fn url(&self) -> &RedisUrl {
        &self.url
    }

    /// Connections made so far: more than one means that it was away.
    pub fn connections_made(&self) -> u64 {
        self.connections_made.load(Relaxed)
    }

    /// Calls that failed because it was away.
    pub fn calls_unanswered(&self) -> u64 {
        self.calls_unanswered.load(Relaxed)
    }

    /// Sends a command that may be sent twice: once more if the connection breaks under it. Many calls at a time share a round trip.
    ///
    /// # Errors
    /// `Unavailable` after four seconds at most, `Rejected` if the command or its answer is not understood.
    pub async fn call<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failure> {
        self.answer(self.send(command).await)
    }

    /// As [`Redis::call`], with the server's own error.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Value, Unanswered> {
        let sent = timeout(CALL_TIMEOUT, async {
            let permit = self.calls.acquire().await;
            let _permit = permit.expect("it is never closed");
            match self.send_once(command).await {
                Err(Unanswered::Error(error))
                    if is_about_the_connection(&error) && !error.is_timeout() =>
                {
                    self.send_once(command).await
                }
                sent => sent,
            }
        });
        sent.await.unwrap_or_else(|_| Err(Unanswered::Failure(Failure::late(&self.url))))
    }

    pub(crate) fn answer<T: FromRedisValue>(
        &self,
        sent: Result<Value, Unanswered>,
    ) -> Result<T, Failure> {
        let failure = match sent {
            Ok(value) => {
                return T::from_redis_value(value)
                    .map_err(|error| Failure::Rejected(format!("redis at {}: {error}", self.url)));
            }
            Err(Unanswered::Error(error)) => Failure::of(&self.url, &error),
            Err(Unanswered::Failure(failure)) => failure,
        };
        if matches!(failure, Failure::Unavailable(_)) {
            self.calls_unanswered.fetch_add(1, Relaxed);
        }
        Err(failure)
    }

    async fn send_once(&self, command: &Cmd) -> Result<Value, Unanswered> {
        let Current { mut connection, number } =
            self.connected().await.map_err(Unanswered::Failure)?;
        let sent = connection.send(command).await;
        sent.map_err(|error| {
            if is_about_the_connection(&error) {
                self.drop_connection(number, &error);
            }
            Unanswered::Error(error)
        })
    }

    fn drop_connection(&self, number: u64, error: &RedisError) {
        let mut current = self.current.write();
        if current.as_ref().is_some_and(|current| current.number == number) {
            tracing::warn!(redis = %self.url, %error, "connection to redis broke");
            *current = None;
        }
    }

    /// The connection there is, or a new one: made by one caller for all.
    async fn connected(&self) -> Result<Current, Failure> {
        if let Some(current) = self.current.read().clone() {
            return Ok(current);
        }
        let mut refused = self.connecting.lock().await;
        if let Some(current) = self.current.read().clone() {
            return Ok(current);
        }
        if let Some(refused) = refused.as_ref().filter(|it| it.at.elapsed() < RECONNECT_EVERY) {
            return Err(refused.failure.clone());
        }
        match self.connect().await {
            Ok(connection) => {
                *refused = None;
                let number = self.connections_made.fetch_add(1, Relaxed) + 1;
                let current = Current { connection, number };
                *self.current.write() = Some(current.clone());
                Ok(current)
            }
            Err(failure) => {
                *refused = Some(Refused { at: Instant::now(), failure: failure.clone() });
                Err(failure)
            }
        }
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        match timeout(CONNECT_TIMEOUT, Connection::open(&self.url)).await {
            Ok(opened) => opened.map_err(|error| Failure::of(&self.url, &error)),
            Err(_) => Err(Failure::late(&self.url)),
        }
    }
}
