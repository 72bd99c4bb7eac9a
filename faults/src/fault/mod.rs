//! The faults, by name: each does one kind of harm, holds it for a while, and takes it back. It knows nothing of the workload, and of the
//! deployment only what it harms.

mod backlog;
mod clients;
mod clocks;
mod flood;
mod host;
mod letters;
mod limited;
mod memory;
mod parts;
mod servers;
mod storms;
mod syns;

use crate::deployment::{Role, ServerKind};
use crate::network;
use crate::random::Random;
use crate::stage::Stage;
use anyhow::Result;
use std::time::{Duration, Instant};

pub(crate) use flood::{bad_login, nonsense};
pub use host::mount_disk;

/// What kind of harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// Nothing: what the rest is compared with.
    None,
    /// SIGKILL, and started again by a supervisor.
    Kill(Role),
    /// SIGKILL of any process.
    KillAny,
    /// SIGSTOP for seconds.
    Stop(Role),
    /// SIGKILL of a server that processes share, and started again.
    KillServer(ServerKind),
    /// SIGSTOP of such a server for seconds.
    StopServer(ServerKind),
    /// No packet from or to such a server.
    CutServer(ServerKind),
    /// No byte between a gateway and logic.
    CutLink,
    /// The cable of a host with one process is pulled.
    CutHost,
    /// The disk that the data is on is full.
    FullDisk,
    /// It cannot be written when the processes start.
    ReadOnlyDisk,
    /// No descriptor is left.
    Descriptors(Role),
    /// No memory is left.
    Memory(Role),
    /// The wall clock of a process, any or one with a role, jumps and jumps back.
    ClockJump {
        /// None: any.
        role: Option<Role>,
        /// Whether it is killed meanwhile, and starts by the wrong clock.
        killed: bool,
    },
    /// Clients that keep their connection and read nothing.
    Deaf,
    /// Clients that take messages and acknowledge none.
    Hung,
    /// Clients that vanish without a word, and come back elsewhere.
    HalfOpen,
    /// Programs end and start again.
    Restart,
    /// Connections that send nonsense.
    Garbage,
    /// Connections that never log in.
    Connections,
    /// Connections whose other end does not exist.
    Syns,
    /// Logins that are refused.
    Logins,
    /// Logic is away while much is pushed.
    Behind,
    /// Logic is away while a thousand messages are pushed for each client.
    FarBehind,
    /// All clients come back at once.
    Storm,
    /// Two clients with one device.
    Twins,
    /// More is sent to clients that read nothing than is held for them.
    Overflow,
}

/// A fault of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// On the command line.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub about: &'static str,
    /// What kind of harm.
    pub harm: Harm,
    /// How long it is held unless asked for otherwise, in milliseconds: drawn between these.
    pub hold_ms: (u64, u64),
    /// Configuration that it needs.
    pub keys: &'static [(&'static str, &'static str)],
}

const fn fault(name: &'static str, harm: Harm, hold_ms: (u64, u64), about: &'static str) -> Fault {
    Fault { name, about, harm, hold_ms, keys: &[] }
}

const fn memory(name: &'static str, role: Role, about: &'static str) -> Fault {
    fault(name, Harm::Memory(role), (3_000, 8_000), about)
}

/// All of them.
pub const CATALOGUE: &[Fault] = &[
    fault("none", Harm::None, (1_000, 2_000), "nothing: what the others are compared with"),
    fault(
        "kill-gateway",
        Harm::Kill(Role::Gateway),
        (0, 300),
        "kill -9 of a gateway, started again",
    ),
    fault("kill-logic", Harm::Kill(Role::Logic), (0, 300), "kill -9 of a logic, started again"),
    fault(
        "kill-message",
        Harm::Kill(Role::Message),
        (0, 300),
        "kill -9 of store, routes and queue, started again",
    ),
    fault("kill-web", Harm::Kill(Role::Web), (0, 300), "kill -9 of an HTTP process, started again"),
    fault("kill-any", Harm::KillAny, (0, 300), "kill -9 of any process, started again"),
    fault(
        "stop-gateway",
        Harm::Stop(Role::Gateway),
        (500, 5_000),
        "SIGSTOP of a gateway for seconds",
    ),
    fault("stop-logic", Harm::Stop(Role::Logic), (500, 5_000), "SIGSTOP of a logic for seconds"),
    fault(
        "stop-message",
        Harm::Stop(Role::Message),
        (500, 5_000),
        "SIGSTOP of store, routes and queue for seconds",
    ),
    fault(
        "stop-web",
        Harm::Stop(Role::Web),
        (500, 5_000),
        "SIGSTOP of an HTTP process for seconds",
    ),
    fault(
        "kill-redis",
        Harm::KillServer(ServerKind::Redis),
        (0, 3_000),
        "kill -9 of Redis, started again empty",
    ),
    fault(
        "kill-kafka",
        Harm::KillServer(ServerKind::Kafka),
        (0, 3_000),
        "kill -9 of the Kafka broker, started again",
    ),
    fault(
        "kill-database",
        Harm::KillServer(ServerKind::Database),
        (0, 3_000),
        "kill -9 of PostgreSQL or MariaDB, started again",
    ),
    fault(
        "kill-etcd",
        Harm::KillServer(ServerKind::Etcd),
        (0, 3_000),
        "kill -9 of etcd, started again",
    ),
    fault(
        "stop-redis",
        Harm::StopServer(ServerKind::Redis),
        (500, 5_000),
        "SIGSTOP of Redis for seconds",
    ),
    fault(
        "stop-kafka",
        Harm::StopServer(ServerKind::Kafka),
        (500, 5_000),
        "SIGSTOP of the Kafka broker for seconds",
    ),
    fault(
        "stop-database",
        Harm::StopServer(ServerKind::Database),
        (500, 5_000),
        "SIGSTOP of the database for seconds",
    ),
    fault(
        "cut-redis",
        Harm::CutServer(ServerKind::Redis),
        (1_000, 8_000),
        "no packet passes from or to Redis",
    ),
    fault(
        "cut-kafka",
        Harm::CutServer(ServerKind::Kafka),
        (1_000, 8_000),
        "no packet passes from or to the Kafka broker",
    ),
    fault(
        "cut-database",
        Harm::CutServer(ServerKind::Database),
        (1_000, 8_000),
        "no packet passes from or to the database",
    ),
    fault(
        "cut-link",
        Harm::CutLink,
        (1_000, 8_000),
        "no byte passes between a gateway and logic; --hold 180 for minutes",
    ),
    fault(
        "cut-host",
        Harm::CutHost,
        (1_000, 8_000),
        "the network cable of a process's host is pulled; --namespaces gives each a host of its own",
    ),
    fault(
        "full-disk",
        Harm::FullDisk,
        (1_000, 4_000),
        "the disk with the data is full, then has room again",
    ),
    fault(
        "read-only-disk",
        Harm::ReadOnlyDisk,
        (1_000, 3_000),
        "killed, and started again on a disk that cannot be written for a while",
    ),
    fault(
        "descriptors-gateway",
        Harm::Descriptors(Role::Gateway),
        (1_000, 4_000),
        "no descriptor is left in a gateway, while clients come back",
    ),
    fault(
        "descriptors-web",
        Harm::Descriptors(Role::Web),
        (1_000, 4_000),
        "no descriptor is left in an HTTP process",
    ),
    fault(
        "descriptors-message",
        Harm::Descriptors(Role::Message),
        (1_000, 4_000),
        "no descriptor is left for store, routes and queue",
    ),
    memory(
        "memory-gateway",
        Role::Gateway,
        "no memory is left for a gateway, while clients come back",
    ),
    memory("memory-logic", Role::Logic, "no memory is left for a logic"),
    memory("memory-message", Role::Message, "no memory is left for store, routes and queue"),
    memory("memory-web", Role::Web, "no memory is left for an HTTP process"),
    fault(
        "clock-jump",
        Harm::ClockJump { role: None, killed: false },
        (2_000, 8_000),
        "the wall clock of any process jumps by seconds to minutes, ahead or back, then jumps back",
    ),
    fault(
        "clock-jump-gateway",
        Harm::ClockJump { role: Some(Role::Gateway), killed: false },
        (2_000, 8_000),
        "the wall clock of a gateway jumps, while clients come back",
    ),
    fault(
        "clock-jump-logic",
        Harm::ClockJump { role: Some(Role::Logic), killed: false },
        (2_000, 8_000),
        "the wall clock of a logic jumps",
    ),
    fault(
        "clock-jump-message",
        Harm::ClockJump { role: Some(Role::Message), killed: false },
        (2_000, 8_000),
        "the wall clock of store, routes and queue jumps",
    ),
    fault(
        "clock-jump-web",
        Harm::ClockJump { role: Some(Role::Web), killed: false },
        (2_000, 8_000),
        "the wall clock of an HTTP process jumps",
    ),
    fault(
        "clock-jump-kill",
        Harm::ClockJump { role: None, killed: true },
        (2_000, 8_000),
        "kill -9 of any process, started again by a wall clock that is wrong, which jumps right later",
    ),
    fault(
        "deaf-clients",
        Harm::Deaf,
        (2_000, 10_000),
        "a part of the clients keeps its connection and reads nothing (zero window)",
    ),
    Fault {
        keys: letters::KEYS,
        ..fault(
            "never-acknowledge",
            Harm::Hung,
            (8_000, 12_000),
            "applications hang: what they are sent is never acknowledged, and given up",
        )
    },
    fault(
        "half-open-clients",
        Harm::HalfOpen,
        (5_000, 15_000),
        "a part of the clients vanishes without a word",
    ),
    fault(
        "restart-clients",
        Harm::Restart,
        (0, 2_000),
        "a part of the clients' programs ends, and starts again from what it stored",
    ),
    fault(
        "garbage",
        Harm::Garbage,
        (500, 2_000),
        "connections that send nonsense, before and after a login",
    ),
    fault(
        "connection-flood",
        Harm::Connections,
        (1_000, 3_000),
        "thousands of connections that never log in",
    ),
    fault(
        "syn-flood",
        Harm::Syns,
        (3_000, 6_000),
        "50,000 SYNs a second whose senders do not exist, while clients come back",
    ),
    fault(
        "login-flood",
        Harm::Logins,
        (1_000, 3_000),
        "a storm of logins with tokens that are no good",
    ),
    fault(
        "queue-behind",
        Harm::Behind,
        (3_000, 6_000),
        "logic is away while pushes pile up in the queue",
    ),
    fault(
        "queue-far-behind",
        Harm::FarBehind,
        (0, 0),
        "logic is away while a thousand pushes for each client pile up; --clients 1000: a million",
    ),
    Fault {
        keys: &[storms::RATE_KEY],
        ..fault(
            "login-storm",
            Harm::Storm,
            (500, 2_000),
            "all come back at once, and are let in at a set rate (100 a second)",
        )
    },
    fault(
        "kick-loop",
        Harm::Twins,
        (6_000, 9_000),
        "two clients with one device name replace each other, until they are told to stay away",
    ),
    fault(
        "overflow",
        Harm::Overflow,
        (500, 2_000),
        "more is kept for clients that do not read than fits; then they read, on the same connection",
    ),
];

/// The fault of a name.
pub fn find(name: &str) -> Option<&'static Fault> {
    CATALOGUE.iter().find(|fault| fault.name == name)
}

impl Fault {
    /// Whether the system has what it harms; else why not.
    ///
    /// # Errors
    /// What is missing.
    pub fn fits(&self, stage: &Stage) -> Result<(), &'static str> {
        let has = |role| !stage.deployment.with_role(role).is_empty();
        match self.harm {
            Harm::Kill(role)
            | Harm::Stop(role)
            | Harm::Descriptors(role)
            | Harm::Memory(role)
            | Harm::ClockJump { role: Some(role), .. }
                if !has(role) =>
            {
                Err("no process has this role")
            }
            Harm::KillServer(kind) | Harm::StopServer(kind) | Harm::CutServer(kind)
                if stage.deployment.server(kind).is_none() =>
            {
                Err("there is no such server (--backends)")
            }
            Harm::CutServer(_) if !network::is_ours() => {
                Err("not in a network namespace of its own (needs root)")
            }
            Harm::CutLink if !stage.deployment.has_links() => {
                Err("gateway and logic are in one process")
            }
            Harm::CutHost if !stage.deployment.has_hosts() => {
                Err("the processes have no hosts of their own (--namespaces)")
            }
            Harm::HalfOpen | Harm::Syns if stage.deployment.has_hosts() => Err(
                "mobile clients and strangers have addresses of loopback (not with --namespaces)",
            ),
            Harm::FarBehind if stage.deployment.parts().len() == 1 => {
                Err("logic is in one process with the web")
            }
            Harm::FullDisk | Harm::ReadOnlyDisk if stage.disk.is_none() => {
                Err("the data is not on a disk of its own (needs root)")
            }
            Harm::HalfOpen | Harm::Syns if !network::is_ours() => {
                Err("not in a network namespace of its own (needs root)")
            }
            _ => Ok(()),
        }
    }

    /// Does the harm at this moment, holds it, and takes it back. Returns when it was over.
    ///
    /// # Errors
    /// If the host does not let it happen.
    pub async fn strike(
        &self,
        stage: &Stage,
        hold: Duration,
        random: &mut Random,
    ) -> Result<Instant> {
        match self.harm {
            Harm::None => tokio::time::sleep(hold).await,
            Harm::Kill(role) => return Ok(parts::kill(stage, Some(role), hold, random).await),
            Harm::KillAny => return Ok(parts::kill(stage, None, hold, random).await),
            Harm::Stop(role) => parts::stop(stage, role, hold, random).await,
            Harm::KillServer(kind) => return servers::kill(stage, kind, hold).await,
            Harm::StopServer(kind) => servers::stop(stage, kind, hold).await?,
            Harm::CutServer(kind) => servers::cut(stage, kind, hold).await?,
            Harm::CutLink => parts::cut_link(stage, hold, random).await,
            Harm::CutHost => parts::cut_host(stage, hold, random).await?,
            Harm::Behind => parts::leave_behind(stage, hold).await,
            Harm::FullDisk => host::fill_disk(stage, hold).await?,
            Harm::ReadOnlyDisk => host::forbid_writing(stage, hold).await?,
            Harm::Descriptors(role) => host::take_descriptors(stage, role, hold, random).await,
            Harm::ClockJump { role, killed } => {
                clocks::jump(stage, role, killed, hold, random).await?;
            }
            Harm::Memory(role) => memory::take(stage, role, hold, random).await?,
            Harm::Hung => letters::never_acknowledge(stage, hold, random).await?,
            Harm::Syns => syns::flood(stage, hold, random).await?,
            Harm::Deaf => clients::stop_reading(stage, hold, random).await,
            Harm::HalfOpen => clients::vanish(stage, hold).await?,
            Harm::Restart => clients::restart(stage, hold, random).await,
            Harm::Garbage => flood::garbage(stage, hold, random).await,
            Harm::Connections => flood::connections(stage, hold, random).await,
            Harm::FarBehind => return Ok(backlog::fall_behind(stage).await),
            Harm::Storm => return Ok(storms::come_back_at_once(stage, hold).await),
            Harm::Twins => storms::replace_each_other(stage, hold, random).await,
            Harm::Overflow => storms::overflow(stage, hold, random).await,
            Harm::Logins => flood::logins(stage, hold, random).await,
        }
        Ok(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for fault in CATALOGUE {
            assert_eq!(CATALOGUE.iter().filter(|other| other.name == fault.name).count(), 1);
            assert!(find(fault.name).is_some() && fault.hold_ms.0 <= fault.hold_ms.1);
        }
        assert!(find("nothing").is_none());
    }
}
