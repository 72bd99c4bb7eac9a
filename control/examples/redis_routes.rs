//! What routes in Redis cost: bytes a connection, bindings and lookups a second. Empties nothing: give it a server of its own.
//!
//! `redis-server --port 6390 --save '' & cargo run --release --example redis_routes -- redis://127.0.0.1:6390 1000000`

#![forbid(unsafe_code)]

use gpusher_control::routes::Routes;
use gpusher_control::routes::redis::RedisRoutes;
use gpusher_proto::data::{GatewayLease, Route, RoutePage, UserInApp};
use gpusher_redis::{Redis, RedisUrl, cmd};
use std::time::{Duration, Instant};

/// As logic binds them at once.
const BATCH: u64 = 512;
const LOOKUPS: u64 = 100_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let url: RedisUrl = arguments.next().unwrap_or("redis://127.0.0.1:6390".into()).parse()?;
    let connections: u64 = arguments.next().unwrap_or("1000000".into()).parse()?;
    let server = Redis::new(url.clone());
    let routes = RedisRoutes::open(url);
    let lease = GatewayLease { gateway: 1, epoch: 1, lease_ms: 3_600_000, ..Default::default() };
    routes.attach(lease).await?;

    let before = used_bytes(&server).await?;
    let bound = timed(connections, BATCH, async |batch| {
        routes.bind(batch.map(route).collect()).await.map(drop)
    });
    report("bindings", connections, bound.await?);
    let bytes = used_bytes(&server).await?.saturating_sub(before);
    println!("{:.1} bytes a connection", bytes as f64 / connections as f64);

    for batch in [1, BATCH] {
        let lookups = if batch == 1 { LOOKUPS / 20 } else { LOOKUPS };
        let step = (connections / lookups).max(1);
        let located = timed(lookups, batch, async |places| {
            let user = |place| UserInApp { app_id: 1000, user: name(place * step) };
            routes.locate(places.map(user).collect()).await.map(drop)
        });
        report(&format!("lookups, {batch} at once"), lookups, located.await?);
    }
    let began = Instant::now();
    let after_user = name(connections / 2);
    routes.list(RoutePage { app_id: 1000, after_user, ..Default::default() }).await?;
    println!("page of 1,000: {:.1} ms", began.elapsed().as_secs_f64() * 1e3);
    let began = Instant::now();
    let counts = routes.counts(0).await?;
    println!("counts: {:.1} ms, {counts:?}", began.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

/// Sixteen characters.
fn name(number: u64) -> String {
    format!("user-{number:011}")
}

fn route(number: u64) -> Route {
    Route {
        conn: number,
        app_id: 1000,
        user: name(number),
        device: String::new(),
        gateway: 1,
        gateway_epoch: 1,
        version: 1,
        since_ms: 1_800_000_000_000,
    }
}

async fn timed<E>(
    all: u64,
    batch: u64,
    call: impl AsyncFn(std::ops::Range<u64>) -> Result<(), E>,
) -> Result<Duration, E> {
    let began = Instant::now();
    for first in (0..all).step_by(batch as usize) {
        call(first..all.min(first + batch)).await?;
    }
    Ok(began.elapsed())
}

fn report(what: &str, number: u64, took: Duration) {
    println!("{what}: {:.0} a second", number as f64 / took.as_secs_f64());
}

async fn used_bytes(server: &Redis) -> anyhow::Result<u64> {
    let info: String = server.call(cmd("INFO").arg("memory")).await?;
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    Ok(used.ok_or_else(|| anyhow::anyhow!("redis does not say what it uses"))?.trim().parse()?)
}
