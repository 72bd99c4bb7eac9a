//! Redis, alone.

use crate::folder::Folder;
use crate::ports::free_port;
use crate::probe::answers;
use crate::programs::find;
use crate::server::{Server, one_process};
use std::process::Command;

/// A Redis server that keeps nothing on disk: started again, it is empty.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    server: Server,
    folder: Folder,
}

impl Redis {
    /// Starts the server.
    ///
    /// # Panics
    /// If Redis is missing or does not start.
    pub fn start() -> Self {
        let (folder, port) = (Folder::new("redis"), free_port());
        let server = start_node("redis", &folder, port, &[]);
        Self { port, server, folder }
    }

    /// `redis://127.0.0.1:port`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}

one_process!(Redis);

/// A server that keeps nothing on disk, with more options.
pub(crate) fn start_node(name: &'static str, folder: &Folder, port: u16, more: &[&str]) -> Server {
    let mut command = Command::new(find("redis-server"));
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir", &folder.file("")]);
    command.args(["--save", "", "--appendonly", "no"]).args(more);
    Server::start(name, folder, command, move || answers(port, "PING\r\n", "+PONG"))
}
