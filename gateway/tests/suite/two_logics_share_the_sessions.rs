//! Two logics attached: each login goes to one of them, the one that hashing picks, when both know of the app; each can deliver to all.

use crate::support::*;
use gpusher_gateway::config::Io;
use gpusher_gateway::links::{LinkId, LinkSet, session_hash};
use gpusher_proto::gateway::delivery;

const USERS: usize = 16;

async fn logins_are_shared_out_and_either_reaches_all(io: Io, way: Way) {
    let gateway = gateway(io, |_| {});
    let mut a = Logic::attach(&gateway, way, "a").await;
    let mut b = Logic::attach(&gateway, way, "b").await;
    a.announced().await;
    b.announced().await;
    let set = LinkSet::new(1, [(LinkId(0), "a"), (LinkId(1), "b")]);
    let mut clients = Vec::new();
    let mut shares = [0; 2];
    for n in 0..USERS {
        let user = format!("user-{n}");
        clients.push(send_login_v0(&gateway, &user).await);
        if n == 0 {
            a.acknowledge_membership().await;
            b.acknowledge_membership().await;
        }
        let owner = set.pick(session_hash(APP, &user)).expect("somebody").0 as usize;
        let logic = if owner == 0 { &mut a } else { &mut b };
        assert_eq!(logic.admit_next().await.user, user);
        shares[owner] += 1;
        clients[n].frame().await;
    }
    assert!(shares.iter().all(|&share| share > 0), "{shares:?}");
    for logic in [&mut a, &mut b] {
        let outcome = logic.deliver(live(1, "x"), delivery::Audience::Everyone(true)).await;
        assert_eq!(outcome.written as usize, USERS);
    }
    for client in &mut clients {
        client.frame().await;
        client.frame().await;
    }
    gateway.shutdown().await;
}

on_both_drivers_both_ways!(logins_are_shared_out_and_either_reaches_all);
