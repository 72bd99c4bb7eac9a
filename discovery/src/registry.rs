//! Where registered services are kept, and what is done with any such place.

use crate::error::DiscoveryError;
use crate::roster::Roster;
use crate::services::{Service, Services};
use async_trait::async_trait;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// A place outside of the process. Every call gives up by itself.
#[async_trait]
pub(crate) trait Registry: Send + Sync {
    /// Registers a service and keeps its lease alive; ends only with an error, and may then be called again.
    async fn keep(&self, service: &Service) -> DiscoveryError;
    /// Takes a registration back.
    async fn forget(&self, service: &Service) -> Result<(), DiscoveryError>;
    /// What is registered.
    async fn list(&self) -> Result<BTreeSet<Service>, DiscoveryError>;
    /// Tells what is registered: at once, after each change, and now and then; ends only with an error.
    async fn watch(&self, tell: &watch::Sender<Option<BTreeSet<Service>>>) -> DiscoveryError;
}

/// Pauses between attempts: doubled each time, and not the same for all processes.
pub(crate) struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(PAUSE_FIRST)
    }
}

impl Pauses {
    /// Waits before the next attempt. After one that worked for a while it is short again.
    pub(crate) async fn wait(&mut self, attempt_began: Instant) {
        if attempt_began.elapsed() > PAUSE_MAX {
            self.0 = PAUSE_FIRST;
        }
        sleep(self.0.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
        self.0 = (self.0 * 2).min(PAUSE_MAX);
    }
}

/// Tells the set of services as the registry has it, for as long as somebody listens. While it does not answer, the last set stays.
pub(crate) async fn observe(
    registry: Arc<dyn Registry>,
    fixed: Services,
    grace: Duration,
    sender: watch::Sender<Services>,
) {
    let (tell, mut told) = watch::channel(None);
    let reading = async {
        let mut pauses = Pauses::default();
        loop {
            let began = Instant::now();
            let error = registry.watch(&tell).await;
            tracing::warn!(%error, "services are not known for certain: the registry does not answer");
            pauses.wait(began).await;
        }
    };
    let telling = async {
        let mut roster = Roster::new(grace);
        loop {
            let due = roster.next_drop().map(|at| at.saturating_duration_since(Instant::now()));
            // Nobody is dropped on a registry's word that is older than its last answer.
            match timeout(due.unwrap_or(PAUSE_MAX), told.changed()).await {
                Ok(Err(_)) => return,
                Ok(Ok(())) => {
                    let registered = told.borrow_and_update().clone();
                    roster.update(registered.unwrap_or_default(), Instant::now());
                }
                Err(_) => roster.drop_missing(Instant::now()),
            }
            let mut services = fixed.clone();
            services.extend(roster.services());
            publish(&sender, services);
        }
    };
    tokio::select! {
        () = reading => {}
        () = telling => {}
        () = sender.closed() => {}
    }
}

fn publish(sender: &watch::Sender<Services>, services: Services) {
    sender.send_if_modified(|known| {
        let changed = *known != services;
        if changed {
            tracing::info!(gateways = ?services.gateways, logics = ?services.logics, "services");
            *known = services;
        }
        changed
    });
}
