//! Routes that a message role holds.

use super::Routes;
use crate::error::Result;
use crate::message::connection::{Authorized, Connection, call, one_each};
use crate::message::{MESSAGE_BYTES_MAX, calls};
use async_trait::async_trait;
use gpusher_proto::data::routes_client::RoutesClient;
use gpusher_proto::data::*;

/// Asks the message role. Every call may be repeated.
pub struct RemoteRoutes {
    client: RoutesClient<Authorized>,
}

impl RemoteRoutes {
    /// The routes behind a connection.
    pub fn new(connection: &Connection) -> Self {
        let client = RoutesClient::new(connection.channel())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Self { client }
    }
}

#[async_trait]
impl Routes for RemoteRoutes {
    async fn bind(&self, routes: Vec<Route>) -> Result<Vec<Vec<Route>>> {
        let asked = routes.len();
        let mut replaced = Vec::with_capacity(asked);
        for routes in calls(routes) {
            let of = call!(self.client, bind, RouteList { routes })?.of;
            replaced.extend(of.into_iter().map(|by| by.routes));
        }
        one_each(replaced, asked)
    }

    async fn unbind(&self, conns: Vec<ConnKey>) -> Result<()> {
        for conns in calls(conns) {
            call!(self.client, unbind, ConnKeys { conns })?;
        }
        Ok(())
    }

    async fn locate(&self, users: Vec<UserInApp>) -> Result<Vec<Vec<Route>>> {
        let asked = users.len();
        let of = call!(self.client, locate, UserKeys { users })?.of;
        one_each(of.into_iter().map(|list| list.routes).collect(), asked)
    }

    async fn attach(&self, lease: GatewayLease) -> Result<()> {
        call!(self.client, attach, lease)?;
        Ok(())
    }

    async fn renew(&self, lease: GatewayLease) -> Result<bool> {
        Ok(call!(self.client, renew, lease)?.found)
    }

    async fn detach(&self, gateway: u32, epoch: u64) -> Result<()> {
        call!(self.client, detach, GatewayKey { gateway, epoch })?;
        Ok(())
    }

    async fn gateways(&self) -> Result<Vec<GatewayLease>> {
        Ok(call!(self.client, gateways, Nothing {})?.gateways)
    }

    async fn announce(&self, memberships: Vec<GatewayMembership>) -> Result<()> {
        for memberships in calls(memberships) {
            call!(self.client, announce, MembershipList { memberships })?;
        }
        Ok(())
    }

    async fn members(&self, audience: AudienceKey) -> Result<Vec<u32>> {
        Ok(call!(self.client, members, audience)?.gateways)
    }

    async fn counts(&self, app_id: u32) -> Result<Vec<Count>> {
        Ok(call!(self.client, counts, AppKey { id: app_id })?.counts)
    }

    async fn list(&self, page: RoutePage) -> Result<Vec<Route>> {
        Ok(call!(self.client, list_routes, page)?.routes)
    }
}
