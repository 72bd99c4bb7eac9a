//! etcd.

use crate::folder::Folder;
use crate::ports::{free_address, free_port};
use crate::probe::answers;
use crate::programs::find;
use crate::server::{Server, one_process};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;

/// An etcd of one member.
#[derive(Debug)]
pub struct Etcd {
    at: SocketAddrV4,
    server: Server,
    folder: Folder,
}

impl Etcd {
    /// Starts the server.
    ///
    /// # Panics
    /// If etcd is missing or does not start.
    pub fn start() -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST)
    }

    /// As [`Self::start`], on another address of this machine.
    pub fn start_on(host: Ipv4Addr) -> Self {
        let (folder, at) = (Folder::new("etcd"), free_address(host));
        let clients = format!("http://{at}");
        let peers = format!("http://127.0.0.1:{}", free_port());
        let mut command = Command::new(find("etcd"));
        command.args(["--data-dir", &folder.file("data")]);
        command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        command.args(["--initial-cluster", &format!("default={peers}")]);
        let question = "GET /health HTTP/1.0\r\n\r\n";
        let ready = move || answers(at, question, r#""health":"true""#);
        let server = Server::start("etcd", &folder, command, ready);
        Self { at, server, folder }
    }

    /// Address, host:port.
    pub fn address(&self) -> String {
        self.at.to_string()
    }
}

one_process!(Etcd);
