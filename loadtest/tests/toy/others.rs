//! Runs over the protocols of others, against toy servers that speak them, and a comparison of whatever is installed. What must hold: everybody logs in, and every
//! push arrives once and in order; what is not installed is said to be missing.

use crate::peers::{Hub, comet, listen, logic, mqtt, nats};
use crate::system::{CONNECTIONS, config};
use gpusher_loadtest::protocol::Name;
use gpusher_loadtest::run::run;
use gpusher_loadtest::server::Server;
use serde_json::Value;
use std::net::SocketAddrV4;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const TOPICS: u32 = 4;
const PUSHES: u32 = 20;

fn everything_arrives(protocol: Name, clients: SocketAddrV4, pushes: SocketAddrV4) {
    let steps = [
        "app:rate=200,count=20,lines=1",
        "app:rate=200,count=20,lines=1,kept",
        "saturate:count=200,lines=1,batch=10,window=50",
        "unicast:rate=400,count=80,lines=1",
        "topic:rate=200,count=40,lines=1",
    ];
    let mut config = config(protocol, &steps);
    config.plan.servers = [clients].into();
    config.plan.account.topics = TOPICS;
    let mut server = Server::running(vec![clients], pushes, &[std::process::id()]);
    let report = run(&mut server, &config).unwrap();
    assert_eq!(report.logged_in, u64::from(CONNECTIONS));
    for (step, expected) in report.steps.iter().zip([20 * 40, 20 * 40, 200 * 40, 80, 40 * 10]) {
        assert!(step.passed(), "{step:?}");
        assert_eq!(step.phases[0].received, expected, "{step:?}");
    }
}

#[test]
fn once_and_in_order_over_nats() {
    let hub = Arc::new(Hub::default());
    let address = listen(&hub, nats);
    everything_arrives(Name::Nats, address, address);
    assert!(hub.answered.load(Ordering::Relaxed) >= u64::from(CONNECTIONS), "pings are answered");
}

#[test]
fn once_and_in_order_over_mqtt() {
    let hub = Arc::new(Hub::default());
    let address = listen(&hub, mqtt);
    everything_arrives(Name::Mqtt, address, address);
    // Only kept pushes are acknowledged, each by each client; the last acknowledgements came before the next step's pushes.
    assert_eq!(hub.answered.load(Ordering::Relaxed), u64::from(PUSHES * CONNECTIONS));
}

#[test]
fn once_and_in_order_over_goim() {
    let hub = Arc::new(Hub::default());
    let (clients, pushes) = (listen(&hub, comet), listen(&hub, logic));
    everything_arrives(Name::Goim, clients, pushes);
}

/// A comparison at toy size, and what it writes as JSON.
fn compare(arguments: &[&str]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outcomes.json");
    let status = Command::new(env!("CARGO_BIN_EXE_gpusher-loadtest"))
        .arg("compare")
        .args(arguments)
        .args([
            "--rounds",
            "1",
            "--settle-s",
            "0",
            "--connections",
            "20",
            "--json",
            file.to_str().unwrap(),
        ])
        .args(["--broadcasts", "5", "--broadcasts-per-s", "50", "--window", "16"])
        .args(["--unicasts", "40", "--unicasts-per-s", "200"])
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap()
}

#[test]
fn comparison_measures_what_runs() {
    let hub = Arc::new(Hub::default());
    let (clients, pushes) = (listen(&hub, comet).to_string(), listen(&hub, logic).to_string());
    let pid = std::process::id().to_string();
    let found_by = ["--goim-clients", &clients, "--goim-pushes", &pushes, "--goim-pid", &pid];
    let outcomes = compare(&[&["goim"][..], &found_by].concat());
    let round = &outcomes[0]["rounds"][0];
    assert_eq!(round["connections_lost"], 0, "{outcomes:?}");
    assert!(round["messages_per_s"].as_f64().unwrap() > 0.0, "{outcomes:?}");
    for (kind, expected) in [("broadcast", 100), ("unicast", 40)] {
        assert_eq!((&round[kind]["expected"], &round[kind]["lost"]), (&expected.into(), &0.into()));
    }
}

#[test]
fn comparison_says_what_is_missing() {
    for outcome in compare(&["nats", "mosquitto", "goim", "--nats", "/nowhere/nats-server"]) {
        let system = outcome["system"].as_str().unwrap();
        match (system, outcome["missing"].as_str()) {
            ("nats", missing) => {
                let missing = missing.unwrap();
                assert!(missing.contains("go install"), "{missing}");
            }
            ("mosquitto", None) => assert_eq!(outcome["rounds"].as_array().unwrap().len(), 1),
            ("mosquitto", Some(missing)) => assert!(missing.contains("apt-get"), "{missing}"),
            (_, missing) => assert!(missing.unwrap().contains("--goim-clients")),
        }
    }
}
