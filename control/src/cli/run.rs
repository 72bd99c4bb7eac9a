//! `run` and `dev`: start, wait for a signal, stop.

use gpusher_control::boot::Process;
use gpusher_control::config::{AuthMode, Config, Log, LogFormat};
use gpusher_control::error::{Code, Error, Result};
use gpusher_gateway::boot::take_short_turns;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Runs until told to stop.
pub(super) fn run(config: Config) -> Result<ExitCode> {
    start_logging(&config.log)?;
    take_short_turns();
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Error::new(Code::Unavailable, format!("cannot start a runtime: {error}"))
    })?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> Result<ExitCode> {
    let mut stop = StopSignals::new()?;
    let open = config.auth.mode == AuthMode::Open;
    let process = tokio::select! {
        started = Process::start(config) => started?,
        () = stop.received() => return Ok(ExitCode::SUCCESS),
    };
    if open {
        tracing::warn!("any token and no API key is accepted: for development only");
    }
    // Whoever reads it may have gone; that is no reason to end.
    let _ = writeln!(std::io::stdout(), "{}", process.summary());
    let failure = tokio::select! {
        () = stop.received() => None,
        failure = process.failure() => Some(failure),
    };
    tracing::info!("stopping");
    tokio::select! {
        () = process.stop() => tracing::info!("stopped"),
        () = stop.received() => tracing::warn!("told to stop again: cutting off what is left"),
    }
    match failure {
        None => Ok(ExitCode::SUCCESS),
        Some(failure) => Err(Error::new(Code::Internal, failure)),
    }
}

/// To standard error, so that what is printed for people stays readable.
fn start_logging(log: &Log) -> Result<()> {
    let filter = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(filter) => EnvFilter::try_new(filter),
        Err(_) => EnvFilter::try_new(&log.filter),
    };
    let filter = filter.map_err(|error| {
        Error::new(Code::Invalid, format!("the log filter cannot be understood: {error}"))
    })?;
    let logging = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match log.format {
        LogFormat::Text => logging.init(),
        LogFormat::Json => logging.json().init(),
    }
    Ok(())
}

/// SIGINT and SIGTERM.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    fn new() -> Result<Self> {
        let watch = |kind| {
            signal(kind).map_err(|error| {
                Error::new(Code::Unavailable, format!("cannot watch for signals: {error}"))
            })
        };
        Ok(Self {
            interrupt: watch(SignalKind::interrupt())?,
            terminate: watch(SignalKind::terminate())?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
