//! What every route table does, whatever it is made of.
//!
//! `routes_suite!(fixture)` makes a test of each function here; a fixture has an empty table and holds its clock.

mod bindings;
mod gateways;
mod lists;

use super::*;
use crate::error::Code;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use bindings::*;
pub(crate) use gateways::*;
pub(crate) use lists::*;

/// An empty table, and its time.
pub(crate) trait Fixture: Send + Sync {
    /// The table; the same one each time.
    fn routes(&self) -> Arc<dyn Routes>;
    /// Lets time pass.
    fn advance(&self, by: Duration) -> impl Future<Output = ()> + Send;
}

macro_rules! routes_suite {
    ($fixture:path) => {
        $crate::routes::suite::routes_suite! { $fixture:
            bound_connections_are_located,
            several_devices_are_several_routes,
            a_device_replaces_its_older_connection,
            an_outdated_connection_does_not_replace_a_younger_one,
            binding_again_replaces_nothing,
            anonymous_connections_replace_nobody,
            unbind_removes_only_its_own_connection,
            a_user_beyond_the_limit_loses_the_oldest,
            apps_are_apart,
            leases_run_out,
            a_renewed_lease_does_not_run_out,
            a_lost_lease_starts_from_nothing,
            a_newer_process_drops_the_older_ones_routes,
            an_older_process_waits_for_the_newer_ones_lease,
            detach_is_for_its_own_process,
            a_process_without_a_lease_binds_nothing,
            gateways_show_their_load,
            members_are_announced_and_withdrawn,
            members_go_with_their_gateway,
            everyone_is_any_app,
            counts_follow_connections,
            pages_list_every_route_once_in_order,
            concurrent_bindings_are_all_counted,
        }
    };
    ($fixture:path: $($case:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::routes::suite::$case($fixture().await).await;
            }
        )*
    };
}
pub(crate) use routes_suite;

const APP: u32 = 1000;
const LEASE: Duration = Duration::from_secs(10);

fn lease(gateway: u32, epoch: u64) -> GatewayLease {
    GatewayLease {
        gateway,
        epoch,
        client_addr: format!("192.0.2.{gateway}:8881"),
        lease_ms: LEASE.as_millis() as i64,
        load: None,
    }
}

/// A connection of the gateway's first epoch.
fn route(gateway: u32, conn: u64, user: &str, device: &str) -> Route {
    Route {
        conn,
        app_id: APP,
        user: user.into(),
        device: device.into(),
        gateway,
        gateway_epoch: 1,
        version: 1,
        since_ms: 1_800_000_000_000,
    }
}

/// A table with gateways 1 and 2 attached.
async fn attached(fixture: &impl Fixture) -> Arc<dyn Routes> {
    let routes = fixture.routes();
    routes.attach(lease(1, 1)).await.unwrap();
    routes.attach(lease(2, 1)).await.unwrap();
    routes
}

async fn locate(routes: &dyn Routes, user: &str) -> Vec<Route> {
    let user = UserInApp { app_id: APP, user: user.into() };
    let mut located = routes.locate(vec![user]).await.unwrap();
    assert_eq!(located.len(), 1);
    located[0].sort_by_key(|route| route.conn);
    located.remove(0)
}

async fn bind(routes: &dyn Routes, route: &Route) -> Vec<Route> {
    let mut replaced = routes.bind(vec![route.clone()]).await.unwrap();
    assert_eq!(replaced.len(), 1);
    replaced.remove(0)
}

async fn members(routes: &dyn Routes, app_id: u32, topic: &str) -> Vec<u32> {
    routes.members(AudienceKey { app_id, topic: topic.into() }).await.unwrap()
}

fn membership(gateway: u32, app_id: u32, topic: &str, members: u32) -> GatewayMembership {
    GatewayMembership { gateway, epoch: 1, app_id, topic: topic.into(), members }
}
