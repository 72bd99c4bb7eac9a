//! The small commands: what they print can be used.

use crate::support::{Control, command, output};
use gpusher_control::auth::password;
use std::fs;
use std::io::Write;
use std::process::Stdio;

#[test]
fn the_printed_configuration_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("control.toml");
    fs::write(&file, output(&["print-config"], &[]).stdout).unwrap();
    let arguments = ["check-config", "--config", file.to_str().unwrap()];
    let checked = output(&arguments, &[("AUTH__API_KEYS", "[\"0123456789abcdef\"]")]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn a_hashed_password_matches() {
    let mut child = command(&["hash-password"], &[])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"s3cret\n").unwrap();
    let hash = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(password::verify("s3cret", hash.trim()));
}

#[test]
fn doctor_names_what_fails() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let settings = [
        ("WEB__LISTEN", "127.0.0.1:0"),
        ("GATEWAY__LISTEN", "127.0.0.1:0"),
        ("GATEWAY__ADMIN_LISTEN", "127.0.0.1:0"),
    ];
    let well = output(&["doctor", "--dev", "--data", data], &settings);
    let text = String::from_utf8(well.stdout).unwrap();
    assert!(well.status.success() && text.contains("nothing is wrong"), "{text}");

    let running = Control::dev(folder.path());
    let beside = output(&["doctor", "--dev", "--data", data], &[]);
    let text = String::from_utf8(beside.stdout).unwrap();
    assert!(text.contains("note  data directory"), "{text}");
    drop(running);

    // Nobody listens on port 1.
    let mut remote =
        vec![("DISCOVERY__GATEWAYS", "[\"127.0.0.1:1\"]"), ("LOGIC__LISTEN", "127.0.0.1:0")];
    remote
        .extend(["STORE__URL", "ROUTES__URL", "QUEUE__URL"].map(|n| (n, "message://127.0.0.1:1")));
    let ill = output(&["doctor", "--roles", "logic", "--data", data], &remote);
    let text = String::from_utf8(ill.stdout).unwrap();
    assert_eq!(ill.status.code(), Some(1), "{text}");
    for part in
        ["FAIL  store", "FAIL  routes", "FAIL  queue", "FAIL  gateway", "4 things are wrong"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }

    if cfg!(feature = "kafka") {
        let kafka = [settings.as_slice(), &[("QUEUE__URL", "kafka://127.0.0.1:1")]].concat();
        let ill = output(&["doctor", "--dev", "--data", data], &kafka);
        let text = String::from_utf8(ill.stdout).unwrap();
        let line = text.lines().find(|line| line.contains("FAIL  queue")).unwrap_or(&text);
        for part in ["Kafka", "queue.url", "Connection refused"] {
            assert!(line.contains(part), "{part}: {text}");
        }
    }
}

/// Each of them where nobody listens: its line has the key or the URL, why it fails, and no password.
#[test]
fn doctor_tells_which_server_fails_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let addresses = ["WEB__LISTEN", "MESSAGE__LISTEN", "GATEWAY__LISTEN", "GATEWAY__ADMIN_LISTEN"];
    for (name, key, url) in [
        ("store", "STORE__URL", "postgres://ann:hunter2@127.0.0.1:1/push"),
        ("store", "STORE__URL", "mysql://ann:hunter2@127.0.0.1:1/push"),
        ("routes", "ROUTES__URL", "redis://ann:hunter2@127.0.0.1:1"),
        ("routes", "ROUTES__URL", "redis+sentinel://ann:hunter2@127.0.0.1:1/push"),
        ("routes", "ROUTES__URL", "redis+cluster://ann:hunter2@127.0.0.1:1"),
        ("discovery", "DISCOVERY__URL", "redis://ann:hunter2@127.0.0.1:1"),
        ("discovery", "DISCOVERY__URL", "etcd://127.0.0.1:1"),
    ] {
        let mut settings = vec![(key, url)];
        settings.extend(addresses.map(|key| (key, "127.0.0.1:0")));
        let ill = output(&["doctor", "--dev", "--data", data], &settings);
        let text = String::from_utf8(ill.stdout).unwrap();
        assert_eq!(ill.status.code(), Some(1), "{text}");
        assert!(text.contains("1 thing is wrong"), "{text}");
        let line = text.lines().find(|line| line.contains(&format!("FAIL  {name}"))).unwrap();
        assert!(line.contains("127.0.0.1:1") && line.contains("refused"), "{url}: {line}");
        let log = String::from_utf8(ill.stderr).unwrap();
        assert!(!text.contains("hunter2") && !log.contains("hunter2"), "{text}{log}");
    }
}
