//! Set-up: development mode, kept pushes to users that are away or connected; the process is killed with SIGKILL right after an HTTP answer.
//! What must hold: after the next start every accepted push arrives, in order; a client may see a push twice, never not at all.

use crate::support::System;
use crate::support::forerunner::Client;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn between_answer_and_delivery() {
    let data = tempfile::tempdir().unwrap();
    let mut system = System::start(data.path()).await;
    let mut accepted = Vec::new();
    for round in 0..8 {
        for number in 0..20 {
            let content = format!("{round}.{number}");
            let push = json!({"type": 1, "uuid": "survivor", "content": content,
                "offlinePush": true});
            system.push(push).await;
            accepted.push(content);
        }
        system.crash_and_restart().await;
    }
    let mut client = Client::login(system.clients(), "survivor").await;
    assert_eq!(client.contents(accepted.len()).await, accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_receiver_is_connected() {
    let data = tempfile::tempdir().unwrap();
    let mut system = System::start(data.path()).await;
    let mut wanted = Vec::new();
    let mut seen = Vec::new();
    for round in 0..5 {
        let client = Client::login(system.clients(), "connected").await;
        for number in 0..20 {
            let content = format!("{round}.{number}");
            let push = json!({"type": 1, "uuid": "connected", "content": content,
                "offlinePush": true});
            system.push(push).await;
            wanted.push(content);
        }
        system.kill();
        seen.extend(client.drain_contents().await);
        system.restart().await;
    }
    system
        .push(json!({"type": 1, "uuid": "connected", "content": "end", "offlinePush": true}))
        .await;
    let mut client = Client::login(system.clients(), "connected").await;
    loop {
        let content = client.contents(1).await.remove(0);
        if content == "end" {
            break;
        }
        seen.push(content);
    }
    seen.sort_by_key(|content| wanted.iter().position(|other| other == content));
    seen.dedup();
    assert_eq!(seen, wanted);
}
