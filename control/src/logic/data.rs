//! The data layer as the lanes call it: what fails for a while is tried again, with growing pauses.

use super::counters::{Count, Counters};
use crate::error::{Error, Result};
use crate::queue::Queue;
use crate::routes::Routes;
use crate::store::Store;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Store, routes and queue.
#[derive(Clone)]
pub struct Data {
    /// Logs, cursors, statuses.
    pub store: Arc<dyn Store>,
    /// Who is where.
    pub routes: Arc<dyn Routes>,
    /// Accepted jobs.
    pub queue: Arc<dyn Queue>,
    /// Counts repetitions.
    pub counters: Arc<Counters>,
}

impl Data {
    /// Calls until it works. For what must not be lost; an error that will not go away is logged each time.
    pub(super) async fn persist<T, F>(&self, what: &'static str, mut call: impl FnMut() -> F) -> T
    where
        F: Future<Output = Result<T>>,
    {
        let mut pause = PAUSE_FIRST;
        loop {
            match call().await {
                Ok(value) => return value,
                Err(error) => self.wait(what, &error, &mut pause).await,
            }
        }
    }

    /// Calls until it works or fails for good.
    pub(super) async fn until_final<T, F>(
        &self,
        what: &'static str,
        mut call: impl FnMut() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut pause = PAUSE_FIRST;
        loop {
            match call().await {
                Err(error) if error.code.retry() => self.wait(what, &error, &mut pause).await,
                result => return result,
            }
        }
    }

    /// Calls a few times, for about a second.
    pub(super) async fn attempt<T, F>(
        &self,
        what: &'static str,
        mut call: impl FnMut() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        const ATTEMPTS: u32 = 6;
        let mut pause = PAUSE_FIRST;
        for _ in 1..ATTEMPTS {
            match call().await {
                Err(error) if error.code.retry() => self.wait(what, &error, &mut pause).await,
                result => return result,
            }
        }
        call().await
    }

    async fn wait(&self, what: &'static str, error: &Error, pause: &mut Duration) {
        self.counters.add(Count::CallsRepeated, 1);
        let pause_ms = pause.as_millis() as u64;
        tracing::warn!(what, %error, code = ?error.code, pause_ms, "call failed and is repeated");
        tokio::time::sleep(jittered(*pause)).await;
        *pause = (*pause * 2).min(PAUSE_MAX);
    }
}

/// Between half and all of a pause, so that many do not come back at once.
pub(super) fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}
