//! What the threads of this process have spent.

use anyhow::{Context, Result};
use std::collections::HashMap;

/// CPU time of this process's threads, by name.
pub(super) struct Cpu(HashMap<String, u64>);

impl Cpu {
    pub(super) fn read() -> Result<Self> {
        let mut by_name = HashMap::new();
        for entry in std::fs::read_dir("/proc/self/task")? {
            let path = entry?.path();
            let name = std::fs::read_to_string(path.join("comm"))?.trim().to_owned();
            let name = if name.starts_with("shard") { "shards".into() } else { name };
            let ran: u64 = std::fs::read_to_string(path.join("schedstat"))?
                .split(' ')
                .next()
                .context("empty")?
                .parse()?;
            *by_name.entry(name).or_default() += ran;
        }
        Ok(Self(by_name))
    }

    pub(super) fn spent(&self, per: u64, unit: &str) -> Result<String> {
        let now = Self::read()?;
        let mut parts: Vec<_> =
            now.0.iter().map(|(name, ns)| (name, ns - self.0.get(name).unwrap_or(&0))).collect();
        parts.sort();
        let each = parts
            .iter()
            .filter(|(_, ns)| *ns > 0)
            .map(|(name, ns)| format!("{name} {:.0} ns", *ns as f64 / per as f64));
        Ok(format!("CPU per {unit}: {}", each.collect::<Vec<_>>().join(", ")))
    }
}
