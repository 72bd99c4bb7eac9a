//! Kafka.

use crate::folder::Folder;
use crate::ports::{free_address, free_port};
use crate::probe::listens;
use crate::programs::{find, kafka_jars, run};
use crate::server::{Server, one_process};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;

/// A small heap, a compiler that starts fast, and a word where something fails.
const JVM: [&str; 5] = [
    "-Xmx256m",
    "-Xms64m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
];

/// A Kafka broker that is its own controller (KRaft).
#[derive(Debug)]
pub struct Kafka {
    at: SocketAddrV4,
    server: Server,
    folder: Folder,
}

impl Kafka {
    /// Formats the log folder and starts the broker.
    ///
    /// # Panics
    /// If Java or Kafka's jars are missing, or the broker does not start.
    pub fn start() -> Self {
        Self::start_on(Ipv4Addr::LOCALHOST)
    }

    /// As [`Self::start`], on another address of this machine.
    pub fn start_on(host: Ipv4Addr) -> Self {
        let (folder, at, controller) = (Folder::new("kafka"), free_address(host), free_port());
        folder.write("server.properties", &properties(&folder.file("data"), at, controller));
        let properties = folder.file("server.properties");
        let java = || {
            let mut java = Command::new(find("java"));
            java.args(JVM).args(["-cp", &format!("{}/*", kafka_jars().display())]);
            java
        };
        let format = ["kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c"];
        run(java().args(format).arg(&properties));
        let mut command = java();
        command.args(["kafka.Kafka", &properties]);
        let server = Server::start("kafka", &folder, command, move || listens(at));
        Self { at, server, folder }
    }

    /// Address of the broker, host:port.
    pub fn broker(&self) -> String {
        self.at.to_string()
    }
}

one_process!(Kafka);

fn properties(data: &str, at: SocketAddrV4, controller: u16) -> String {
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://{at},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://{at}\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={data}\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=2\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=1\n\
         group.initial.rebalance.delay.ms=0\n\
         num.network.threads=1\n\
         num.io.threads=2\n\
         log.cleaner.enable=false\n"
    )
}
