//! A record is committed when every gateway it went to has answered, and never before a lower one.

use super::support::*;

#[tokio::test]
async fn up_to_the_lowest_unfinished() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut one = Gateway::attach(&logic, 1).await;
    let mut two = Gateway::attach(&logic, 2).await;
    one.log_in(login("ann", "phone")).await;
    two.log_in(login("ann", "desk")).await;
    for id in 1..=3 {
        world.push(to_user(id, "ann", false)).await;
    }
    let mut of_one = Vec::new();
    let mut of_two = Vec::new();
    for _ in 0..3 {
        of_one.push(one.delivery().await);
        of_two.push(two.delivery().await);
    }
    for delivery in &of_one {
        one.written(delivery).await;
    }
    two.written(&of_two[1]).await;
    two.written(&of_two[2]).await;
    // Everything said so far has been heard when this is answered.
    one.nothing_more().await;
    two.nothing_more().await;
    assert_eq!(world.queue.committed(), 0);
    two.written(&of_two[0]).await;
    world.committed(3).await;
    let status = world.status(1, |status| status.done == 2).await;
    assert_eq!((status.gateways, status.written), (2, 2));
    logic.stop().await;
}
