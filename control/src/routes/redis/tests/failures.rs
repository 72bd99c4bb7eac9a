//! Servers that die, stand still, come back empty, or are replaced.

use super::*;
use crate::routes::RoutePage;
use gpusher_testbed::RedisSentinel;

/// A busy machine takes its time; nothing is known to take this long.
const PATIENCE: Duration = Duration::from_secs(60);

fn lease() -> GatewayLease {
    GatewayLease { gateway: 1, epoch: 1, lease_ms: 60_000, ..GatewayLease::default() }
}

fn route() -> Route {
    let (user, device) = ("ada".to_owned(), "phone".to_owned());
    Route {
        conn: 7,
        app_id: 1000,
        user,
        device,
        gateway: 1,
        gateway_epoch: 1,
        version: 1,
        since_ms: 5,
    }
}

async fn locate(routes: &RedisRoutes) -> Result<Vec<Route>> {
    let user = UserInApp { app_id: 1000, user: "ada".into() };
    Ok(routes.locate(vec![user]).await?.remove(0))
}

/// Calls until the server answers.
async fn answered<T>(call: impl AsyncFn() -> Result<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(error) => {
                assert_eq!(error.code, Code::Unavailable, "{error}");
                assert!(Instant::now() < deadline, "{error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

async fn is_unavailable(routes: &RedisRoutes) {
    assert_eq!(locate(routes).await.unwrap_err().code, Code::Unavailable);
    assert_eq!(routes.renew(lease()).await.unwrap_err().code, Code::Unavailable);
    assert_eq!(routes.bind(vec![route()]).await.unwrap_err().code, Code::Unavailable);
    assert_eq!(routes.list(RoutePage::default()).await.unwrap_err().code, Code::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_lost_everything_is_told_again() {
    let server = gpusher_testbed::Redis::start();
    let routes = RedisRoutes::open(server.url().parse().unwrap());
    routes.attach(lease()).await.unwrap();
    routes.bind(vec![route()]).await.unwrap();
    assert_eq!(locate(&routes).await.unwrap(), [route()]);

    server.kill();
    is_unavailable(&routes).await;
    server.start_again();

    assert_eq!(answered(async || locate(&routes).await).await, []);
    assert!(!answered(async || routes.renew(lease()).await).await, "the lease is gone, too");
    assert_eq!(routes.bind(vec![route()]).await.unwrap(), [vec![]]);
    assert_eq!(locate(&routes).await.unwrap(), [], "nothing is bound without a lease");
    routes.attach(lease()).await.unwrap();
    routes.bind(vec![route()]).await.unwrap();
    assert_eq!(locate(&routes).await.unwrap(), [route()]);
}

/// Two processes: one tells the server that lost everything of the gateway again, the other still knows the lease from before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_knows_old_leases_binds_under_the_new_ones() {
    let server = gpusher_testbed::Redis::start();
    let [first, second] = [0; 2].map(|_| RedisRoutes::open(server.url().parse().unwrap()));
    first.attach(lease()).await.unwrap();
    second.bind(vec![route()]).await.unwrap();
    server.kill();
    server.start_again();
    answered(async || first.attach(lease()).await).await;
    assert_eq!(locate(&first).await.unwrap(), []);
    answered(async || second.bind(vec![route()]).await).await;
    assert_eq!(locate(&first).await.unwrap(), [route()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_is_unavailable_until_it_goes_on() {
    let server = gpusher_testbed::Redis::start();
    let routes = RedisRoutes::open(server.url().parse().unwrap());
    routes.attach(lease()).await.unwrap();
    routes.bind(vec![route()]).await.unwrap();
    server.pause();
    assert_eq!(locate(&routes).await.unwrap_err().code, Code::Unavailable);
    server.resume();
    assert_eq!(answered(async || locate(&routes).await).await, [route()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_replica_that_a_sentinel_promotes_is_found() {
    let servers = RedisSentinel::start();
    let url = format!("redis+sentinel://{}/{}", servers.sentinel(), RedisSentinel::SERVICE);
    let routes = RedisRoutes::open(url.parse().unwrap());
    answered(async || routes.attach(lease()).await).await;
    answered(async || routes.bind(vec![route()]).await).await;
    answered(async || {
        let replicas: u64 = routes.call(gpusher_redis::cmd("WAIT").arg(1).arg(1000)).await?;
        match replicas {
            0 => Err(Error::new(Code::Unavailable, "not replicated")),
            _ => Ok(()),
        }
    })
    .await;
    servers.kill_master();
    assert_eq!(answered(async || locate(&routes).await).await, [route()]);
    assert!(answered(async || routes.renew(lease()).await).await);
}
