//! Redis, alone.

use crate::folder::Folder;
use crate::ports::free_address;
use crate::probe::answers;
use crate::programs::find;
use crate::server::{Server, one_process};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;

/// A Redis server that keeps nothing on disk: started again, it is empty.
#[derive(Debug)]
pub struct Redis {
    at: SocketAddrV4,
    server: Server,
    folder: Folder,
}

impl Redis {
    /// Starts the server.
    ///
    /// # Panics
    /// If Redis is missing or does not start.
    pub fn start() -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST)
    }

    /// As [`Self::start`], on another address of this machine.
    pub fn start_on(host: Ipv4Addr) -> Self {
        let (folder, at) = (Folder::new("redis"), free_address(host));
        let server = start_node("redis", &folder, at, &[]);
        Self { at, server, folder }
    }

    /// `redis://host:port`
    pub fn url(&self) -> String {
        format!("redis://{}", self.at)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.at.port()
    }
}

one_process!(Redis);

/// A server that keeps nothing on disk, with more options.
pub(crate) fn start_node(
    name: &'static str,
    folder: &Folder,
    at: SocketAddrV4,
    more: &[&str],
) -> Server {
    let mut command = Command::new(find("redis-server"));
    let (host, port) = (at.ip().to_string(), at.port().to_string());
    command.args(["--bind", &host, "--port", &port, "--dir", &folder.file("")]);
    // Clients of other hosts need no password either.
    command.args(["--save", "", "--appendonly", "no", "--protected-mode", "no"]).args(more);
    Server::start(name, folder, command, move || answers(at, "PING\r\n", "+PONG"))
}
