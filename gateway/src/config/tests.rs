//! Layers, names of what is wrong, and the rules beyond loopback.

use super::*;

const SECRET: &str = "0123456789abcdef";

fn variable(name: &str, value: &str) -> (String, String) {
    (format!("{ENVIRONMENT_PREFIX}{name}"), value.into())
}

fn parse(text: &str) -> Result<RuntimeConfig, ConfigError> {
    RuntimeConfig::parse(text, [])
}

fn refused_key(change: impl FnOnce(&mut RuntimeConfig)) -> Option<&'static str> {
    let mut config = RuntimeConfig::embedded();
    change(&mut config);
    config.validate().err().map(|refused| refused.key)
}

#[test]
fn defaults_are_those_of_the_limit_table() {
    let config = parse("").unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8881");
    assert_eq!(config.limits.outbox_bytes, 256 << 10);
    assert_eq!(config.limits.partial_bytes_per_shard, 64 << 20);
    assert_eq!(config.deadlines.idle, Duration::from_secs(90));
    assert_eq!((config.shards, config.connections_max, config.io), (None, None, Io::Uring));
}

#[test]
fn the_file_replaces_what_it_names() {
    let config = parse("shards = 2\n[limits]\noutbox_frames = 7\n").unwrap();
    assert_eq!((config.shards, config.limits.outbox_frames), (Some(2), 7));
    assert_eq!(config.limits.outbox_bytes, 256 << 10);
}

#[test]
fn the_environment_wins_over_the_file() {
    let environment = [
        variable("LIMITS__OUTBOX_FRAMES", "9"),
        variable("AUTH__SECRET", "1234567890123456"),
        variable("LISTEN", "127.0.0.1:1"),
        ("PATH".into(), "/bin".into()),
    ];
    let config = RuntimeConfig::parse("[limits]\noutbox_frames = 7\n", environment).unwrap();
    assert_eq!(config.limits.outbox_frames, 9);
    assert_eq!(config.listen.port(), 1);
    assert_eq!(config.auth, Auth::Jwt { secret: "1234567890123456".into() });
}

#[test]
fn unknown_keys_are_named() {
    for (text, key) in [("shard = 2", "shard"), ("[limits]\noutbox = 1", "limits.outbox")] {
        let error = parse(text).unwrap_err();
        assert!(matches!(&error, ConfigError::UnknownKey { key: k } if k == key), "{error}");
    }
    let error = RuntimeConfig::parse("", [variable("LIMITS__OUTBOX", "1")]).unwrap_err();
    assert!(error.to_string().contains("GPUSHER_GATEWAY__LIMITS__OUTBOX"), "{error}");
}

#[test]
fn bad_values_are_named_with_what_may_stand_there() {
    for (text, expected) in [
        ("shards = \"two\"", "shards must be of type integer, not \"two\""),
        ("shards = -1", "shards must be a number from 0, not -1"),
        ("listen = \"8881\"", "listen must be an address like 127.0.0.1:8881, not 8881"),
        ("io = \"kqueue\"", "io must be \"uring\", \"epoll\" or \"auto\", not kqueue"),
        ("limits = 3", "limits must be of type table, not 3"),
        ("[limits]\noutbox_bytes = 0", "limits.outbox_bytes must be a number from 1, not 0"),
        ("[auth]\nmode = \"none\"", "auth.mode must be \"jwt\" or \"any\", not none"),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), expected);
    }
    let error = RuntimeConfig::parse("", [variable("SHARDS", "two")]).unwrap_err();
    assert_eq!(error.to_string(), "shards must be of type integer, not \"two\"");
    assert!(matches!(parse("= 3"), Err(ConfigError::Syntax(_))));
}

#[test]
fn beyond_loopback_tokens_are_checked() {
    let public = "0.0.0.0:8881".parse().unwrap();
    assert_eq!(refused_key(|_| {}), None);
    assert_eq!(refused_key(|config| config.listen = public), Some("auth.mode"));
    let checked = |config: &mut RuntimeConfig| {
        config.listen = public;
        config.auth = Auth::Jwt { secret: SECRET.into() };
    };
    assert_eq!(refused_key(checked), None);
    let short = |config: &mut RuntimeConfig| config.auth = Auth::Jwt { secret: "short".into() };
    assert_eq!(refused_key(short), Some("auth.secret"));
}

#[test]
fn beyond_loopback_logic_presents_a_secret() {
    let public = Some("0.0.0.0:7771".parse().unwrap());
    assert_eq!(refused_key(|config| config.rpc_listen = public), Some("link.secret"));
    let with_secret = |config: &mut RuntimeConfig| {
        config.rpc_listen = public;
        config.link.secret = Some(SECRET.into());
    };
    assert_eq!(refused_key(with_secret), None);
    assert_eq!(refused_key(|c| c.link.secret = Some("short".into())), Some("link.secret"));
}

#[test]
fn numbers_that_contradict_each_other_are_refused() {
    assert_eq!(refused_key(|config| config.id = 4096), Some("id"));
    assert_eq!(refused_key(|config| config.shards = Some(257)), Some("shards"));
    let frame = refused_key(|config| config.limits.frame_bytes = 5 << 20);
    assert_eq!(frame, Some("limits.frame_bytes"));
    let login = refused_key(|config| config.limits.frame_bytes = 100);
    assert_eq!(login, Some("limits.frame_bytes_before_admission"));
    let heartbeat = refused_key(|config| config.deadlines.heartbeat = config.deadlines.idle);
    assert_eq!(heartbeat, Some("deadlines.heartbeat_ms"));
}

#[test]
fn secrets_are_not_printed() {
    let mut config = RuntimeConfig::embedded();
    config.auth = Auth::Jwt { secret: SECRET.into() };
    config.link.secret = Some(SECRET.into());
    assert!(!format!("{config:?}").contains(SECRET));
}
