//! Counts and pages.

use super::*;

pub(crate) async fn counts_follow_connections(fixture: impl Fixture) {
    let routes = attached(&fixture).await;
    let elsewhere = Route { app_id: APP + 1, ..route(2, 22, "ada", "phone") };
    let batch = vec![
        route(1, 11, "ada", "phone"),
        route(2, 21, "ada", "desk"),
        route(1, 12, "bob", ""),
        elsewhere,
    ];
    routes.bind(batch).await.unwrap();
    let here = Count { app_id: APP, connections: 3, users: 2 };
    let there = Count { app_id: APP + 1, connections: 1, users: 1 };
    assert_eq!(routes.counts(0).await.unwrap(), [here, there]);
    assert_eq!(routes.counts(APP).await.unwrap(), [here]);
    assert_eq!(routes.counts(7).await.unwrap(), []);
    routes.detach(1, 1).await.unwrap();
    let left = Count { app_id: APP, connections: 1, users: 1 };
    assert_eq!(routes.counts(0).await.unwrap(), [left, there]);
}

pub(crate) async fn pages_list_every_route_once_in_order(fixture: impl Fixture) {
    let routes = attached(&fixture).await;
    let mut all = Vec::new();
    for user in 0..40 {
        for conn in 0..3 {
            // High numbers are low ones to whom reads them as signed.
            let conn = (u64::MAX - user * 10).wrapping_add(conn * 50);
            all.push(route(1 + user as u32 % 2, conn, &format!("user-{user}"), ""));
        }
    }
    let elsewhere = Route { app_id: APP + 1, ..route(1, 1, "user-1", "") };
    routes.bind(all.iter().cloned().chain([elsewhere]).collect()).await.unwrap();
    all.sort_by(|a, b| (&a.user, a.conn).cmp(&(&b.user, b.conn)));

    let mut listed: Vec<Route> = Vec::new();
    loop {
        let last = listed.last().cloned().unwrap_or_default();
        let page =
            RoutePage { app_id: APP, after_user: last.user, after_conn: last.conn, limit: 7 };
        let page = routes.list(page).await.unwrap();
        assert!(page.len() <= 7);
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    assert_eq!(listed, all);
    let page = RoutePage { app_id: APP, ..RoutePage::default() };
    assert_eq!(routes.list(page).await.unwrap(), all);
}

pub(crate) async fn concurrent_bindings_are_all_counted(fixture: impl Fixture) {
    const TASKS: u64 = 4;
    const EACH: u64 = 200;
    let routes = attached(&fixture).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let routes = routes.clone();
            tokio::spawn(async move {
                for n in 0..EACH {
                    let user = format!("user-{}", n % 20);
                    let bound = route(1, task * EACH + n, &user, "");
                    routes.bind(vec![bound.clone()]).await.unwrap();
                    if n % 2 == 1 {
                        routes.unbind(vec![key_of(&bound)]).await.unwrap();
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let expected = Count { app_id: APP, connections: TASKS * EACH / 2, users: 10 };
    assert_eq!(routes.counts(APP).await.unwrap(), [expected]);
}
