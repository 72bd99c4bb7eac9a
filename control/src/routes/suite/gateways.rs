//! Processes, leases, members.

use super::*;
use gpusher_proto::gateway::Load;

pub(crate) async fn leases_run_out(fixture: impl Fixture) {
    let routes = attached(&fixture).await;
    bind(&*routes, &route(1, 11, "ada", "phone")).await;
    fixture.advance(LEASE - Duration::from_millis(1)).await;
    assert_eq!(locate(&*routes, "ada").await.len(), 1);
    assert_eq!(routes.gateways().await.unwrap(), [lease(1, 1), lease(2, 1)]);
    fixture.advance(Duration::from_millis(1)).await;
    assert_eq!(locate(&*routes, "ada").await, []);
    assert_eq!(routes.gateways().await.unwrap(), []);
    assert_eq!(routes.counts(0).await.unwrap(), []);
}

pub(crate) async fn a_renewed_lease_does_not_run_out(fixture: impl Fixture) {
    let routes = attached(&fixture).await;
    bind(&*routes, &route(1, 11, "ada", "phone")).await;
    for _ in 0..5 {
        fixture.advance(LEASE / 2).await;
        assert!(routes.renew(lease(1, 1)).await.unwrap());
    }
    assert_eq!(locate(&*routes, "ada").await.len(), 1);
    assert_eq!(routes.gateways().await.unwrap(), [lease(1, 1)], "the other one's ran out");
    assert!(!routes.renew(lease(2, 1)).await.unwrap());
    assert!(!routes.renew(lease(1, 2)).await.unwrap(), "it is another process");
}

pub(crate) async fn a_lost_lease_starts_from_nothing(fixture: impl Fixture) {
    let routes = attached(&fixture).await;
    bind(&*routes, &route(1, 11, "ada", "phone")).await;
    routes.announce(vec![membership(1, APP, "", 1)]).await.unwrap();
    fixture.advance(LEASE).await;
    assert!(!routes.renew(lease(1, 1)).await.unwrap());
    routes.attach(lease(1, 1)).await.unwrap();
    assert_eq!(locate(&*routes, "ada").await, []);
    assert_eq!(members(&*routes, APP, "").await, [0; 0]);
    let again = route(1, 11, "ada", "phone");
    bind(&*routes, &again).await;
    assert_eq!(locate(&*routes, "ada").await, [again]);
}

pub(crate) async fn a_newer_process_drops_the_older_ones_routes(fixture: impl Fixture) {
    let routes = attached(&fixture).await;
    bind(&*routes, &route(1, 11, "ada", "phone")).await;
    bind(&*routes, &route(2, 21, "ada", "desk")).await;
    routes.attach(lease(1, 1)).await.unwrap();
    assert_eq!(locate(&*routes, "ada").await.len(), 2, "the same one drops nothing");
    routes.attach(lease(1, 2)).await.unwrap();
    assert_eq!(locate(&*routes, "ada").await, [route(2, 21, "ada", "desk")]);
    // Word of the old process's connections that comes late.
    assert_eq!(bind(&*routes, &route(1, 12, "ada", "phone")).await, []);
    assert_eq!(locate(&*routes, "ada").await.len(), 1);
    let fresh = Route { gateway_epoch: 2, ..route(1, 11, "ada", "phone") };
    bind(&*routes, &fresh).await;
    routes.unbind(vec![key_of(&route(1, 11, "ada", "phone"))]).await.unwrap();
    assert_eq!(locate(&*routes, "ada").await, [fresh, route(2, 21, "ada", "desk")]);
}

pub(crate) async fn an_older_process_waits_for_the_newer_ones_lease(fixture: impl Fixture) {
    let routes = fixture.routes();
    routes.attach(lease(1, 5)).await.unwrap();
    assert_eq!(routes.attach(lease(1, 4)).await.unwrap_err().code, Code::Conflict);
    assert!(!routes.renew(lease(1, 4)).await.unwrap());
    // Its clock was set back, and the other one is gone.
    fixture.advance(LEASE).await;
    routes.attach(lease(1, 4)).await.unwrap();
    assert_eq!(routes.gateways().await.unwrap(), [lease(1, 4)]);
    assert!(!routes.renew(lease(1, 5)).await.unwrap());
    routes.attach(lease(1, 5)).await.unwrap();
    assert_eq!(routes.gateways().await.unwrap(), [lease(1, 5)]);
}

pub(crate) async fn detach_is_for_its_own_process(fixture: impl Fixture) {
    let routes = attached(&fixture).await;
    bind(&*routes, &route(1, 11, "ada", "phone")).await;
    routes.detach(1, 2).await.unwrap();
    assert_eq!(locate(&*routes, "ada").await.len(), 1);
    routes.detach(1, 1).await.unwrap();
    assert_eq!(locate(&*routes, "ada").await, []);
    assert_eq!(routes.gateways().await.unwrap(), [lease(2, 1)]);
    routes.detach(1, 1).await.unwrap();
}

pub(crate) async fn a_process_without_a_lease_binds_nothing(fixture: impl Fixture) {
    let routes = fixture.routes();
    assert_eq!(bind(&*routes, &route(1, 11, "ada", "phone")).await, []);
    routes.announce(vec![membership(1, APP, "", 1)]).await.unwrap();
    routes.attach(lease(1, 1)).await.unwrap();
    assert_eq!(locate(&*routes, "ada").await, []);
    assert_eq!(members(&*routes, APP, "").await, [0; 0]);
}

pub(crate) async fn gateways_show_their_load(fixture: impl Fixture) {
    let routes = attached(&fixture).await;
    let load = Load { connections: 7, connections_max: 9, ..Load::default() };
    let loaded = GatewayLease { load: Some(load), ..lease(2, 1) };
    assert!(routes.renew(loaded.clone()).await.unwrap());
    assert_eq!(routes.gateways().await.unwrap(), [lease(1, 1), loaded]);
}

pub(crate) async fn members_are_announced_and_withdrawn(fixture: impl Fixture) {
    let routes = attached(&fixture).await;
    let batch =
        vec![membership(2, APP, "", 5), membership(1, APP, "", 3), membership(2, APP, "news", 1)];
    routes.announce(batch).await.unwrap();
    assert_eq!(members(&*routes, APP, "").await, [1, 2]);
    assert_eq!(members(&*routes, APP, "news").await, [2]);
    assert_eq!(members(&*routes, APP, "sport").await, [0; 0]);
    assert_eq!(members(&*routes, APP + 1, "").await, [0; 0]);
    routes.announce(vec![membership(1, APP, "", 4)]).await.unwrap();
    assert_eq!(members(&*routes, APP, "").await, [1, 2], "announced again");
    let outdated = GatewayMembership { epoch: 0, ..membership(2, APP, "", 0) };
    routes.announce(vec![outdated, membership(1, APP, "", 0)]).await.unwrap();
    assert_eq!(members(&*routes, APP, "").await, [2]);
}

pub(crate) async fn members_go_with_their_gateway(fixture: impl Fixture) {
    let routes = attached(&fixture).await;
    let batch = [1, 2].map(|gateway| membership(gateway, APP, "news", 1));
    routes.announce(batch.into()).await.unwrap();
    routes.detach(1, 1).await.unwrap();
    assert_eq!(members(&*routes, APP, "news").await, [2]);
    fixture.advance(LEASE).await;
    assert_eq!(members(&*routes, APP, "news").await, [0; 0]);
}

pub(crate) async fn everyone_is_any_app(fixture: impl Fixture) {
    let routes = attached(&fixture).await;
    assert_eq!(members(&*routes, 0, "").await, [0; 0]);
    let batch = vec![
        membership(2, APP, "", 1),
        membership(2, APP + 1, "", 1),
        membership(1, APP, "news", 1),
    ];
    routes.announce(batch).await.unwrap();
    assert_eq!(members(&*routes, 0, "").await, [2]);
}
