//! A service of this process that others can find.

use crate::registry::{Pauses, Registry};
use crate::services::Service;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// At the end, the registry is told; for so long at most.
const FORGET_TIMEOUT: Duration = Duration::from_secs(2);

/// Keeps a service registered. Dropped, its lease runs out; [`Registration::end`] takes it back at once.
pub struct Registration(Option<Kept>);

struct Kept {
    registry: Arc<dyn Registry>,
    service: Service,
    keeping: JoinHandle<()>,
}

impl Registration {
    pub(crate) fn start(registry: Option<Arc<dyn Registry>>, service: Service) -> Self {
        Self(registry.map(|registry| {
            let keeping = tokio::spawn(keep(registry.clone(), service.clone()));
            Kept { registry, service, keeping }
        }))
    }

    /// Takes the registration back, so that nobody looks for the service any more.
    pub async fn end(mut self) {
        let Some(kept) = self.0.take() else { return };
        kept.keeping.abort();
        // What it had under way must not come after the removal.
        let _ = kept.keeping.await;
        match timeout(FORGET_TIMEOUT, kept.registry.forget(&kept.service)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(service = %kept.service, %error, "registration not taken back: its lease runs out");
            }
            Err(_) => {
                tracing::warn!(service = %kept.service, "registration not taken back in time: its lease runs out");
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(kept) = &self.0 {
            kept.keeping.abort();
        }
    }
}

async fn keep(registry: Arc<dyn Registry>, service: Service) {
    let mut pauses = Pauses::default();
    loop {
        let began = Instant::now();
        let error = registry.keep(&service).await;
        tracing::warn!(%service, %error, "not registered; trying again");
        pauses.wait(began).await;
    }
}
