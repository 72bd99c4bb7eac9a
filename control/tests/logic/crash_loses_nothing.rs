//! The instance dies between a delivery and its outcome; another one starts with the same store and queue. What was kept arrives, with the
//! number it had; what was not committed is delivered again.

use super::support::*;

#[test]
fn between_delivery_and_outcome() {
    let test = tokio::runtime::Runtime::new().unwrap();
    let mut world = test.block_on(World::new());
    let doomed = tokio::runtime::Runtime::new().unwrap();
    let (logic, gateway, seq) = doomed.block_on(async {
        let logic = world.start().await;
        let mut gateway = Gateway::attach(&logic, 1).await;
        gateway.log_in(login("ann", "phone")).await;
        world.push(to_user(1, "ann", true)).await;
        world.push(to_user(2, "bob", true)).await;
        world.push(to_user(3, "ann", false)).await;
        let delivery = gateway.delivery().await;
        gateway.delivery().await;
        (logic, gateway, delivery.message.unwrap().seq)
    });
    // As if killed: no task of it runs any more, and what was in memory is gone. The gateway goes later: its end would count as an outcome.
    doomed.shutdown_background();
    drop((logic, gateway));
    world.routes = Default::default();
    assert_eq!(world.queue.committed(), 0);

    test.block_on(async {
        let logic = world.start().await;
        let mut gateway = Gateway::attach(&logic, 1).await;
        world.committed(3).await;
        for (user, id) in [("ann", 1), ("bob", 2)] {
            let (_, messages) = gateway.log_in(login(user, "phone")).await;
            assert_eq!(messages.iter().map(|message| message.id).collect::<Vec<_>>(), [id]);
            assert!(user != "ann" || messages[0].seq == seq);
        }
        logic.stop().await;
    });
}
