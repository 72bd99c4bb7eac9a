//! On real servers: any order, services that vanish and come back, registries that do.

use super::*;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Short, and still longer than a busy machine stands still.
const LEASE: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(60);

/// A place of its own on a server that others use, too.
fn own_name() -> String {
    static MADE: AtomicU64 = AtomicU64::new(0);
    format!("test-{}", MADE.fetch_add(1, Relaxed))
}

fn redis(server: &gpusher_testbed::Redis) -> DiscoveryUrl {
    format!("{}?name={}", server.url(), own_name()).parse().unwrap()
}

fn etcd(server: &gpusher_testbed::Etcd) -> DiscoveryUrl {
    format!("etcd://{}/{}", server.address(), own_name()).parse().unwrap()
}

fn open(url: &DiscoveryUrl) -> Discovery {
    Discovery::open(url, Services::default(), LEASE).unwrap()
}

fn gateway(number: u32) -> Service {
    Service::Gateway(format!("192.0.2.{number}:7771"))
}

fn logic(name: &str) -> Service {
    Service::Logic(name.to_owned())
}

/// Waits until the set is this one.
async fn until(discovery: &Discovery, services: &[Service]) {
    let expected: Services = services.iter().cloned().collect();
    let mut known = discovery.services();
    let met = known.wait_for(|known| *known == expected);
    let met = tokio::time::timeout(PATIENCE, met).await.map(|met| met.map(drop));
    assert!(matches!(met, Ok(Ok(()))), "not {expected:?} but {:?}", discovery.services().borrow());
}

async fn services_come_go_and_come_back(url: DiscoveryUrl) {
    let early = open(&url);
    let one = open(&url).register(gateway(1));
    let two = open(&url).register(logic("b"));
    until(&early, &[gateway(1), logic("b")]).await;
    let late = open(&url);
    until(&late, &[gateway(1), logic("b")]).await;

    two.end().await;
    until(&late, &[gateway(1)]).await;
    let registered: BTreeSet<String> = late.check().await.unwrap().gateways;
    assert_eq!(registered.len(), 1);
    // As if the process had been killed: nobody takes it back, its lease runs out.
    drop(one);
    until(&early, &[]).await;
    let _again = open(&url).register(gateway(1));
    until(&early, &[gateway(1)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_come_go_and_come_back_in_redis() {
    services_come_go_and_come_back(redis(gpusher_testbed::redis())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_come_go_and_come_back_in_etcd() {
    services_come_go_and_come_back(etcd(gpusher_testbed::etcd())).await;
}

/// While a registry is away nobody is forgotten, and neither when it has forgotten everybody.
async fn nobody_is_forgotten(url: DiscoveryUrl, kill: impl Fn(), start_again: impl Fn()) {
    let observer = open(&url);
    let _one = open(&url).register(gateway(1));
    until(&observer, &[gateway(1)]).await;
    kill();
    let failed = observer.check().await;
    assert!(matches!(failed, Err(DiscoveryError::Unavailable(_))), "{failed:?}");
    let _two = open(&url).register(gateway(2));
    let mut changes = observer.services();
    changes.mark_unchanged();
    start_again();
    until(&observer, &[gateway(1), gateway(2)]).await;
    // And it stays so, for longer than any lease.
    let settled = Instant::now();
    while settled.elapsed() < LEASE * 2 {
        assert!(changes.borrow_and_update().gateways.contains("192.0.2.1:7771"));
        let _ = tokio::time::timeout(LEASE / 4, changes.changed()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_forgotten_when_redis_comes_back_empty() {
    let server = gpusher_testbed::Redis::start();
    nobody_is_forgotten(redis(&server), || server.kill(), || server.start_again()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_forgotten_when_etcd_comes_back() {
    let server = gpusher_testbed::Etcd::start();
    nobody_is_forgotten(etcd(&server), || server.kill(), || server.start_again()).await;
}

#[tokio::test]
async fn the_named_services_are_there_besides() {
    let url = redis(gpusher_testbed::redis());
    let fixed = Services::new(["192.0.2.9:7771".to_owned()], ["a".to_owned()]);
    let discovery = Discovery::open(&url, fixed, LEASE).unwrap();
    let _one = discovery.register(gateway(1));
    until(&discovery, &[gateway(1), gateway(9), logic("a")]).await;
}
