//! Bad input of every kind ends the connection it came on, counted by reason; a good client beside it is served all the time.

use crate::support::*;
use gpusher_gateway::Gateway;
use gpusher_gateway::config::Io;
use gpusher_gateway::metrics::ShardCount;
use gpusher_proto::wire::Code;
use std::time::Duration;

fn closed_with(gateway: &Gateway, code: Code) -> u64 {
    let counts = gateway.metrics().shards.iter().flat_map(|shard| shard.closed_by_code());
    counts.filter(|&(number, _)| number == code.number()).map(|(_, count)| count).sum()
}

async fn the_good_client_is_served(io: Io) {
    let gateway = gateway(io, |config| config.deadlines.login = Duration::from_millis(500));
    let mut logic = Logic::attach(&gateway, Way::InProcess, "a").await;
    let mut good = send_login_v0(&gateway, "good").await;
    let conn = logic.admit_next().await.conn;
    good.frame().await;

    let huge = [0x45, 1, 1, 0, 0xff, 0xff, 0xff, 0xff];
    let half = &login_v0("half", TAG)[..30];
    let bad: [(&[u8], Code); 5] = [
        (b"GET / HTTP/1.1\r\n\r\n", Code::BadMagic),
        (&[0x45, 9, 0, 0, 0, 0, 0, 0], Code::BadVersion),
        (&huge, Code::TooLarge),
        (half, Code::LoginDeadline),
        (b"", Code::LoginDeadline),
    ];
    let mut seq = 0;
    for (bytes, code) in bad {
        let before = closed_with(&gateway, code);
        let mut client = Client::connect(&gateway).await;
        client.send(bytes).await;
        client.ended().await;
        until(|| closed_with(&gateway, code) == before + 1).await;
        seq += 1;
        logic.deliver(live(seq, "unharmed"), to(conn)).await;
        assert_eq!(as_v0(&good.frame().await).stream_id, seq);
    }
    until(|| gateway.metrics().sum(ShardCount::Connections) == 1).await;
    gateway.shutdown().await;
}

on_both_drivers!(the_good_client_is_served);
