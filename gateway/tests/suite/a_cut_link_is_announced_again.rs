//! A logic goes without a word while clients are connected: they stay, the next logic is told of all of them, and delivers to them.

use crate::support::*;
use gpusher_gateway::config::Io;
use gpusher_proto::gateway::{SyncDone, command};

async fn sessions_outlive_their_logic(io: Io, way: Way) {
    let gateway = gateway(io, |_| {});
    let mut first = Logic::attach(&gateway, way, "a").await;
    let mut clients = Vec::new();
    for user in ["u0", "u1", "u2"] {
        let mut client = send_login_v0(&gateway, user).await;
        first.admit_next().await;
        client.frame().await;
        clients.push(client);
    }
    drop(first);
    let mut status = gateway.status();
    status.wait_for(|status| status.attached.is_empty()).await.expect("the link lives");

    let mut second = Logic::attach(&gateway, way, "b").await;
    let mut conns = Vec::new();
    for _ in 0..3 {
        let opened = second.opened().await;
        assert!(opened.again);
        conns.push((opened.user.clone(), opened.conn));
    }
    second.announced().await;
    conns.sort();
    let users: Vec<_> = conns.iter().map(|(user, _)| user.as_str()).collect();
    assert_eq!(users, ["u0", "u1", "u2"]);
    for (client, (user, conn)) in clients.iter_mut().zip(conns) {
        // Announced sessions hold until they have been replayed to.
        let done = SyncDone { conn, ..SyncDone::default() };
        second.command(command::Kind::SyncDone(done)).await;
        second.deliver(live(1, &user), to(conn)).await;
        assert_eq!(as_v0(&client.frame().await).stream_id, 1);
    }
    gateway.shutdown().await;
}

on_both_drivers_both_ways!(sessions_outlive_their_logic);

async fn a_login_under_way_is_told_to_the_next_logic(io: Io) {
    let gateway = gateway(io, |_| {});
    let mut first = Logic::attach(&gateway, Way::InProcess, "a").await;
    let mut client = send_login_v0(&gateway, "u").await;
    let unanswered = first.opened().await;
    drop(first);
    let mut second = Logic::attach(&gateway, Way::InProcess, "b").await;
    let opened = second.admit_next().await;
    assert_eq!((opened.conn, opened.again), (unanswered.conn, false));
    assert!(as_v0(&client.frame().await).body.is_empty());
    gateway.shutdown().await;
}

mod login {
    use super::*;
    on_both_drivers!(a_login_under_way_is_told_to_the_next_logic);
}
