//! Names of keys. What is in braces decides the slot of a cluster.

use super::member::{ProcessNumber, SHARDS};

/// The keys of one system.
pub(super) struct Keys {
    prefix: String,
    /// Records of gateways, by number.
    pub(super) leases: Vec<u8>,
    /// The version of the records.
    pub(super) version: Vec<u8>,
    /// Processes whose bindings are to be removed.
    pub(super) gone: Vec<u8>,
    /// Who removes them.
    pub(super) sweeper: Vec<u8>,
    shards: Vec<[Vec<u8>; 2]>,
}

impl Keys {
    pub(super) fn new(prefix: String) -> Self {
        let of_leases = |what: &str| format!("{prefix}{{leases}}{what}").into_bytes();
        let shard = |shard| {
            ["routes", "counts"].map(|what| format!("{prefix}{{{shard}}}{what}").into_bytes())
        };
        Self {
            leases: of_leases(""),
            version: of_leases("version"),
            gone: of_leases("gone"),
            sweeper: of_leases("sweeper"),
            shards: (0..SHARDS).map(shard).collect(),
            prefix,
        }
    }

    /// A shard's bindings, and what is counted of them.
    pub(super) fn of_shard(&self, shard: u64) -> &[Vec<u8>; 2] {
        &self.shards[shard as usize]
    }

    /// The processes that have members of an app or topic.
    pub(super) fn audience(&self, app_id: u32, topic: &str) -> Vec<u8> {
        format!("{}members{{{app_id}:{topic}}}", self.prefix).into_bytes()
    }

    /// The audiences that a process has members of.
    pub(super) fn audiences_of(&self, process: ProcessNumber) -> Vec<u8> {
        format!("{}audiences{{{}}}", self.prefix, process.0).into_bytes()
    }

    /// The apps among them.
    pub(super) fn apps_of(&self, process: ProcessNumber) -> Vec<u8> {
        format!("{}apps{{{}}}", self.prefix, process.0).into_bytes()
    }
}
