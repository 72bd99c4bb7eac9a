//! The process says by its exit code whose turn it is: 64 the operator's, 69 the host's, 0 nobody's.

use crate::support::*;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

fn gateway() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gpusher-gateway"));
    command.env_clear();
    for (key, value) in [
        ("LISTEN", "127.0.0.1:0"),
        ("RPC_LISTEN", "127.0.0.1:0"),
        ("ADMIN_LISTEN", "127.0.0.1:0"),
        ("AUTH__MODE", "any"),
        ("IO", "auto"),
    ] {
        command.env(format!("GPUSHER_GATEWAY__{key}"), value);
    }
    command
}

fn says(output: &Output, text: &str) -> bool {
    String::from_utf8_lossy(&output.stderr).contains(text)
}

#[test]
fn a_wrong_command_line_or_configuration_is_64() {
    let output = gateway().arg("--bogus").output().expect("it runs");
    assert_eq!(output.status.code(), Some(64));
    let output = gateway().env("GPUSHER_GATEWAY__SHARD", "2").output().expect("it runs");
    assert_eq!(output.status.code(), Some(64));
    assert!(says(&output, "GPUSHER_GATEWAY__SHARD"));
    let output = gateway().args(["--listen", "0.0.0.0:0"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(64));
    assert!(says(&output, "auth.mode"));
}

#[test]
fn a_taken_port_is_69() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let output = gateway().args(["--listen", &address]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(69));
    assert!(says(&output, &address) && says(&output, "see listen"));
}

#[test]
fn what_was_asked_is_0() {
    let output = gateway().arg("--print-config").output().expect("it runs");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, gpusher_gateway::config::DEFAULTS.as_bytes());
    let output = gateway().arg("--check-config").output().expect("it runs");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));
}

#[tokio::test]
async fn a_stop_that_was_asked_for_is_0() {
    let mut command = gateway();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    // The budget is printed when clients are accepted.
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let first = lines.next().expect("a line").expect("text");
    assert!(first.contains("connections can be held"), "{first}");
    let pid = child.id().to_string();
    let told = Command::new("kill").args(["-TERM", &pid]).status().expect("it runs");
    assert!(told.success());
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output());
    let output = in_time(ended).await.expect("a thread").expect("a status");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{:?}: {text}", output.status);
}
