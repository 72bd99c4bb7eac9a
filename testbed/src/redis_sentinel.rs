//! Redis with a replica and a Sentinel that promotes it.

use crate::folder::Folder;
use crate::ports::{free_port, local};
use crate::probe::answers;
use crate::programs::find;
use crate::redis::start_node;
use crate::server::Server;
use std::process::Command;

/// A master, a replica, and one Sentinel whose word alone is enough.
#[derive(Debug)]
pub struct RedisSentinel {
    sentinel_port: u16,
    master: Server,
    _replica: Server,
    _sentinel: Server,
    folder: Folder,
}

impl RedisSentinel {
    /// What the Sentinel calls the service.
    pub const SERVICE: &str = "gpusher";

    /// Starts the three.
    ///
    /// # Panics
    /// If Redis is missing or does not start.
    pub fn start() -> Self {
        let folder = Folder::new("redis-sentinel");
        let (master_port, replica_port, sentinel_port) = (free_port(), free_port(), free_port());
        let master = start_node("master", &folder, local(master_port), &[]);
        let replica_of = ["--replicaof", &format!("127.0.0.1 {master_port}")];
        let replica = start_node("replica", &folder, local(replica_port), &replica_of);
        let service = Self::SERVICE;
        folder.write(
            "sentinel.conf",
            &format!(
                "port {sentinel_port}\nbind 127.0.0.1\ndir {}\n\
                 sentinel monitor {service} 127.0.0.1 {master_port} 1\n\
                 sentinel down-after-milliseconds {service} 500\n\
                 sentinel failover-timeout {service} 3000\n",
                folder.file("")
            ),
        );
        let mut command = Command::new(find("redis-server"));
        command.args([&folder.file("sentinel.conf"), "--sentinel"]);
        // Before it knows the replica it could promote none.
        let question = format!("SENTINEL replicas {service}\r\n");
        let replica_known = format!("127.0.0.1:{replica_port}");
        let ready = move || answers(local(sentinel_port), &question, &replica_known);
        let sentinel = Server::start("sentinel", &folder, command, ready);
        Self { sentinel_port, master, _replica: replica, _sentinel: sentinel, folder }
    }

    /// Address of the Sentinel, host:port.
    pub fn sentinel(&self) -> String {
        format!("127.0.0.1:{}", self.sentinel_port)
    }

    /// Kills the first master; the Sentinel promotes the replica in about a second.
    pub fn kill_master(&self) {
        self.master.kill(&self.folder);
    }
}
