//! The process is killed with SIGKILL between the HTTP answers and the delivery: after a start on the same folder the receiver gets
//! every message whose push was answered, once, in order.

use crate::support::{Client, Control};

const PUSHES: usize = 40;

#[test]
fn kill_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let control = Control::dev(folder.path());
    for number in 0..PUSHES {
        let (status, body) = control.push(None, "alice", &number.to_string());
        assert_eq!(status, 200, "{body}");
    }
    control.kill();

    let control = Control::dev(folder.path());
    let mut alice = Client::login(control.address("clients"), "alice", "any");
    for number in 0..PUSHES {
        assert_eq!(alice.push(), number.to_string());
    }
    // Had anything come twice, it would be in front of this one.
    control.push(None, "alice", "last");
    assert_eq!(alice.push(), "last");
}
