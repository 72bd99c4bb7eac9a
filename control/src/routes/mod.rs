//! Who is connected where: leases that carry the gateway's epoch and the connection's id.
//!
//! The trait mirrors the `Routes` service of `proto/data.proto`; every backend passes `suite`.

use crate::error::Result;
use async_trait::async_trait;
use gpusher_proto::data::*;

/// Where connections are. Nothing here is durable: gateways announce everything again.
#[async_trait]
pub trait Routes: Send + Sync {
    /// Binds connections; returns, per route, the connections of the same non-empty device that it replaces.
    async fn bind(&self, routes: Vec<Route>) -> Result<Vec<Vec<Route>>>;
    /// Removes bindings that are still held by exactly these connections.
    async fn unbind(&self, conns: Vec<ConnKey>) -> Result<()>;
    /// Routes of each user asked for, without those of gateways whose lease ran out.
    async fn locate(&self, users: Vec<UserInApp>) -> Result<Vec<Vec<Route>>>;
    /// Registers a gateway's process; a newer epoch drops what older ones had. `conflict` when an older epoch comes after a newer one.
    async fn attach(&self, lease: GatewayLease) -> Result<()>;
    /// Extends the lease; false if it had run out or another epoch took over.
    async fn renew(&self, lease: GatewayLease) -> Result<bool>;
    /// Removes a gateway and its bindings, if the epoch is still that one.
    async fn detach(&self, gateway: u32, epoch: u64) -> Result<()>;
    /// Gateways with a running lease.
    async fn gateways(&self) -> Result<Vec<GatewayLease>>;
    /// Notes how many members a gateway has of an app or topic.
    async fn announce(&self, memberships: Vec<GatewayMembership>) -> Result<()>;
    /// Gateways that have members.
    async fn members(&self, audience: AudienceKey) -> Result<Vec<u32>>;
    /// Counts per app; 0 for all.
    async fn counts(&self, app_id: u32) -> Result<Vec<Count>>;
    /// A page of routes of an app, ordered by (user, conn).
    async fn list(&self, page: RoutePage) -> Result<Vec<Route>>;
}
