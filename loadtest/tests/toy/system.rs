//! The system under test, and a run against it.

use gpusher_control::boot::Process;
use gpusher_control::config::Config;
use gpusher_loadtest::account::{Account, Token};
use gpusher_loadtest::plan::Plan;
use gpusher_loadtest::protocol::Name;
use gpusher_loadtest::report::Report;
use gpusher_loadtest::run::{RunConfig, run};
use gpusher_loadtest::server::Server;
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) const CONNECTIONS: u32 = 40;
const TOKEN_SECRET: &str = "a secret of the tests";

/// A run of these steps over this protocol.
pub(crate) fn config(protocol: Name, steps: &[&str]) -> RunConfig {
    let account = Account {
        app_id: 1000,
        tag: "app_gpusher".to_owned(),
        user_prefix: "toy".to_owned(),
        token: Token::signed(TOKEN_SECRET.as_bytes()),
        topics: 0,
    };
    RunConfig {
        plan: Plan {
            servers: [].into(),
            protocol,
            account,
            first: 0,
            count: CONNECTIONS,
            start_ns: 0,
            logins_per_s: 1_000.0,
            logins_under_way: 100,
            heartbeat: Duration::from_secs(1),
        },
        connections_per_thread: 15,
        settle: Duration::ZERO,
        steps: steps.iter().map(|step| ((*step).to_owned(), step.parse().unwrap())).collect(),
        api_key: Some("an API key of the tests".to_owned()),
        command: "toy".to_owned(),
    }
}

/// Runs it against a system of its own.
pub(crate) async fn perform(config: RunConfig) -> Report {
    perform_with(config, &[]).await
}

/// The same with more of the configuration, by the variables' names.
pub(crate) async fn perform_with(mut config: RunConfig, more: &[(&str, &str)]) -> Report {
    let data = tempfile::tempdir().unwrap();
    let settings = [
        ("DATA_DIR", data.path().to_str().expect("UTF-8")),
        ("WEB__LISTEN", "127.0.0.1:0"),
        ("GATEWAY__LISTEN", "127.0.0.1:0"),
        ("GATEWAY__ADMIN_LISTEN", "127.0.0.1:0"),
        ("GATEWAY__IO", "auto"),
        ("AUTH__TOKEN_SECRET", TOKEN_SECRET),
        ("AUTH__API_KEYS", r#"["an API key of the tests"]"#),
    ];
    let settings = settings.iter().chain(more);
    let environment =
        settings.map(|(name, value)| (format!("GPUSHER_CONTROL__{name}"), (*value).to_owned()));
    let process = Process::start(Config::parse("", environment).unwrap()).await.unwrap();
    let addresses = process.summary().addresses.clone();
    let Some(SocketAddr::V4(clients)) = addresses.clients else { panic!("no gateway") };
    let Some(SocketAddr::V4(pushes)) = addresses.web else { panic!("no web") };
    config.plan.servers = [clients].into();
    let run = move || {
        let mut server = Server::running(vec![clients], pushes, &[std::process::id()]);
        run(&mut server, &config).unwrap()
    };
    let report = tokio::task::spawn_blocking(run).await.unwrap();
    process.stop().await;
    report
}
