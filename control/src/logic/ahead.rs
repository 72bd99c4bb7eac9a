//! A login that lost its device's place to a connection of a later date.
//!
//! Of two connections of a device the younger one stays, by the clocks of their gateways. Where a clock was set back, a connection from before that is younger
//! than all that come; if its end was not heard of, they would all be turned away until its date has passed.

use crate::routes::{Routes, key_of};
use gpusher_proto::data::{Route, UserInApp};

/// No login waits for so long before it is bound: what is younger by more began by a clock that was ahead.
const AHEAD_MS: i64 = 60_000;

/// Gives the login the place of who is dated ahead of it. Returns who is not bound any more by that; none if nothing has changed.
pub(super) async fn pass_those_ahead(routes: &dyn Routes, login: &Route) -> Option<Vec<Route>> {
    let user = UserInApp { app_id: login.app_id, user: login.user.clone() };
    let located = routes.locate(vec![user]).await.ok()?;
    let is_ahead = |route: &Route| {
        let by_ms = route.since_ms.saturating_sub(login.since_ms);
        route.device == login.device && route.conn != login.conn && by_ms > AHEAD_MS
    };
    let mut lost: Vec<Route> = located.into_iter().flatten().filter(is_ahead).collect();
    if lost.is_empty() {
        return None;
    }
    routes.unbind(lost.iter().map(key_of).collect()).await.ok()?;
    match routes.bind(vec![login.clone()]).await {
        Ok(replaced) => lost.extend(replaced.into_iter().flatten()),
        Err(_) => lost.push(login.clone()),
    }
    Some(lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::MemoryRoutes;
    use gpusher_proto::data::GatewayLease;

    fn phone(conn: u64, since_ms: i64) -> Route {
        let (user, device) = ("ada".to_owned(), "phone".to_owned());
        Route {
            conn,
            app_id: 1000,
            user,
            device,
            gateway: 1,
            gateway_epoch: 7,
            version: 1,
            since_ms,
        }
    }

    async fn with_a_connection_of(since_ms: i64) -> MemoryRoutes {
        let routes = MemoryRoutes::default();
        let lease = GatewayLease { gateway: 1, epoch: 7, lease_ms: 60_000, ..Default::default() };
        routes.attach(lease).await.unwrap();
        assert_eq!(routes.bind(vec![phone(1, since_ms)]).await.unwrap(), [vec![]]);
        routes
    }

    async fn bound(routes: &MemoryRoutes) -> Vec<u64> {
        let user = UserInApp { app_id: 1000, user: "ada".to_owned() };
        let located = routes.locate(vec![user]).await.unwrap();
        located[0].iter().map(|route| route.conn).collect()
    }

    #[tokio::test]
    async fn a_connection_from_before_a_clock_was_set_back_keeps_nobody_out() {
        let routes = with_a_connection_of(700_000).await;
        let login = phone(2, 100_000);
        assert_eq!(routes.bind(vec![login.clone()]).await.unwrap(), [vec![login.clone()]]);
        let lost = pass_those_ahead(&routes, &login).await.unwrap();
        assert_eq!(lost, [phone(1, 700_000)]);
        assert_eq!(bound(&routes).await, [2]);
    }

    #[tokio::test]
    async fn a_login_that_was_overtaken_stays_behind() {
        let routes = with_a_connection_of(110_000).await;
        assert_eq!(pass_those_ahead(&routes, &phone(2, 100_000)).await, None);
        assert_eq!(bound(&routes).await, [1]);
    }
}
