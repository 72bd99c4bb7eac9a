//! Logic takes two logins a second, and six come at once: those above a second's worth are told times of return, one after the other at the
//! rate, and are taken when they come back.

use crate::support::{Gateway, World, login};
use gpusher_proto::gateway::{Admit, command};

#[tokio::test]
async fn logins_above_the_rate_come_back_later() {
    let mut world = World::new().await;
    world.limits.logins_per_s = 2;
    let logic = world.start().await;
    let mut gateway = Gateway::attach(&logic, 1).await;
    for number in 0..6 {
        gateway.opened(login(&format!("user{number}"), "phone")).await;
    }
    let mut verdicts = Vec::new();
    while verdicts.len() < 6 {
        if let command::Kind::Admit(Admit { code, delay_ms, .. }) = gateway.next().await {
            verdicts.push((code, delay_ms));
        }
    }
    verdicts.sort_unstable();
    assert_eq!(verdicts, [(0, 0), (0, 0), (0, 0), (401, 1_000), (401, 1_500), (401, 2_000)]);
    world.advance(1_000);
    gateway.log_in_past(login("user3", "phone")).await;
}
