//! A gateway that is told to stop asks its clients to go, closes them after the grace time, and leaves nothing behind.

use crate::support::*;
use gpusher_gateway::config::Io;
use gpusher_proto::wire::Code;
use gpusher_proto::wire::v1::ServerFrame;
use std::net::TcpStream;

async fn clients_are_asked_then_closed(io: Io) {
    let gateway = gateway(io, |_| {});
    let address = gateway.client_addr();
    let mut logic = Logic::attach(&gateway, Way::InProcess, "a").await;
    let mut client = send_login_v1(&gateway, "u").await;
    logic.admit_next().await;
    client.frame().await;
    client.frame().await;

    let stopped = tokio::spawn(gateway.shutdown());
    let asked = client.frame().await;
    let ServerFrame::GoAway(go) = as_v1(&asked) else { panic!("not a GOAWAY: {asked:?}") };
    assert_eq!((go.reason, go.close_in_ms), (Code::ShuttingDown.number(), 200));
    client.ended().await;
    stopped.await.expect("a clean end");
    assert!(TcpStream::connect(address).is_err());
}

on_both_drivers!(clients_are_asked_then_closed);
