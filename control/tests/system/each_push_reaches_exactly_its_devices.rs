//! Set-up: development mode with two apps; users with one or several devices, over both protocol versions at once, some in a topic. What must hold: a push of
//! each type arrives at every device it is for, once, and at no other.

use crate::support::{PATIENCE, System};
use crate::support::{forerunner, version1};
use serde_json::{Value, json};
use std::time::Instant;

/// Everybody connected: (name, connection).
struct Crowd {
    old: Vec<(&'static str, forerunner::Client)>,
    new: Vec<(&'static str, version1::Client)>,
}

impl Crowd {
    async fn gather(system: &System) -> Self {
        let address = system.clients();
        let mut room = version1::Client::login(address, "carol", "tablet").await;
        assert_eq!(room.join(1, "room").await.0, 0);
        Self {
            old: vec![
                ("alice/old", forerunner::Client::login(address, "alice").await),
                ("alice/old2", forerunner::Client::login(address, "alice").await),
                ("bob/old", forerunner::Client::login(address, "bob").await),
                (
                    "dave/old+room",
                    forerunner::Client::login_with_key(address, "dave", "room").await,
                ),
            ],
            new: vec![
                ("alice/phone", version1::Client::login(address, "alice", "phone").await),
                ("bob/phone", version1::Client::login(address, "bob", "phone").await),
                ("carol/tablet+room", room),
            ],
        }
    }

    /// Pushes, then asks everyone who got it. A second push to all tells that nothing else was under way.
    async fn receivers(&mut self, system: &System, body: Value) -> Vec<&'static str> {
        let content = body["content"].as_str().expect("a content").to_owned();
        let id = system.push(body).await;
        let path = format!("/v1/push/{id}");
        system.get_until(&path, |answer| answer["Data"]["state"] == "done").await;
        let end = format!("end of {content}");
        system.push(json!({"type": 3, "content": end})).await;
        let mut receivers = Vec::new();
        for (name, client) in &mut self.old {
            let first = client.push().await["content"].clone();
            if first != end {
                assert_eq!(first, content);
                receivers.push(*name);
                assert_eq!(client.push().await["content"], end, "{name}");
            }
        }
        for (name, client) in &mut self.new {
            let first = client.push().await.content;
            if first != end {
                assert_eq!(first, content);
                receivers.push(*name);
                assert_eq!(client.push().await.content, end, "{name}");
            }
        }
        receivers
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_both_versions_at_once() {
    let data = tempfile::tempdir().unwrap();
    let system = System::start(data.path()).await;
    let mut crowd = Crowd::gather(&system).await;
    for kept in [false, true] {
        let alice = json!({"type": 1, "uuid": "alice", "content": "one", "offlinePush": kept});
        let got = crowd.receivers(&system, alice).await;
        assert_eq!(got, ["alice/old", "alice/old2", "alice/phone"]);

        let app = json!({"type": 2, "uuid": "ignored", "content": "app", "offlinePush": kept});
        assert_eq!(crowd.receivers(&system, app).await.len(), 7);

        let all = json!({"type": 3, "content": "everyone", "offlinePush": kept});
        assert_eq!(crowd.receivers(&system, all).await.len(), 7);

        let room = json!({"type": 4, "topic": "room", "content": "room", "offlinePush": kept});
        let got = crowd.receivers(&system, room).await;
        assert_eq!(got, ["dave/old+room", "carol/tablet+room"]);

        let list = json!({"type": 5, "uuids": ["bob", "carol", "nobody"], "content": "list",
            "offlinePush": kept});
        let got = crowd.receivers(&system, list).await;
        assert_eq!(got, ["bob/old", "bob/phone", "carol/tablet+room"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_apps_get_only_what_is_for_everyone() {
    let data = tempfile::tempdir().unwrap();
    let system = System::start(data.path()).await;
    let answer = system.post("/v1/apps", &json!({"id": 2000, "tag": "app_other"})).await;
    assert_eq!(answer["Code"], 1, "{answer}");

    let mut ours = forerunner::Client::login(system.clients(), "alice").await;
    let mut theirs = login_to_new_app(&system).await;

    system.push(json!({"type": 1, "uuid": "alice", "content": "ours"})).await;
    system.push(json!({"type": 2, "content": "our app"})).await;
    let other = json!({"tag": "app_other", "body": {"type": 2, "content": "their app"}});
    assert_eq!(system.post("/v1/push", &other).await["Code"], 1);
    system.push(json!({"type": 3, "content": "everyone"})).await;

    assert_eq!(ours.contents(3).await, ["ours", "our app", "everyone"]);
    assert_eq!(theirs.contents(2).await, ["their app", "everyone"]);
    ours.expect_nothing_more().await;
    theirs.expect_nothing_more().await;
}

/// A new app is known to the gateways after a moment; until then its logins are refused.
async fn login_to_new_app(system: &System) -> forerunner::Client {
    let body = json!({"appId": 2000, "uuid": "alice", "key": "app_other", "token": "t"});
    let login = forerunner::frame(forerunner::HEARTBEAT, 0, 1, body.to_string().as_bytes());
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut client = forerunner::Client::connect(system.clients()).await;
        client.write(&login).await;
        let answer = client.read().await.unwrap();
        if answer.kind == forerunner::HEARTBEAT {
            return client;
        }
        assert_eq!(answer.json()["code"], 101, "unknown app");
        assert!(Instant::now() < deadline, "the new app never became known");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_a_topic_ends_its_messages() {
    let data = tempfile::tempdir().unwrap();
    let system = System::start(data.path()).await;
    let mut client = version1::Client::login(system.clients(), "carol", "").await;
    assert_eq!(client.join(1, "room").await.0, 0);
    system.push(json!({"type": 4, "topic": "room", "content": "in"})).await;
    let push = client.push().await;
    assert_eq!(
        (push.content.as_str(), push.topic.as_deref(), push.channel),
        ("in", Some("room"), 3)
    );
    assert_eq!(client.leave(2, "room").await, 0);
    system.push(json!({"type": 4, "topic": "room", "content": "out"})).await;
    system.push(json!({"type": 1, "uuid": "carol", "content": "own"})).await;
    assert_eq!(client.push().await.content, "own");
}
