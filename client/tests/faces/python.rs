//! The Python example, which was written from WIRE.md alone.

use crate::server::Server;
use std::path::PathBuf;
use std::process::{Command, Output};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn run(arguments: &[&str]) -> Output {
    let program = root().join("examples/python/gpusher_client.py");
    let mut command = Command::new("python3");
    command.arg("-B").arg(program).args(arguments);
    command.output().expect("python3 is installed")
}

fn lines(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn passes_the_vectors() {
    let vectors = root().join("proto/vectors");
    let output = run(&["--self-check", vectors.to_str().unwrap()]);
    let last = lines(&output).pop().unwrap();
    let count: u32 = last.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(last, format!("{count} of {count} vectors pass"));
    assert!(count > 100, "{last}");
}

#[test]
fn finds_a_wrong_vector() {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(root().join("proto/vectors")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let changed = text.replace("\"request\": \"1\"", "\"request\": \"3\"");
        std::fs::write(folder.path().join(path.file_name().unwrap()), changed).unwrap();
    }
    let output = run(&["--self-check", folder.path().to_str().unwrap()]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("v1_answer.json: done"), "{output:?}");
}

#[test]
fn both_versions_receive_and_acknowledge() {
    for version in [&[][..], &["--v0"]] {
        let server = Server::start();
        server.with(|hub| hub.log.extend(["one".into(), "two".into(), "three".into()]));
        let gateway = server.addr.to_string();
        let arguments = ["--user", "alice", "--gateway", &gateway, "--count", "3", "--quiet"];
        let output = run(&[&arguments[..], version].concat());
        assert_eq!(lines(&output), ["[user] one", "[user] two", "[user] three"]);
        server.until("all is acknowledged", |hub| hub.acked == 3);
    }
}

#[test]
fn both_versions_send() {
    for version in [&[][..], &["--v0"]] {
        let server = Server::start();
        let gateway = server.addr.to_string();
        let arguments = ["--user", "alice", "--gateway", &gateway, "--send-to"];
        let output = run(&[&arguments[..], &["bob", "hi"], version].concat());
        assert_eq!(lines(&output), ["42"]);
        let output = run(&[&arguments[..], &["nobody", "hi"], version].concat());
        assert!(String::from_utf8_lossy(&output.stderr).contains("no_such_target"), "{output:?}");
    }
}

#[test]
fn resumes_over_a_cut_with_its_state_file() {
    let server = Server::start();
    server.with(|hub| hub.log.extend((0..5).map(|n| format!("m{n}"))));
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let gateway = server.addr.to_string();
    let arguments =
        ["--user", "alice", "--gateway", gateway.as_str(), "--state", state.to_str().unwrap()];
    let arguments = [&arguments[..], &["--count", "10", "--quiet", "--topic", "news"]].concat();
    let cutting = server.clone();
    let cutter = std::thread::spawn(move || {
        cutting.until("something is acknowledged", |hub| hub.acked > 0);
        cutting.with(|hub| hub.cut_below = hub.logins + 1);
        cutting.with(|hub| hub.log.extend((5..10).map(|n| format!("m{n}"))));
    });
    let expected: Vec<String> = (0..10).map(|n| format!("[user] m{n}")).collect();
    assert_eq!(lines(&run(&arguments)), expected);
    cutter.join().unwrap();
    server.until("all is acknowledged", |hub| hub.acked == 10);
    assert_eq!(server.with(|hub| hub.joined.clone()), ["news", "news"]);
}
