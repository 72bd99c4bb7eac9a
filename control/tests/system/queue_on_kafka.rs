//! Set-up: the queue on a Kafka broker of this test's own, which is killed, and the process too.
//! What must hold: while the broker is away, pushes are refused with 503 and Retry-After, in bounded time; what was accepted arrives, in order.

use crate::support::forerunner::Client;
use crate::support::{PATIENCE, System};
use gpusher_testbed::Kafka;
use reqwest::header::RETRY_AFTER;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn push(content: &str) -> Value {
    json!({"type": 1, "uuid": "survivor", "content": content, "offlinePush": true})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_outlives_broker_and_process() {
    let (broker, data) = (Kafka::start(), tempfile::tempdir().unwrap());
    let url = format!("kafka://{}", broker.broker());
    let environment = [
        ("GPUSHER_CONTROL__QUEUE__URL", &url[..]),
        ("GPUSHER_CONTROL__QUEUE__KAFKA__PARTITIONS", "4"),
        ("GPUSHER_CONTROL__QUEUE__KAFKA__PUBLISH_TIMEOUT_MS", "1000"),
    ];
    let mut system = System::start_with(data.path(), &environment).await;
    let mut accepted = Vec::new();
    for round in 0..3 {
        for number in 0..20 {
            let content = format!("{round}.{number}");
            system.push(push(&content)).await;
            accepted.push(content);
        }
        match round {
            0 => system.crash_and_restart().await,
            1 => {
                broker.kill();
                let refused = system.try_push(push("refused")).await;
                assert_eq!(refused.status(), 503);
                assert!(refused.headers().contains_key(RETRY_AFTER));
                broker.start_again();
                let deadline = Instant::now() + 3 * PATIENCE;
                while !system.try_push(push("back")).await.status().is_success() {
                    assert!(Instant::now() < deadline, "the queue is not back");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            _ => {}
        }
    }
    let mut client = Client::login(system.clients(), "survivor").await;
    let mut received = Vec::new();
    while received.len() < accepted.len() {
        let content = client.contents(1).await.remove(0);
        // Refused and delivered all the same is allowed, more than one of these, and a repeat: what a kill leaves uncommitted comes again.
        if content != "refused" && content != "back" && !received.contains(&content) {
            received.push(content);
        }
    }
    assert_eq!(received, accepted);
}
