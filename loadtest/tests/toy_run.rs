//! Set-up: the whole system in this process, a run of the generator at toy size over each protocol version. What must hold: everybody logs in, and every push arrives
//! once and in order, by the receivers' own account.

use gpusher_control::boot::Process;
use gpusher_control::config::Config;
use gpusher_loadtest::account::{Account, Token};
use gpusher_loadtest::driver;
use gpusher_loadtest::offer::{Audience, Phase};
use gpusher_loadtest::plan::Plan;
use gpusher_loadtest::protocol;
use gpusher_loadtest::run::{NamedPhase, RunConfig, run};
use gpusher_loadtest::server::Server;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

const CONNECTIONS: u32 = 40;

async fn start(data: &Path) -> (Process, Server) {
    let settings = [
        ("DATA_DIR", data.to_str().expect("UTF-8")),
        ("WEB__LISTEN", "127.0.0.1:0"),
        ("GATEWAY__LISTEN", "127.0.0.1:0"),
        ("GATEWAY__ADMIN_LISTEN", "127.0.0.1:0"),
    ];
    let environment =
        settings.map(|(name, value)| (format!("GPUSHER_CONTROL__{name}"), value.to_owned()));
    let config = Config::parse("", environment).unwrap().for_development();
    let process = Process::start(config).await.unwrap();
    let addresses = process.summary().addresses.clone();
    let Some(SocketAddr::V4(clients)) = addresses.clients else { panic!("no gateway") };
    let Some(SocketAddr::V4(pushes)) = addresses.web else { panic!("no web") };
    (process, Server::running(clients, pushes, Some(std::process::id())))
}

fn phase(name: &str, series: u32, audience: Audience, count: u32, kept: bool) -> NamedPhase {
    let phase =
        Phase { series, audience, rate_per_s: 200.0, count, size: 64, kept, batch: 1, lines: 4 };
    NamedPhase { name: name.to_owned(), phase }
}

fn config(server: &Server, protocol: protocol::Name) -> RunConfig {
    RunConfig {
        plan: Plan {
            server: server.clients,
            protocol,
            account: Account {
                app_id: 1000,
                tag: "app_gpusher".to_owned(),
                user_prefix: "toy".to_owned(),
                token: Token::Any,
                topics: 0,
            },
            first: 0,
            count: CONNECTIONS,
            logins_per_s: 1_000.0,
            heartbeat: Duration::from_secs(1),
        },
        threads: 2,
        hold: Duration::ZERO,
        phases: vec![
            phase("live broadcast", 1, Audience::App, 20, false),
            phase("kept broadcast", 2, Audience::App, 20, true),
            phase("live to single users", 3, Audience::Users(CONNECTIONS), 80, false),
            phase("kept for single users", 4, Audience::Users(CONNECTIONS), 80, true),
        ],
        api_key: None,
    }
}

async fn everything_arrives(protocol: protocol::Name) {
    let data = tempfile::tempdir().unwrap();
    let (process, server) = start(data.path()).await;
    let report = run(&server, &config(&server, protocol), driver::open).await.unwrap();
    assert_eq!(report.logged_in, u64::from(CONNECTIONS));
    for phase in &report.phases {
        assert!(phase.clean(), "{phase:?}");
        assert_eq!(phase.received, phase.expected, "{phase:?}");
    }
    assert!(report.passed());
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn once_and_in_order_over_version_0() {
    everything_arrives(protocol::Name::V0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn once_and_in_order_over_version_1() {
    everything_arrives(protocol::Name::V1).await;
}
