//! `doctor`: each dependency by itself, so that the one that fails has a name.
//!
//! It may run beside the process it is asked about: what that process holds is then asked for over the network, or left alone.

use gpusher_control::backend;
use gpusher_control::boot::{self, DataDir};
use gpusher_control::config::{Config, Role};
use gpusher_control::error::{Code, Error, Result};
use gpusher_gateway::doctor::{Finding, Verdict, examine};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

/// A dependency that does not answer in this time fails.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was found, line by line.
#[derive(Default)]
struct Report {
    failed: usize,
}

impl Report {
    fn add(&mut self, finding: Finding) {
        self.failed += usize::from(finding.verdict == Verdict::Fails);
        println!("{finding}");
    }

    fn ok(&mut self, name: &'static str, text: impl Into<String>) {
        self.add(Finding { name, verdict: Verdict::Good, text: text.into() });
    }

    fn note(&mut self, name: &'static str, text: impl Into<String>) {
        self.add(Finding { name, verdict: Verdict::Note, text: text.into() });
    }

    fn fail(&mut self, name: &'static str, text: impl Into<String>) {
        self.add(Finding { name, verdict: Verdict::Fails, text: text.into() });
    }

    /// What a backend answered, or why it did not, under its URL without the password.
    fn backend<T>(
        &mut self,
        name: &'static str,
        url: &impl std::fmt::Display,
        answer: Result<T>,
        text: impl FnOnce(T) -> String,
    ) {
        match answer {
            Ok(value) => self.ok(name, format!("{url} {}", text(value))),
            Err(error) => self.fail(name, format!("{url}: {}", error.text)),
        }
    }

    fn result<T>(
        &mut self,
        name: &'static str,
        result: Result<T>,
        text: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        match result {
            Ok(value) => {
                self.ok(name, text(&value));
                Some(value)
            }
            Err(error) => {
                self.fail(name, error.text);
                None
            }
        }
    }
}

/// Checks everything that the configuration names.
pub(super) fn doctor(config: Config) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Error::new(Code::Unavailable, format!("cannot start a runtime: {error}"))
    })?;
    let mut report = Report::default();
    let roles: Vec<String> = config.roles.iter().map(ToString::to_string).collect();
    println!("gpusher-control doctor, for the roles {}", roles.join(", "));
    report.result("configuration", config.validate(), |()| "understood, no rule broken".into());
    check_host(&config, &mut report);
    let running = check_data_dir(&config, &mut report);
    check_listeners(&config, running, &mut report);
    runtime.block_on(check_backends(&config, running, &mut report));
    runtime.block_on(check_gateways(&config, &mut report));
    match report.failed {
        0 => println!("nothing is wrong"),
        1 => println!("1 thing is wrong"),
        failed => println!("{failed} things are wrong"),
    }
    Ok(if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check_host(config: &Config, report: &mut Report) {
    if !config.has(Role::Gateway) {
        return;
    }
    examine(&config.gateway).into_iter().for_each(|finding| report.add(finding));
}

/// Whether another process has the data directory: the one that this is about, most likely.
fn check_data_dir(config: &Config, report: &mut Report) -> bool {
    match DataDir::open(&config.data_dir) {
        Ok(dir) => {
            report.ok("data directory", dir.path().display().to_string());
            false
        }
        Err(error) if error.text.contains(" is in use ") => {
            report.note("data directory", format!("{}: what it holds is not checked", error.text));
            true
        }
        Err(error) => {
            report.fail("data directory", error.text);
            false
        }
    }
}

fn check_listeners(config: &Config, running: bool, report: &mut Report) {
    for (key, at) in config.listeners() {
        match (TcpListener::bind(at), running) {
            (Ok(_), true) => {
                report.fail(key, format!("nobody listens on {at}, though the process runs"))
            }
            (Ok(_), false) => report.ok(key, format!("{at} is free")),
            (Err(_), true) => {
                report.result(key, connect(at), |()| format!("{at} answers")).unwrap_or(())
            }
            (Err(error), false) => {
                report.fail(key, format!("{at}: {error}; choose another, or stop who has it"))
            }
        }
    }
}

async fn check_backends(config: &Config, running: bool, report: &mut Report) {
    let held_elsewhere = running && config.has(Role::Message);
    if !config.needs_data() || held_elsewhere {
        return;
    }
    let registry = Mutex::new(Registry::default());
    let (store, routes, queue) = (&config.store.url, &config.routes, &config.queue.url);
    let answer = patiently(async {
        let store = backend::open_store(config, &registry).await?;
        let apps = store.list_apps().await;
        store.close().await;
        Ok(apps?.len())
    });
    report.backend("store", store, answer.await, |apps| format!("holds {apps} apps"));
    let answer = patiently(async { backend::open_routes(config, &registry)?.gateways().await });
    report
        .backend("routes", routes, answer.await, |known| format!("knows {} gateways", known.len()));
    let answer = patiently(async {
        let queue = backend::open_queue(config, &registry).await?;
        let depth = queue.depth("logic").await;
        queue.close().await;
        depth
    });
    report.backend("queue", queue, answer.await, |depth| format!("has {depth} records waiting"));
}

async fn patiently<T>(answer: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| {
        Err(Error::new(Code::Unavailable, format!("no answer within {} s", PATIENCE.as_secs())))
    })
}

async fn check_gateways(config: &Config, report: &mut Report) {
    if !config.has(Role::Logic) && !config.has(Role::Gateway) {
        return;
    }
    let known = match boot::discovery(config) {
        Ok(discovery) => {
            patiently(async { discovery.check().await.map_err(boot::discovery_error) }).await
        }
        Err(error) => Err(error),
    };
    let known = report.result("discovery", known, |known| {
        let (url, gateways, logics) =
            (&config.discovery.url, known.gateways.len(), known.logics.len());
        format!("{url} names {gateways} gateways and {logics} logics")
    });
    let Some(known) = known.filter(|_| config.has(Role::Logic)) else { return };
    for address in known.gateways {
        let found = address.to_socket_addrs().map_err(|error| {
            Error::new(Code::Unavailable, format!("{address} is not known: {error}"))
        });
        let answer = found.and_then(|mut found| match found.next() {
            Some(at) => connect(at),
            None => Err(Error::new(Code::Unavailable, format!("{address} is not known"))),
        });
        report.result("gateway", answer, |()| format!("{address} answers"));
    }
}

fn connect(at: SocketAddr) -> Result<()> {
    let connected = TcpStream::connect_timeout(&at, PATIENCE);
    connected.map(drop).map_err(|error| {
        Error::new(
            Code::Unavailable,
            format!(
                "{at} does not answer: {error}; start what should be there, or correct the address"
            ),
        )
    })
}
