//! Redis Cluster.

use crate::folder::Folder;
use crate::ports::{free_port, local};
use crate::probe::answers;
use crate::programs::{find, run};
use crate::redis::start_node;
use crate::server::Server;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Three masters without replicas, which share the slots.
#[derive(Debug)]
pub struct RedisCluster {
    ports: [u16; 3],
    _nodes: [Server; 3],
    _folder: Folder,
}

impl RedisCluster {
    /// Starts the nodes, and waits until they are one cluster.
    ///
    /// # Panics
    /// If Redis is missing or does not start.
    pub fn start() -> Self {
        let folder = Folder::new("redis-cluster");
        let ports = [free_port(), free_port(), free_port()];
        let names = ["node-0", "node-1", "node-2"];
        let nodes = [0, 1, 2].map(|node| {
            let (bus, file) = (free_port().to_string(), format!("{}.conf", names[node]));
            let options = [
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &bus,
                "--cluster-config-file",
                &file,
            ];
            start_node(names[node], &folder, local(ports[node]), &options)
        });
        let addresses = ports.map(|port| format!("127.0.0.1:{port}"));
        let mut create = Command::new(find("redis-cli"));
        run(create.args(["--cluster", "create"]).args(&addresses).arg("--cluster-yes"));
        let deadline = Instant::now() + Duration::from_secs(60);
        while !ports
            .iter()
            .all(|&port| answers(local(port), "CLUSTER INFO\r\n", "cluster_state:ok"))
        {
            assert!(Instant::now() < deadline, "the nodes do not become a cluster");
            sleep(Duration::from_millis(20));
        }
        Self { ports, _nodes: nodes, _folder: folder }
    }

    /// Addresses of the nodes, host:port.
    pub fn nodes(&self) -> [String; 3] {
        self.ports.map(|port| format!("127.0.0.1:{port}"))
    }
}
