//! Layers, names of what is wrong, the rules; and that file and code have the same defaults.

use super::*;
use std::fs;

const SECRET: &str = "0123456789abcdef";

fn variable(name: &str, value: &str) -> (String, String) {
    (format!("{ENVIRONMENT_PREFIX}{name}"), value.into())
}

fn error(text: &str) -> String {
    Config::parse(text, []).err().map_or_else(String::new, |error| error.text)
}

/// The rule broken by a configuration; empty if none is.
fn broken(text: &str) -> String {
    let config = Config::parse(text, []).unwrap_or_else(|error| panic!("{text}: {error}"));
    config.validate().err().map_or_else(String::new, |error| error.text)
}

#[test]
fn the_file_and_the_code_have_the_same_defaults() {
    let config = Config::parse("", []).unwrap();
    let shown = |value: &dyn fmt::Debug| format!("{value:#?}");
    assert_eq!(shown(&config.web.settings), shown(&web::Config::default()));
    assert_eq!(shown(&config.logic.limits), shown(&logic::Limits::default()));
    assert_eq!(shown(&config.queue.local), shown(&LocalOptions::default()));
    assert_eq!(shown(&config.queue.kafka), shown(&KafkaOptions::default()));
    assert_eq!(shown(&config.retention), shown(&PurgeOptions::default()));
    assert_eq!(config.auth.token_lifetime, crate::auth::LIFETIME_DEFAULT);
    assert_eq!(config.gateway, gpusher_gateway::RuntimeConfig::parse("", []).unwrap());
    assert_eq!(config.roles.len(), 4);
}

/// What the file does not name cannot be set by the environment, and nobody finds it.
#[test]
fn the_file_names_every_limit_of_logic() {
    let defaults: Table = DEFAULTS.parse().unwrap();
    let named = defaults["logic"]["limits"].as_table().unwrap();
    let shown = format!("{:#?}", logic::Limits::default());
    let fields = shown.lines().filter_map(|line| line.trim().split_once(':'));
    // Those of [delivery].
    let elsewhere = ["redeliver_ms", "redeliver_attempts"];
    let fields: Vec<&str> =
        fields.map(|(name, _)| name).filter(|name| !elsewhere.contains(name)).collect();
    assert!(fields.len() > 20, "{shown}");
    for field in fields {
        assert!(named.contains_key(field), "{field} is missing");
    }
}

#[test]
fn development_is_valid_and_open() {
    let config = Config::parse("", []).unwrap().for_development();
    config.validate().unwrap();
    assert_eq!(config.auth.mode, AuthMode::Open);
    let listeners: Vec<String> =
        config.listeners().iter().map(|(key, at)| format!("{key} {at}")).collect();
    assert_eq!(
        listeners,
        [
            "web.listen 127.0.0.1:7030",
            "gateway.listen 127.0.0.1:8881",
            "gateway.admin_listen 127.0.0.1:7773"
        ]
    );
}

#[test]
fn the_environment_wins_over_the_file() {
    let environment = [
        variable("WEB__LISTEN", "127.0.0.1:1"),
        variable("ROLES", r#"["web", "message"]"#),
        variable("GATEWAY__LIMITS__OUTBOX_FRAMES", "9"),
        ("PATH".into(), "/bin".into()),
    ];
    let text = "[web]\nlisten = \"127.0.0.1:2\"\nusers_max = 5\n[gateway]\nid = 3\n";
    let config = Config::parse(text, environment).unwrap();
    assert_eq!((config.web.listen.port(), config.web.settings.users_max), (1, 5));
    assert_eq!(config.roles, BTreeSet::from([Role::Web, Role::Message]));
    assert_eq!((config.gateway.id, config.gateway.limits.outbox_frames), (3, 9));
}

#[test]
fn unknown_keys_and_bad_values_are_named() {
    for (text, part) in [
        ("port = 1", "unknown key port"),
        ("[web]\nport = 1", "unknown key web.port"),
        ("[gateway.limits]\nport = 1", "unknown key gateway.limits.port"),
        ("node = \"one\"", "node must be of type integer"),
        ("roles = [\"webb\"]", "webb"),
        ("[web]\nlisten = \"7030\"", "listen"),
        ("[web]\nusers_max = -1", "-1"),
        ("[gateway]\nio = \"kqueue\"", "in [gateway]: io must be"),
        ("[auth]\nmode = \"none\"", "none"),
        ("[auth]\ntoken_secret = \"short\"", "auth.token_secret has 5 bytes"),
        ("[auth]\napi_keys = [\"short\"]", "a key of auth.api_keys has 5 bytes"),
        ("[queue]\nurl = \"kafka://a:b\"", "queue.url"),
        ("[queue.kafka]\noptions = [\"acks=1\"]", "acks is not yours to set"),
    ] {
        let error = error(text);
        assert!(error.contains(part), "{text}: {error}");
    }
    let error = Config::parse("", [variable("WEB__PORT", "1")]).unwrap_err().text;
    assert!(error.contains("GPUSHER_CONTROL__WEB__PORT"), "{error}");
}

#[test]
fn secrets_come_from_files_and_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    fs::write(&path, format!("{SECRET}-1\n{SECRET}-2\n")).unwrap();
    let shown = path.display();
    let text = format!(
        "[auth]\napi_keys = [\"{SECRET}-0\"]\napi_keys_file = \"{shown}\"\ntoken_secret_file = \"{shown}\"\n"
    );
    let config = Config::parse(&text, []).unwrap();
    let keys: Vec<&str> = config.auth.api_keys.iter().map(Secret::reveal).collect();
    assert_eq!(keys, [0, 1, 2].map(|n| format!("{SECRET}-{n}")));
    assert!(config.auth.token_secret.is_some());
    assert!(!format!("{config:?}").contains(SECRET));
    let both =
        error(&format!("[auth]\nlink_secret = \"{SECRET}\"\nlink_secret_file = \"{shown}\""));
    assert_eq!(both, "auth.link_secret and auth.link_secret_file are both given; keep one");
}

#[test]
fn open_is_for_loopback_only() {
    assert_eq!(broken("auth.mode = \"open\""), "");
    for (key, listen) in [
        ("web.listen", "[web]\nlisten = \"0.0.0.0:7030\""),
        ("gateway.listen", "[gateway]\nlisten = \"[::]:8881\""),
        ("gateway.admin_listen", "[gateway]\nadmin_listen = \"192.0.2.1:7773\""),
    ] {
        let error = broken(&format!("auth.mode = \"open\"\n{listen}"));
        assert!(error.starts_with(&format!("auth.mode is open and {key} is ")), "{error}");
    }
}

#[test]
fn required_means_keys_and_shared_secrets() {
    assert!(broken("").starts_with("no API key: nobody could push; set auth.api_keys"));
    let keys = format!("auth.api_keys = [\"{SECRET}\"]");
    assert_eq!(broken(&keys), "", "the token secret is generated where nobody else needs it");
    let apart = "roles = [\"web\"]\nstore.url = \"message://a:1\"\nroutes.url = \"message://a:1\"\nqueue.url = \"message://a:1\"";
    assert!(broken(&format!("{apart}\n{keys}")).starts_with("auth.token_secret is missing"));
    let message = "roles = [\"message\"]\nmessage.listen = \"0.0.0.0:7780\"";
    assert!(broken(message).starts_with("auth.link_secret is missing"));
    assert_eq!(broken(&format!("{message}\nauth.link_secret = \"{SECRET}\"")), "");
}

#[test]
fn embedded_backends_are_the_message_roles_own() {
    let keys = format!("auth.api_keys = [\"{SECRET}\"]\nauth.token_secret = \"{SECRET}\"");
    let alone = broken(&format!("roles = [\"web\"]\n{keys}"));
    assert!(
        alone.starts_with("store.url is sqlite:, which only the process with the message role"),
        "{alone}"
    );
    let both = broken(&format!("store.url = \"message://a:1\"\n{keys}"));
    assert!(
        both.starts_with("store.url is message://a:1, but this process has the message role"),
        "{both}"
    );
}

#[test]
fn logic_needs_a_gateway_and_its_own_name() {
    let text = "roles = [\"logic\", \"message\"]";
    assert!(broken(text).starts_with("logic has no gateway"));
    assert_eq!(broken(&format!("{text}\ndiscovery.gateways = [\"10.0.0.7:7771\"]")), "");
    let other = broken("auth.mode = \"open\"\ndiscovery.logics = [\"a\", \"b\"]");
    assert_eq!(other, "discovery.logics does not name this instance, logic");
    assert!(broken("node = 1024").starts_with("node is 1024; it must be below 1024"));
    assert!(broken("roles = []").starts_with("roles is empty"));
}

/// As they are in `deploy/distributed`, with the secrets in a folder of ours.
#[test]
fn the_files_of_a_distributed_system_are_good() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["token.secret", "link.secret", "api.keys"] {
        fs::write(folder.path().join(name), SECRET).unwrap();
    }
    let files = [
        (Role::Web, include_str!("../../../deploy/distributed/web.toml")),
        (Role::Logic, include_str!("../../../deploy/distributed/logic.toml")),
        (Role::Message, include_str!("../../../deploy/distributed/message.toml")),
    ];
    for (role, text) in files {
        let text = text.replace("/etc/gpusher", folder.path().to_str().unwrap());
        assert_eq!(broken(&text), "", "{role}");
        assert_eq!(Config::parse(&text, []).unwrap().roles, [role].into());
    }
    let gateway = include_str!("../../../deploy/distributed/gateway.toml");
    gpusher_gateway::RuntimeConfig::parse(gateway, []).unwrap().validate().unwrap();
}

#[test]
fn the_compose_files_name_keys_that_there_are() {
    let files = [
        include_str!("../../../deploy/compose.embedded.yaml"),
        include_str!("../../../deploy/compose.distributed.yaml"),
    ];
    let mut named = 0;
    for line in files.into_iter().flat_map(str::lines) {
        let Some((name, _)) = line.trim().split_once(": ") else { continue };
        let Some((program, path)) = name.split_once("__") else { continue };
        let mut table = &Value::Table(defaults());
        if program == "GPUSHER_GATEWAY" {
            table = &table["gateway"];
        } else {
            assert_eq!(program, "GPUSHER_CONTROL", "{line}");
        }
        let path = path.to_lowercase();
        let found = path.split("__").try_fold(table, |table, key| table.get(key));
        assert!(found.is_some(), "{line}");
        named += 1;
    }
    assert!(named > 20, "{named}");
}
