//! How many connections this gateway can hold under the present limits, and the memory that takes: a sum of named terms, printed at start.

use std::fmt;

/// What the kernel takes for an idle connection: socket, inode, file, dentry and the readiness watch (measured on Linux 6.18).
const KERNEL_BYTES_PER_CONNECTION: u64 = 3_640 + 255;

/// What the host and the configuration allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Threads that hold connections.
    pub shards: u64,
    /// RLIMIT_NOFILE.
    pub descriptors: u64,
    /// Entries of each shard's own descriptor tables, if it has any.
    pub table: Option<u64>,
    /// `connections_max`, if set.
    pub configured: Option<u64>,
    /// Connections that a shard can number.
    pub slots_per_shard: u64,
    /// Memory that the process may still take.
    pub memory_bytes: u64,
    /// User memory of an idle connection.
    pub bytes_per_connection: u64,
}

/// Descriptors that are not connections: listeners, rings, wakers, the runtime's, logic's streams, operators'.
pub const DESCRIPTORS_RESERVED_BASE: u64 = 128;
/// Of them for each shard.
pub const DESCRIPTORS_RESERVED_PER_SHARD: u64 = 8;

/// What stands in the way of more connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The operator's own limit.
    Configured,
    /// The process's descriptor table.
    Descriptors,
    /// The shards' descriptor tables.
    DirectTable,
    /// The width of a connection's number.
    Slots,
    /// Memory, the kernel's part included.
    Memory,
}

impl Bound {
    /// What to change for more.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Configured => "raise connections_max",
            Self::Descriptors => "raise LimitNOFILE, or set descriptors = \"direct\"",
            Self::DirectTable => {
                "raise LimitNOFILE, or set connections_max: a shard then has as many tables as it takes"
            }
            Self::Slots => "raise shards, or run another gateway",
            Self::Memory => "give the host or container more memory, or lower the fixed terms",
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configured => "connections_max",
            Self::Descriptors => "descriptor limit",
            Self::DirectTable => "direct descriptor tables",
            Self::Slots => "slots per shard",
            Self::Memory => "memory",
        })
    }
}

/// A part of the memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// What it is for.
    pub name: &'static str,
    /// At most.
    pub bytes: u64,
}

/// The sum, and what it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Connections that can be held.
    pub connections: u64,
    /// What binds.
    pub bound: Bound,
    /// Memory of the process: connections first, then what is fixed.
    pub terms: Vec<Term>,
    /// The kernel's memory for the connections, when idle.
    pub kernel_bytes: u64,
}

impl Budget {
    /// Weighs the limits against each other; `fixed` does not depend on the number of connections.
    pub fn new(allowance: &Allowance, fixed: Vec<Term>) -> Self {
        let (connections, bound) = capacity(allowance, &fixed);
        let bytes = connections * allowance.bytes_per_connection;
        let mut terms = vec![Term { name: "connections", bytes }];
        terms.extend(fixed);
        let kernel_bytes = connections * KERNEL_BYTES_PER_CONNECTION;
        Self { connections, bound, terms, kernel_bytes }
    }

    /// Memory of the process.
    pub fn process_bytes(&self) -> u64 {
        self.terms.iter().map(|term| term.bytes).sum()
    }
}

fn capacity(allowance: &Allowance, fixed: &[Term]) -> (u64, Bound) {
    let reserved = DESCRIPTORS_RESERVED_BASE + DESCRIPTORS_RESERVED_PER_SHARD * allowance.shards;
    let descriptors = match allowance.table {
        Some(entries) => (entries * allowance.shards, Bound::DirectTable),
        None => (allowance.descriptors.saturating_sub(reserved), Bound::Descriptors),
    };
    let fixed_bytes: u64 = fixed.iter().map(|term| term.bytes).sum();
    let each = allowance.bytes_per_connection + KERNEL_BYTES_PER_CONNECTION;
    let memory = allowance.memory_bytes.saturating_sub(fixed_bytes) / each;
    let slots = allowance.slots_per_shard * allowance.shards;
    let configured = (allowance.configured.unwrap_or(u64::MAX), Bound::Configured);
    let others = [descriptors, (slots, Bound::Slots), (memory, Bound::Memory)];
    others
        .into_iter()
        .fold(configured, |least, bound| if bound.0 < least.0 { bound } else { least })
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, bound, .. } = self;
        writeln!(f, "{connections} connections can be held; what binds is: {bound}")?;
        writeln!(f, "  for more: {}", bound.remedy())?;
        writeln!(f, "memory at that number, at most:")?;
        for Term { name, bytes } in &self.terms {
            writeln!(f, "  {:>9} {name}", mebibytes(*bytes))?;
        }
        writeln!(f, "  {:>9} in this process", mebibytes(self.process_bytes()))?;
        write!(f, "  {:>9} in the kernel, for idle sockets", mebibytes(self.kernel_bytes))
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWANCE: Allowance = Allowance {
        shards: 2,
        descriptors: 20_000,
        table: None,
        configured: None,
        slots_per_shard: 1 << 24,
        memory_bytes: 8 << 30,
        bytes_per_connection: 105,
    };

    fn budget(change: impl FnOnce(&mut Allowance)) -> (u64, Bound) {
        let mut allowance = ALLOWANCE;
        change(&mut allowance);
        let fixed = vec![Term { name: "outboxes", bytes: 1 << 30 }];
        let budget = Budget::new(&allowance, fixed);
        (budget.connections, budget.bound)
    }

    #[test]
    fn the_lowest_limit_binds() {
        let reserved = DESCRIPTORS_RESERVED_BASE + 2 * DESCRIPTORS_RESERVED_PER_SHARD;
        assert_eq!(budget(|_| {}), (20_000 - reserved, Bound::Descriptors));
        assert_eq!(budget(|a| a.configured = Some(10)), (10, Bound::Configured));
        assert_eq!(budget(|a| a.table = Some(20_000)), (40_000, Bound::DirectTable));
        assert_eq!(budget(|a| a.slots_per_shard = 7), (14, Bound::Slots));
        let small = budget(|a| a.memory_bytes = (1 << 30) + 4_000_000);
        assert_eq!(small, (1_000, Bound::Memory));
        assert_eq!(budget(|a| a.memory_bytes = 0), (0, Bound::Memory));
    }

    #[test]
    fn the_sum_is_printed_by_terms() {
        let fixed = vec![Term { name: "outboxes", bytes: 512 << 20 }];
        let allowance = Allowance { configured: Some(1 << 14), descriptors: 1 << 20, ..ALLOWANCE };
        let text = Budget::new(&allowance, fixed).to_string();
        let expected = "16384 connections can be held; what binds is: connections_max
  for more: raise connections_max
memory at that number, at most:
      2 MiB connections
    512 MiB outboxes
    514 MiB in this process
     61 MiB in the kernel, for idle sockets";
        assert_eq!(text, expected);
    }
}
