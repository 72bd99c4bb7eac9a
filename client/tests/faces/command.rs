//! `gpusher` as a user runs it.

use crate::server::Server;
use std::process::{Command, Output};

fn run(server: &Server, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gpusher"));
    let gateway = server.addr.to_string();
    command.args(arguments).args(["--gateway", gateway.as_str()]);
    command.output().unwrap()
}

fn lines(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn listen_goes_on_where_its_state_file_says() {
    let server = Server::start();
    server.with(|hub| hub.log.extend(["one".into(), "two".into(), "three".into()]));
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let listen = |count| {
        let state = state.to_str().unwrap();
        let arguments =
            ["listen", "--user", "alice", "--quiet", "--state", state, "--count", count];
        lines(&run(&server, &arguments))
    };
    assert_eq!(listen("2"), ["[user] one", "[user] two"]);
    server.until("both are acknowledged", |hub| hub.acked == 2);
    assert_eq!(listen("1"), ["[user] three"]);
}

#[test]
fn listen_prints_json() {
    let server = Server::start();
    server.with(|hub| hub.log.push("one".into()));
    let output = run(&server, &["listen", "--user", "alice", "--json", "--count", "1"]);
    let message: serde_json::Value = serde_json::from_str(&lines(&output)[0]).unwrap();
    let expected = serde_json::json!({"id": "1", "channel": "user", "seq": "1", "kept": true, "content": "one"});
    assert_eq!(message, expected);
}

#[test]
fn subscribe_joins_and_prints_topics_only() {
    let server = Server::start();
    server.with(|hub| hub.log.push("not of the topic".into()));
    server.with(|hub| hub.topic_messages.push(("news".into(), "extra".into())));
    let output = run(&server, &["subscribe", "--user", "alice", "--topic", "news", "--count", "1"]);
    assert_eq!(lines(&output), ["[topic news from bob] extra"]);
}

#[test]
fn send_prints_the_id_or_fails() {
    let server = Server::start();
    assert_eq!(lines(&run(&server, &["send", "--user", "alice", "--to", "bob", "hi"])), ["42"]);
    assert_eq!(lines(&run(&server, &["send", "--user", "alice", "--app-inbox", "hello"])), ["42"]);
    let output = run(&server, &["send", "--user", "alice", "--to", "nobody", "hi"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("no_such_target"), "{output:?}");
    assert_eq!(server.with(|hub| hub.sent_by_clients[1].clone()), "Application  hello");
}

#[test]
fn a_refused_token_is_explained() {
    let server = Server::start();
    server.with(|hub| hub.bad_token = Some("old".into()));
    let output = run(&server, &["listen", "--user", "alice", "--token", "old"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--password"), "{output:?}");
}
