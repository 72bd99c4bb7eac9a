//! Two gateways, one breaks in the middle: its part of a push counts as done, the other's is still awaited; when it comes back and announces
//! its sessions, they get what they did not acknowledge.

use super::support::*;
use gpusher_proto::gateway::Opened;

#[tokio::test]
async fn and_its_sessions_are_replayed_to_when_it_is_back() {
    let world = World::new().await;
    let logic = world.start().await;
    let mut one = Gateway::attach(&logic, 1).await;
    let mut two = Gateway::attach(&logic, 2).await;
    let (ann, _) = one.log_in(login("ann", "phone")).await;
    two.log_in(login("bob", "phone")).await;
    world.push(to_app(1, true)).await;
    one.delivery().await;
    let delivery = two.delivery().await;
    one.break_link();
    two.nothing_more().await;
    assert_eq!(world.queue.committed(), 0);
    two.written(&delivery).await;
    world.committed(1).await;

    let mut one = Gateway::attach(&logic, 1).await;
    let again = Opened { conn: ann, again: true, ..login("ann", "phone") };
    one.report(gpusher_proto::gateway::event::Kind::Opened(again)).await;
    let (messages, done) = one.replay(ann).await;
    assert_eq!(messages.iter().map(|message| message.id).collect::<Vec<_>>(), [1]);
    assert_eq!(done.positions.len(), 3);
    assert_eq!(world.located("ann", 1).await[0].conn, ann);
    logic.stop().await;
}
