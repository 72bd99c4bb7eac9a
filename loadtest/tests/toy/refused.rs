//! What must hold: a system that does not do its part fails the run.

use crate::system::{CONNECTIONS, config, perform};
use gpusher_loadtest::account::Token;
use gpusher_loadtest::protocol::Name;

#[tokio::test(flavor = "multi_thread")]
async fn pushes_without_the_key_are_refused_and_fail_the_run() {
    let mut config = config(Name::V1, &["unicast:rate=200,count=10"]);
    config.api_key = None;
    config.plan.count = 3;
    let report = perform(config).await;
    let phase = &report.steps[0].phases[0];
    assert_eq!((phase.accepted, phase.refused, phase.lost), (0, 10, 10));
    assert!(!report.passed());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_wrong_token_is_refused_and_fails_the_run() {
    let mut config = config(Name::V0, &[]);
    config.plan.account.token = Token::signed(b"another secret than theirs");
    let report = perform(config).await;
    assert_eq!(report.logged_in, 0);
    assert_eq!(report.connections, CONNECTIONS);
    assert!(!report.passed());
}
