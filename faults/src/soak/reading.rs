//! What processes hold, as the kernel and the gateway tell it.

use crate::deployment::Deployment;
use crate::metrics::Metrics;
use serde::Serialize;
use std::fmt;
use std::fs;

/// Connections of a gateway.
pub(super) const SLOTS: &str = "gpusher_gateway_connections";

/// One process.
#[derive(Debug, Clone, Serialize)]
pub struct Reading {
    /// Its name in the deployment.
    pub part: String,
    /// Heap and stacks, resident.
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

/// Looks at everything.
pub(super) async fn sample(
    deployment: &Deployment,
    gateways: &Metrics,
    at_s: f64,
    resting: bool,
) -> Sample {
    let slots = gateways.sum(SLOTS).await.unwrap_or_default();
    let parts = deployment.parts().iter().filter_map(|part| {
        let pid = part.with_process(|process| process.pid())?;
        reading(&part.name, pid.as_raw_nonzero().get())
    });
    let parts = parts.collect();
    Sample { at_s, resting, slots, sockets: sockets(), kernel_bytes: kernel_bytes(), parts }
}

fn reading(part: &str, pid: i32) -> Option<Reading> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, which may hold anything, ends with the last bracket; user and system time are the 12th and 13th fields after it.
    let ticks = stat.rsplit(')').next()?.split_whitespace().skip(11).take(2);
    Some(Reading {
        part: part.to_owned(),
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
            let (kibibytes, descriptors) = (part.anonymous_bytes >> 10, part.descriptors);
            write!(f, "; {}: {kibibytes} KiB, {descriptors} descriptors", part.part)
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
