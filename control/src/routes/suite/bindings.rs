//! Connections come and go.

use super::*;

pub(crate) async fn bound_connections_are_located(fixture: impl Fixture) {
    let routes = attached(&fixture).await;
    let ada = route(1, 11, "ada", "phone");
    let bob = route(2, 21, "bob", "phone");
    assert_eq!(routes.bind(vec![ada.clone(), bob.clone()]).await.unwrap(), [vec![], vec![]]);
    let users = ["bob", "eve", "ada"].map(|user| UserInApp { app_id: APP, user: user.into() });
    let located = routes.locate(users.into()).await.unwrap();
    assert_eq!(located, [vec![bob], vec![], vec![ada]]);
}

pub(crate) async fn several_devices_are_several_routes(fixture: impl Fixture) {
    let routes = attached(&fixture).await;
    let phone = route(1, 11, "ada", "phone");
    let desk = route(2, 21, "ada", "desk");
    assert_eq!(bind(&*routes, &phone).await, []);
    assert_eq!(bind(&*routes, &desk).await, []);
    assert_eq!(locate(&*routes, "ada").await, [phone, desk]);
}

pub(crate) async fn a_device_replaces_its_older_connection(fixture: impl Fixture) {
    let routes = attached(&fixture).await;
    let old = route(1, 11, "ada", "phone");
    let new = Route { since_ms: old.since_ms + 5, ..route(2, 21, "ada", "phone") };
    bind(&*routes, &old).await;
    assert_eq!(bind(&*routes, &new).await, [old]);
    assert_eq!(locate(&*routes, "ada").await, [new]);
}

pub(crate) async fn an_outdated_connection_does_not_replace_a_younger_one(fixture: impl Fixture) {
    let routes = attached(&fixture).await;
    let old = route(1, 11, "ada", "phone");
    let new = Route { since_ms: old.since_ms + 5, ..route(2, 21, "ada", "phone") };
    bind(&*routes, &new).await;
    assert_eq!(bind(&*routes, &old).await, [old], "it is the one that is replaced");
    assert_eq!(locate(&*routes, "ada").await, [new]);
}

pub(crate) async fn binding_again_replaces_nothing(fixture: impl Fixture) {
    let routes = attached(&fixture).await;
    let phone = route(1, 11, "ada", "phone");
    bind(&*routes, &phone).await;
    assert_eq!(bind(&*routes, &phone).await, []);
    assert_eq!(locate(&*routes, "ada").await, [phone]);
    let counts = routes.counts(APP).await.unwrap();
    assert_eq!((counts[0].connections, counts[0].users), (1, 1));
}

pub(crate) async fn anonymous_connections_replace_nobody(fixture: impl Fixture) {
    let routes = attached(&fixture).await;
    let one = route(1, 11, "ada", "");
    let two = route(1, 12, "ada", "");
    assert_eq!(bind(&*routes, &one).await, []);
    assert_eq!(bind(&*routes, &two).await, []);
    assert_eq!(locate(&*routes, "ada").await, [one, two]);
}

pub(crate) async fn unbind_removes_only_its_own_connection(fixture: impl Fixture) {
    let routes = attached(&fixture).await;
    let old = route(1, 11, "ada", "phone");
    let new = Route { since_ms: old.since_ms + 5, ..route(1, 12, "ada", "phone") };
    bind(&*routes, &old).await;
    bind(&*routes, &new).await;
    routes.unbind(vec![key_of(&old)]).await.unwrap();
    assert_eq!(locate(&*routes, "ada").await, std::slice::from_ref(&new));
    let of_another_process = ConnKey { gateway_epoch: 2, ..key_of(&new) };
    routes.unbind(vec![of_another_process]).await.unwrap();
    assert_eq!(locate(&*routes, "ada").await, std::slice::from_ref(&new));
    routes.unbind(vec![key_of(&new), key_of(&new)]).await.unwrap();
    assert_eq!(locate(&*routes, "ada").await, []);
    assert_eq!(routes.counts(0).await.unwrap(), []);
}

pub(crate) async fn a_user_beyond_the_limit_loses_the_oldest(fixture: impl Fixture) {
    let routes = attached(&fixture).await;
    let of = |age: u64| Route { since_ms: age as i64, ..route(1, age, "ada", "") };
    let batch = (1..=CONNECTIONS_PER_USER_MAX as u64).map(of).collect();
    assert!(routes.bind(batch).await.unwrap().iter().all(Vec::is_empty));
    let last = of(CONNECTIONS_PER_USER_MAX as u64 + 1);
    assert_eq!(bind(&*routes, &last).await, [of(1)]);
    assert_eq!(locate(&*routes, "ada").await.len(), CONNECTIONS_PER_USER_MAX);
}

pub(crate) async fn apps_are_apart(fixture: impl Fixture) {
    let routes = attached(&fixture).await;
    let here = route(1, 11, "ada", "phone");
    let there = Route { app_id: APP + 1, ..route(1, 12, "ada", "phone") };
    bind(&*routes, &here).await;
    assert_eq!(bind(&*routes, &there).await, []);
    assert_eq!(locate(&*routes, "ada").await, [here]);
}
