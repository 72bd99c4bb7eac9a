//! Gateway, logic, web and message as four processes, started in the order in which each lacks the next one; tokens and keys required.
//! They find each other, a push arrives, and so does one after the message role was killed and started again.

use crate::support::{Client, Control, output};
use gpusher_testbed::free_port;

const KEY: &str = "key-0123456789abcdef";
const SECRETS: [(&str, &str); 3] = [
    ("AUTH__TOKEN_SECRET", "token-0123456789abcdef"),
    ("AUTH__LINK_SECRET", "link-0123456789abcdef"),
    ("AUTH__API_KEYS", "[\"key-0123456789abcdef\"]"),
];

#[test]
fn roles_apart() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let message_at = format!("127.0.0.1:{}", free_port());
    let link_at = format!("127.0.0.1:{}", free_port());
    let message_url = format!("message://{message_at}");
    let gateways = format!("[\"{link_at}\"]");
    let run = |role: &str, settings: &[(&str, &str)]| {
        let settings = [&SECRETS, settings].concat();
        Control::spawn(&["run", "--roles", role, "--data", data, "--io", "auto"], &settings)
    };
    let remote = [
        ("STORE__URL", message_url.as_str()),
        ("ROUTES__URL", message_url.as_str()),
        ("QUEUE__URL", message_url.as_str()),
        ("DISCOVERY__GATEWAYS", gateways.as_str()),
        ("LOGIC__LISTEN", "127.0.0.1:0"),
        ("WEB__LISTEN", "127.0.0.1:0"),
    ];
    let message_settings =
        [("MESSAGE__LISTEN", message_at.as_str()), ("MESSAGE__PAGES_LISTEN", "127.0.0.1:0")];
    let gateway_settings = [
        ("GATEWAY__LISTEN", "127.0.0.1:0"),
        ("GATEWAY__ADMIN_LISTEN", "127.0.0.1:0"),
        ("GATEWAY__RPC_LISTEN", link_at.as_str()),
    ];

    let logic = run("logic", &remote);
    let web = run("web", &remote).wait_until_up();
    let gateway = run("gateway", &gateway_settings).wait_until_up();
    let message = run("message", &message_settings).wait_until_up();
    let logic = logic.wait_until_up();

    let token = output(&["token", "alice"], &SECRETS[..1]);
    let token = String::from_utf8(token.stdout).unwrap();
    let mut alice = Client::login(gateway.address("clients"), "alice", token.trim());
    assert_eq!(web.push(None, "alice", "without a key").0, 401);
    web.push_until_accepted(KEY, "alice", "first");
    assert_eq!(alice.push(), "first");

    message.kill();
    let message = run("message", &message_settings).wait_until_up();
    web.push_until_accepted(KEY, "alice", "second");
    assert_eq!(alice.push(), "second");
    for process in [web, gateway, logic, message] {
        assert!(process.interrupt().success());
    }
}
