//! SIGINT stops the process cleanly, with a client connected and messages waiting; the second start has lost nothing and takes the same
//! token secret.

use crate::support::{Client, Control};
use std::fs;
use std::io::{ErrorKind, Read};

#[test]
fn stop_and_start_again() {
    let folder = tempfile::tempdir().unwrap();
    let control = Control::dev(folder.path());
    let mut bob = Client::login(control.address("clients"), "bob", "any");
    control.push(None, "bob", "now");
    assert_eq!(bob.push(), "now");
    control.push(None, "alice", "later");
    let secret = fs::read(folder.path().join("token.secret")).unwrap();
    assert!(control.interrupt().success());

    let control = Control::dev(folder.path());
    let mut alice = Client::login(control.address("clients"), "alice", "any");
    assert_eq!(alice.push(), "later");
    assert_eq!(fs::read(folder.path().join("token.secret")).unwrap(), secret);
    let mut bob = Client::login(control.address("clients"), "bob", "any");
    control.push(None, "bob", "after");
    assert_eq!(bob.push(), "after", "what bob's socket took is not sent again");
}

#[test]
fn clients_see_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let control = Control::dev(folder.path());
    let mut bob = Client::login(control.address("clients"), "bob", "any");
    assert!(control.interrupt().success());
    match bob.stream().read(&mut [0; 64]) {
        Ok(0) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => panic!("the connection is still there: {other:?}"),
    }
}
