//! More clients than the gateway may hold: those too many are closed at once and counted, the others do not notice.

use crate::support::*;
use gpusher_gateway::config::Io;
use gpusher_gateway::metrics::ShardCount;

async fn the_limit_holds(io: Io) {
    let gateway = gateway(io, |config| {
        config.shards = Some(1);
        config.connections_max = Some(2);
    });
    let mut logic = Logic::attach(&gateway, Way::InProcess, "a").await;
    let mut inside = Vec::new();
    for user in ["u0", "u1"] {
        let mut client = send_login_v0(&gateway, user).await;
        let conn = logic.admit_next().await.conn;
        client.frame().await;
        inside.push((client, conn));
    }
    let mut outside = Client::connect(&gateway).await;
    assert_eq!(outside.ended().await, 0);
    until(|| gateway.metrics().sum(ShardCount::AcceptedOverLimit) == 1).await;
    for (client, conn) in &mut inside {
        logic.deliver(live(1, "still here"), to(*conn)).await;
        client.frame().await;
    }
    drop(inside);
    until(|| gateway.metrics().sum(ShardCount::Connections) == 0).await;
    let mut next = send_login_v0(&gateway, "u3").await;
    logic.admit_next().await;
    next.frame().await;
    gateway.shutdown().await;
}

on_both_drivers!(the_limit_holds);
