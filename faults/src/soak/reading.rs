//! What processes hold, as the kernel and they themselves tell it.

use crate::deployment::{Deployment, Role};
use crate::metrics::Metrics;
use serde::Serialize;
use std::fmt;
use std::fs;

/// Connections of a gateway.
const SLOTS: &str = "gpusher_gateway_connections";
/// What a process has allocated and not freed: the program, and the libraries in C.
const HEAP: &str = "gpusher_process_heap_bytes{allocator=\"jemalloc\"}";
const HEAP_IN_C: &str = "gpusher_process_heap_bytes{allocator=\"libc\"}";

/// One process.
#[derive(Debug, Clone, Serialize)]
pub struct Reading {
    /// Its name in the deployment.
    pub part: String,
    /// Allocated and not freed by the program; none: its page does not answer.
    pub heap_bytes: Option<u64>,
    /// The same by the libraries in C: SQLite and its page caches, librdkafka.
    pub heap_bytes_in_c: Option<u64>,
    /// Heap and stacks, resident: with it what allocators keep.
    pub anonymous_bytes: u64,
    /// All that is resident.
    pub resident_bytes: u64,
    /// Open files, sockets, rings.
    pub descriptors: u64,
    /// So far, of all threads, in ticks of a hundredth of a second.
    pub cpu_ticks: u64,
}

/// All of it at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// Since the start.
    pub at_s: f64,
    /// Everybody is away.
    pub resting: bool,
    /// Connections that gateways have.
    pub slots: u64,
    /// Sockets in use in the network, of both ends.
    pub sockets: u64,
    /// Kernel memory of the whole machine: slab and TCP's pages.
    pub kernel_bytes: u64,
    /// The processes that run.
    pub parts: Vec<Reading>,
}

/// Where processes are looked at.
#[derive(Debug)]
pub(super) struct Looks<'a> {
    deployment: &'a Deployment,
    gateways: Metrics,
    /// By process, as in the deployment.
    parts: Vec<Metrics>,
}

impl<'a> Looks<'a> {
    pub(super) fn at(deployment: &'a Deployment) -> Self {
        let gateways = Metrics::of(deployment, Role::Gateway);
        let parts = deployment.parts().iter().map(|part| Metrics::of_part(deployment, part));
        Self { deployment, gateways, parts: parts.collect() }
    }

    /// Connections of all gateways; none: one does not answer.
    pub(super) async fn slots(&self) -> Option<u64> {
        self.gateways.sum(SLOTS).await
    }

    /// Everything.
    pub(super) async fn sample(&self, at_s: f64, resting: bool) -> Sample {
        let slots = self.slots().await.unwrap_or_default();
        let mut parts = Vec::new();
        for (part, metrics) in self.deployment.parts().iter().zip(&self.parts) {
            let heap_bytes = metrics.sum(HEAP).await;
            let heap_bytes_in_c = metrics.sum(HEAP_IN_C).await;
            let pid = part.with_process(|process| process.pid());
            let found = pid.and_then(|pid| reading(&part.name, pid.as_raw_nonzero().get()));
            parts.extend(found.map(|found| Reading { heap_bytes, heap_bytes_in_c, ..found }));
        }
        Sample { at_s, resting, slots, sockets: sockets(), kernel_bytes: kernel_bytes(), parts }
    }
}

fn reading(part: &str, pid: i32) -> Option<Reading> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, which may hold anything, ends with the last bracket; user and system time are the 12th and 13th fields after it.
    let ticks = stat.rsplit(')').next()?.split_whitespace().skip(11).take(2);
    Some(Reading {
        part: part.to_owned(),
        heap_bytes: None,
        heap_bytes_in_c: None,
        anonymous_bytes: word_after(&status, "RssAnon:") << 10,
        resident_bytes: word_after(&status, "VmRSS:") << 10,
        descriptors: fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64,
        cpu_ticks: ticks.filter_map(|field| field.parse::<u64>().ok()).sum(),
    })
}

/// Of this network.
fn sockets() -> u64 {
    let text = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    word_after(&text, "TCP: inuse ")
}

fn kernel_bytes() -> u64 {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let sockets = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let page = rustix::param::page_size() as u64;
    (word_after(&memory, "Slab:") << 10) + word_after(&sockets, " mem ") * page
}

/// The number behind something, wherever it stands first.
fn word_after(text: &str, key: &str) -> u64 {
    let after = text.split_once(key).map_or("", |(_, after)| after);
    after.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} s: {} slots, {} sockets", self.at_s, self.slots, self.sockets)?;
        self.parts.iter().try_for_each(|part| {
            let kibibytes = |bytes: Option<u64>| bytes.unwrap_or_default() >> 10;
            let (heap, in_c) = (kibibytes(part.heap_bytes), kibibytes(part.heap_bytes_in_c));
            write!(f, "; {}: {heap} KiB live, {in_c} in C", part.part)?;
            write!(f, ", {} resident", kibibytes(Some(part.anonymous_bytes)))?;
            write!(f, ", {} descriptors", part.descriptors)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_itself() {
        let before = reading("me", std::process::id() as i32).unwrap();
        let block = std::hint::black_box(vec![1u8; 8 << 20]);
        let file = fs::File::open("/proc/self/status").unwrap();
        let after = reading("me", std::process::id() as i32).unwrap();
        assert!(after.anonymous_bytes >= before.anonymous_bytes + block.len() as u64 / 2);
        assert!(after.resident_bytes >= after.anonymous_bytes && after.descriptors > 3);
        drop(file);
        assert!(kernel_bytes() > 0);
    }

    #[test]
    fn numbers_stand_behind_their_names() {
        assert_eq!(word_after("TCP: inuse 12 orphan 0", "TCP: inuse "), 12);
        assert_eq!(word_after("Slab:     17 kB", "Slab:"), 17);
        assert_eq!(word_after("nothing", "Slab:"), 0);
    }
}
