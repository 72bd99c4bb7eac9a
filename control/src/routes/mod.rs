//! Who is connected where: leases that carry the gateway's epoch and the connection's id.
//!
//! The trait mirrors the `Routes` service of `proto/data.proto`; every backend passes `suite`.

mod choice;
pub mod memory;
#[cfg(feature = "redis")]
pub mod redis;
pub mod remote;
#[cfg(test)]
pub(crate) mod suite;

pub use self::choice::least_loaded_first;
pub use self::memory::MemoryRoutes;
pub use self::remote::RemoteRoutes;

use crate::error::Result;
use async_trait::async_trait;
use gpusher_proto::data::*;

/// Connections that one user of one app may have; the oldest are replaced beyond it.
pub const CONNECTIONS_PER_USER_MAX: usize = 1024;
/// Most routes of one page; asked for 0 or more, this many come.
pub const LIST_MAX: u32 = 1000;

/// What removes exactly this binding.
pub(crate) fn key_of(route: &Route) -> ConnKey {
    ConnKey {
        conn: route.conn,
        app_id: route.app_id,
        user: route.user.clone(),
        gateway_epoch: route.gateway_epoch,
    }
}

/// Where connections are. Nothing here is durable: gateways announce everything again.
#[async_trait]
pub trait Routes: Send + Sync {
    /// Binds connections; returns, per route, the connections of the same non-empty device that it replaces, and the oldest
    /// beyond [`CONNECTIONS_PER_USER_MAX`].
    ///
    /// Of two connections of a device, the one with the later `since_ms` stays, whichever is bound first: a route that is
    /// outdated when it comes is not bound and returned as replaced itself. A route of a process that has no lease is not
    /// bound: the gateway is gone, or its sessions are bound again once it is attached.
    async fn bind(&self, routes: Vec<Route>) -> Result<Vec<Vec<Route>>>;
    /// Removes bindings that are still held by exactly these connections.
    async fn unbind(&self, conns: Vec<ConnKey>) -> Result<()>;
    /// Routes of each user asked for, without those of gateways whose lease ran out.
    async fn locate(&self, users: Vec<UserInApp>) -> Result<Vec<Vec<Route>>>;
    /// Registers a gateway's process; a newer epoch drops what older ones had, and so does the same one after its lease ran
    /// out. `conflict` when an older epoch comes after a newer one.
    async fn attach(&self, lease: GatewayLease) -> Result<()>;
    /// Extends the lease and updates the load; false if it had run out or another epoch took over.
    async fn renew(&self, lease: GatewayLease) -> Result<bool>;
    /// Removes a gateway and its bindings, if the epoch is still that one.
    async fn detach(&self, gateway: u32, epoch: u64) -> Result<()>;
    /// Gateways with a running lease, by number.
    async fn gateways(&self) -> Result<Vec<GatewayLease>>;
    /// Notes how many members a gateway has of an app or topic.
    async fn announce(&self, memberships: Vec<GatewayMembership>) -> Result<()>;
    /// Gateways that have members, by number. App 0 stands for every app.
    async fn members(&self, audience: AudienceKey) -> Result<Vec<u32>>;
    /// Connections and users of an app, or of each if 0, by app; apps without any are left out.
    async fn counts(&self, app_id: u32) -> Result<Vec<Count>>;
    /// A page of routes of an app, ordered by (user, conn).
    async fn list(&self, page: RoutePage) -> Result<Vec<Route>>;
}
