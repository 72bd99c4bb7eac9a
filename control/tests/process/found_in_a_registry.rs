//! Routes in Redis, and a gateway that nobody's configuration names: it registers in etcd with a port of the kernel's choice. Logic finds it, and
//! finds it again elsewhere after it was killed; Redis comes back empty, and pushes still arrive.

use crate::support::{Client, Control, output};
use gpusher_testbed::free_port;

const KEY: &str = "key-0123456789abcdef";
const SECRETS: [(&str, &str); 3] = [
    ("AUTH__TOKEN_SECRET", "token-0123456789abcdef"),
    ("AUTH__LINK_SECRET", "link-0123456789abcdef"),
    ("AUTH__API_KEYS", "[\"key-0123456789abcdef\"]"),
];

/// The next push that she did not have: what is lost and killed here makes kept ones come again.
fn push_after(client: &mut Client, had: &[&str]) -> String {
    loop {
        let content = client.push();
        if !had.contains(&content.as_str()) {
            return content;
        }
    }
}

#[test]
fn found_in_a_registry() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let redis = gpusher_testbed::Redis::start();
    let message_at = format!("127.0.0.1:{}", free_port());
    let (message_url, routes_url) = (format!("message://{message_at}"), redis.url());
    let discovery_url = format!("etcd://{}/found", gpusher_testbed::etcd().address());
    let settings = [
        ("STORE__URL", message_url.as_str()),
        ("ROUTES__URL", routes_url.as_str()),
        ("QUEUE__URL", message_url.as_str()),
        ("DISCOVERY__URL", discovery_url.as_str()),
        ("DISCOVERY__LEASE_MS", "2000"),
        ("LOGIC__LIMITS__RENEW_MS", "200"),
        ("LOGIC__LISTEN", "127.0.0.1:0"),
        ("WEB__LISTEN", "127.0.0.1:0"),
        ("GATEWAY__LISTEN", "127.0.0.1:0"),
        ("GATEWAY__ADMIN_LISTEN", "127.0.0.1:0"),
        ("GATEWAY__RPC_LISTEN", "127.0.0.1:0"),
    ];
    let run = |role: &str, more: &[(&str, &str)]| {
        let settings = [&SECRETS, settings.as_slice(), more].concat();
        Control::spawn(&["run", "--roles", role, "--data", data, "--io", "auto"], &settings)
    };
    let embedded = [
        ("MESSAGE__LISTEN", message_at.as_str()),
        ("STORE__URL", "sqlite:"),
        ("QUEUE__URL", "local:"),
    ];

    let logic = run("logic", &[]);
    let web = run("web", &[]).wait_until_up();
    let message = run("message", &embedded).wait_until_up();
    let logic = logic.wait_until_up();
    let gateway = run("gateway", &[]).wait_until_up();

    let token = output(&["token", "alice"], &SECRETS[..1]);
    let token = String::from_utf8(token.stdout).unwrap();
    let mut alice = Client::login(gateway.address("clients"), "alice", token.trim());
    web.push_until_accepted(KEY, "alice", "first");
    assert_eq!(alice.push(), "first");

    redis.kill();
    redis.start_again();
    web.push_until_accepted(KEY, "alice", "second");
    assert_eq!(push_after(&mut alice, &["first"]), "second");

    gateway.kill();
    let gateway = run("gateway", &[]).wait_until_up();
    let mut alice = Client::login(gateway.address("clients"), "alice", token.trim());
    web.push_until_accepted(KEY, "alice", "third");
    assert_eq!(push_after(&mut alice, &["first", "second"]), "third");
    for process in [web, gateway, logic, message] {
        assert!(process.interrupt().success());
    }
}
