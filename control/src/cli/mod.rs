//! The command line.

mod doctor;
mod run;
mod tools;

use clap::{Args, Parser, Subcommand};
use gpusher_control::config::{Config, DEFAULTS, Role};
use gpusher_control::error::{Code, Error, Result};
use gpusher_gateway::config::Io;
use std::path::PathBuf;
use std::process::ExitCode;

/// The command line or the configuration is wrong.
const USAGE: u8 = 64;
/// The host does not let it happen.
const UNAVAILABLE: u8 = 69;
/// A part failed, or we did.
const SOFTWARE: u8 = 70;

/// A push system: holds client connections, accepts pushes over HTTP, delivers them.
#[derive(Parser)]
#[command(name = "gpusher-control", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run roles until SIGINT or SIGTERM.
    Run(RunArguments),
    /// Everything in one process on loopback, open to anybody on this machine: to try it out.
    Dev(DevArguments),
    /// Print the configuration's defaults with the documentation of every key.
    PrintConfig,
    /// Read and check the configuration.
    CheckConfig(FileArguments),
    /// Check each dependency and name the one that fails.
    Doctor(RunArguments),
    /// Hash a password, read from standard input, as the users table keeps it.
    HashPassword,
    /// Issue a token by hand.
    Token(TokenArguments),
}

#[derive(Args)]
struct FileArguments {
    /// Configuration file; without it, the defaults.
    #[arg(long, env = "GPUSHER_CONTROL_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Args)]
struct RunArguments {
    #[command(flatten)]
    file: FileArguments,
    /// What this process does, over the configuration: web, logic, message, gateway, separated by commas.
    #[arg(long, value_delimiter = ',')]
    roles: Option<Vec<Role>>,
    /// Folder for what this process keeps, over the configuration.
    #[arg(long)]
    data: Option<PathBuf>,
    /// How the gateway talks to the kernel, over the configuration.
    #[arg(long)]
    io: Option<Io>,
    /// Accept any token and no API key, on loopback only.
    #[arg(long)]
    dev: bool,
}

#[derive(Args)]
struct DevArguments {
    /// Folder for what this process keeps.
    #[arg(long)]
    data: Option<PathBuf>,
    /// How the gateway talks to the kernel: io_uring where it works, unless given.
    #[arg(long)]
    io: Option<Io>,
}

#[derive(Args)]
struct TokenArguments {
    #[command(flatten)]
    file: FileArguments,
    /// The user's uuid.
    uuid: String,
    /// Good for this app only; without it, for all.
    #[arg(long)]
    app: Option<u32>,
    /// Folder of the process whose generated secret is to sign it, over the configuration.
    #[arg(long)]
    data: Option<PathBuf>,
}

/// Does what the command line says.
pub(super) fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    match arguments.command.perform() {
        Ok(code) => code,
        Err(error) => refuse(&error),
    }
}

impl Command {
    fn perform(self) -> Result<ExitCode> {
        match self {
            Self::Run(arguments) => run::run(arguments.read()?),
            Self::Dev(arguments) => run::run(arguments.read()?),
            Self::PrintConfig => {
                print!("{DEFAULTS}");
                Ok(ExitCode::SUCCESS)
            }
            Self::CheckConfig(file) => {
                file.read()?.validate()?;
                println!("ok");
                Ok(ExitCode::SUCCESS)
            }
            Self::Doctor(arguments) => doctor::doctor(arguments.read()?),
            Self::HashPassword => tools::hash_password(),
            Self::Token(arguments) => tools::token(&arguments),
        }
    }
}

impl FileArguments {
    fn read(&self) -> Result<Config> {
        Config::load(self.config.as_deref(), std::env::vars())
    }
}

impl RunArguments {
    fn read(self) -> Result<Config> {
        let mut config = self.file.read()?;
        if let Some(roles) = self.roles {
            config.roles = roles.into_iter().collect();
        }
        if self.dev {
            config = config.for_development();
        }
        config.data_dir = self.data.unwrap_or(config.data_dir);
        config.gateway.io = self.io.unwrap_or(config.gateway.io);
        Ok(config)
    }
}

impl DevArguments {
    fn read(self) -> Result<Config> {
        let file = FileArguments { config: None };
        RunArguments { file, roles: None, data: self.data, io: self.io, dev: true }.read()
    }
}

fn refuse(error: &Error) -> ExitCode {
    eprintln!("gpusher-control: {error}");
    match error.code {
        Code::Invalid => USAGE.into(),
        Code::Internal => SOFTWARE.into(),
        _ => UNAVAILABLE.into(),
    }
}
