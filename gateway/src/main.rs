//! The gateway as a process of its own.
//!
//! | exit code | meaning |
//! | --- | --- |
//! | 0 | stopped by SIGINT or SIGTERM, or did what was asked |
//! | 64 | the command line or the configuration is wrong |
//! | 69 | the configuration is right, but the host does not let the gateway start |
//! | 70 | a shard failed while running |

#![forbid(unsafe_code)]

mod register;

use clap::Parser;
use gpusher_gateway::boot::{BootError, take_short_turns};
use gpusher_gateway::config::{Auth, DEFAULTS, DiscoveryConfig, Io, RuntimeConfig};
use gpusher_gateway::doctor::{Finding, Verdict, examine};
use gpusher_gateway::gateway::Gateway;
use gpusher_gateway::heap::Counted;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[global_allocator]
static ALLOCATOR: Counted<Jemalloc> = Counted(Jemalloc);

const USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;
const SOFTWARE: u8 = 70;

/// Holds client connections, and delivers what logic sends.
#[derive(Parser)]
#[command(
    name = "gpusher-gateway",
    version,
    after_help = "Exit codes: 0 stopped as asked; 64 wrong command line or configuration; 69 the host does not let it start; 70 a shard failed."
)]
struct Arguments {
    /// Configuration file; without it, the defaults.
    #[arg(long, env = "GPUSHER_GATEWAY_CONFIG")]
    config: Option<PathBuf>,
    /// How to talk to the kernel, over the configuration.
    #[arg(long)]
    io: Option<Io>,
    /// Where clients connect, over the configuration.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Print the defaults with the documentation of every key, and end.
    #[arg(long)]
    print_config: bool,
    /// Read and check the configuration, and end.
    #[arg(long)]
    check_config: bool,
    /// Say what this host would have to change for the connections that the configuration asks for, and end.
    #[arg(long)]
    doctor: bool,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    if arguments.print_config {
        let _ = write!(std::io::stdout(), "{DEFAULTS}");
        return ExitCode::SUCCESS;
    }
    tracing_subscriber::fmt().with_env_filter(filter()).with_writer(std::io::stderr).init();
    let config = match read(&arguments) {
        Ok(config) => config,
        Err(text) => return refuse(USAGE, &text),
    };
    let valid = config.validate().map_err(|refused| refused.to_string());
    let valid = valid.and_then(|()| register::check(&config));
    if arguments.doctor {
        return doctor(&config, valid);
    }
    if let Err(text) = valid {
        return refuse(USAGE, &text);
    }
    if arguments.check_config {
        return ExitCode::SUCCESS;
    }
    run(config)
}

fn doctor(config: &RuntimeConfig, valid: Result<(), String>) -> ExitCode {
    let (verdict, text) = match valid {
        Ok(()) => (Verdict::Good, "understood, no rule broken".to_owned()),
        Err(text) => (Verdict::Fails, text),
    };
    let mut findings = vec![Finding { name: "configuration", verdict, text }];
    findings.extend(discovery(config));
    findings.extend(examine(config));
    for finding in &findings {
        let _ = writeln!(std::io::stdout(), "{finding}");
    }
    match findings.iter().any(|finding| finding.verdict == Verdict::Fails) {
        true => UNAVAILABLE.into(),
        false => ExitCode::SUCCESS,
    }
}

/// Whether the place where gateways register answers; nothing if there is none.
fn discovery(config: &RuntimeConfig) -> Option<Finding> {
    let registers = config.discovery.url != "static:";
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.ok().filter(|_| registers)?;
    let (verdict, text) = match runtime.block_on(register::ask(&config.discovery)) {
        Ok(text) => (Verdict::Good, text),
        Err(text) => (Verdict::Fails, text),
    };
    Some(Finding { name: "discovery", verdict, text })
}

fn filter() -> tracing_subscriber::EnvFilter {
    let default = tracing_subscriber::EnvFilter::new("info");
    tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or(default)
}

fn read(arguments: &Arguments) -> Result<RuntimeConfig, String> {
    let mut config = RuntimeConfig::load(arguments.config.as_deref(), std::env::vars())
        .map_err(|error| error.to_string())?;
    config.io = arguments.io.unwrap_or(config.io);
    config.listen = arguments.listen.unwrap_or(config.listen);
    Ok(config)
}

fn refuse(code: u8, text: &str) -> ExitCode {
    eprintln!("gpusher-gateway: {text}");
    code.into()
}

fn run(config: RuntimeConfig) -> ExitCode {
    take_short_turns();
    let runtime = match runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
    {
        Ok(runtime) => runtime,
        Err(error) => return refuse(UNAVAILABLE, &format!("cannot start a runtime: {error}")),
    };
    if config.auth == Auth::Any {
        tracing::warn!("any token is accepted: for development only");
    }
    let discovery = config.discovery.clone();
    match Gateway::start(config, runtime.handle()) {
        Err(BootError::Refused(refused)) => refuse(USAGE, &refused.to_string()),
        Err(error) => refuse(UNAVAILABLE, &format!("{error} (see {})", error.key())),
        Ok(gateway) => runtime.block_on(serve(gateway, &discovery)),
    }
}

/// Runs until it is told to stop or a shard fails.
async fn serve(gateway: Gateway, discovery: &DiscoveryConfig) -> ExitCode {
    let Ok(mut stop) = StopSignals::watch() else {
        gateway.shutdown().await;
        return refuse(UNAVAILABLE, "cannot watch for signals");
    };
    let registration = match register::register(discovery, &gateway) {
        Ok(registration) => registration,
        Err(text) => {
            gateway.shutdown().await;
            return refuse(USAGE, &text);
        }
    };
    // Whoever reads this may send a signal at once, or not care to read it all.
    let _ = writeln!(std::io::stdout(), "{}", gateway.budget());
    if let Some(warning) = gateway.io_warning() {
        tracing::warn!(warning, "epoll instead of io_uring");
    }
    tracing::info!(
        clients = %gateway.client_addr(),
        logic = ?gateway.rpc_addr(),
        admin = ?gateway.admin_addr(),
        io = gateway.metrics().constants.io,
        "ready"
    );
    let failure = tokio::select! {
        () = stop.received() => None,
        failure = gateway.failure() => Some(failure),
    };
    tracing::info!("stopping");
    registration.end().await;
    gateway.shutdown().await;
    match failure {
        None => ExitCode::SUCCESS,
        Some(failure) => refuse(SOFTWARE, &failure),
    }
}

/// SIGINT and SIGTERM.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    fn watch() -> std::io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { interrupt, terminate })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
