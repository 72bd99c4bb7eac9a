//! A gateway that gives no credit: the other one gets its messages meanwhile; after a while it is cut off and its parts count as done.

use super::support::*;
use gpusher_proto::gateway::{Announced, event};

#[tokio::test]
async fn until_it_is_cut_off() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut starved = Gateway::attach_without_credit(&logic, 1).await;
    starved.credit(3).await;
    starved.report(event::Kind::Announced(Announced::default())).await;
    let mut other = Gateway::attach(&logic, 2).await;
    starved.log_in(login("ann", "phone")).await;
    let (bob, _) = other.log_in(login("bob", "phone")).await;
    for id in 1..=5 {
        world.push(to_user(id * 2, "ann", false)).await;
        world.push(to_user(id * 2 + 1, "bob", false)).await;
    }
    for _ in 0..5 {
        let delivery = other.delivery().await;
        assert_eq!(conns(&delivery), [bob]);
        other.written(&delivery).await;
    }
    other.nothing_more().await;
    assert_eq!(world.queue.committed(), 0);
    let done = eventually(async || {
        world.advance(10_000);
        world.queue.committed() == 10
    });
    done.await.expect("the queue moves on without it");
    logic.stop().await;
}
