//! The production's routes in memory, behind gates; their process dies and forgets, as it may.

use crate::clock::SimClock;
use crate::gate::Gates;
use async_trait::async_trait;
use gpusher_control::error::Result;
use gpusher_control::routes::{MemoryRoutes, Routes};
use gpusher_proto::data::*;
use parking_lot::Mutex;
use std::sync::Arc;

/// Routes whose process can be restarted.
#[derive(Clone)]
pub struct SimRoutes {
    process: Arc<Mutex<Arc<MemoryRoutes>>>,
    gates: Gates,
    clock: SimClock,
    /// Unbinds whoever holds the user's routes, not just the connection that ended: a bug to be found.
    pub unbinds_anybody: bool,
}

impl SimRoutes {
    /// A process without routes.
    pub fn new(clock: SimClock, gates: Gates) -> Self {
        Self { process: Arc::new(Mutex::new(fresh(&clock))), gates, clock, unbinds_anybody: false }
    }

    /// The process dies; the next one knows nothing.
    pub fn restart(&self) {
        *self.process.lock() = fresh(&self.clock);
    }

    /// Past the gates.
    pub fn process(&self) -> Arc<MemoryRoutes> {
        self.process.lock().clone()
    }
}

fn fresh(clock: &SimClock) -> Arc<MemoryRoutes> {
    let clock = clock.clone();
    Arc::new(MemoryRoutes::with_clock(Box::new(move || clock.ms())))
}

macro_rules! gated {
    ($self:ident, $name:literal, $call:ident($($argument:expr),*)) => {{
        $self.gates.pass($name).await;
        let process = $self.process();
        let result = process.$call($($argument),*).await;
        $self.gates.pass($name).await;
        result
    }};
}

#[async_trait]
impl Routes for SimRoutes {
    async fn bind(&self, routes: Vec<Route>) -> Result<Vec<Vec<Route>>> {
        gated!(self, "bind", bind(routes))
    }

    async fn unbind(&self, conns: Vec<ConnKey>) -> Result<()> {
        if self.unbinds_anybody {
            let of = |key: &ConnKey| UserInApp { app_id: key.app_id, user: key.user.clone() };
            let all = self.process().locate(conns.iter().map(of).collect()).await?;
            let key = |route: Route| ConnKey {
                conn: route.conn,
                app_id: route.app_id,
                user: route.user,
                gateway_epoch: route.gateway_epoch,
            };
            let everybody = all.into_iter().flatten().map(key).collect();
            return gated!(self, "unbind", unbind(everybody));
        }
        gated!(self, "unbind", unbind(conns))
    }

    async fn locate(&self, users: Vec<UserInApp>) -> Result<Vec<Vec<Route>>> {
        gated!(self, "locate", locate(users))
    }

    async fn attach(&self, lease: GatewayLease) -> Result<()> {
        gated!(self, "attach", attach(lease))
    }

    async fn renew(&self, lease: GatewayLease) -> Result<bool> {
        gated!(self, "renew", renew(lease))
    }

    async fn detach(&self, gateway: u32, epoch: u64) -> Result<()> {
        gated!(self, "detach", detach(gateway, epoch))
    }

    async fn gateways(&self) -> Result<Vec<GatewayLease>> {
        self.process().gateways().await
    }

    async fn announce(&self, memberships: Vec<GatewayMembership>) -> Result<()> {
        gated!(self, "announce", announce(memberships))
    }

    async fn members(&self, audience: AudienceKey) -> Result<Vec<u32>> {
        self.process().members(audience).await
    }

    async fn counts(&self, app_id: u32) -> Result<Vec<Count>> {
        self.process().counts(app_id).await
    }

    async fn list(&self, page: RoutePage) -> Result<Vec<Route>> {
        self.process().list(page).await
    }
}
