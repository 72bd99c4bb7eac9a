//! Command-line client: listen, send, subscribe, push.

mod http;
mod listen;
mod options;
mod print;
mod push;
mod send;

use clap::{Parser, Subcommand};

/// A client for gpusher: receives messages as one user, sends to others, pushes over HTTP.
#[derive(Parser)]
#[command(name = "gpusher", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print what comes for a user, until Ctrl-C
    Listen(listen::Listen),
    /// Print what comes for topics, until Ctrl-C
    Subscribe(listen::Subscribe),
    /// Send one message as a user
    Send(send::Send),
    /// Push over HTTP, as an application does
    Push(push::Push),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Listen(listen) => listen.run().await,
        Command::Subscribe(subscribe) => subscribe.run().await,
        Command::Send(send) => send.run().await,
        Command::Push(push) => push.run().await,
    }
}
