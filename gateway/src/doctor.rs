//! What a host would have to change before it holds the connections that the configuration asks for: each setting, why it matters, and the
//! command that sets it.

use crate::budget::Budget;
use crate::config::{Descriptors, RuntimeConfig};
use crate::plan::Plan;
use gpusher_sys::limits;
use std::{fmt, io};

/// Connections that are planned for where the configuration names no maximum.
const CONNECTIONS_WANTED: u64 = 1_000_000;

/// Clients that come back at once fill the accept queue of each shard, up to this many, before they are accepted.
const BACKLOG_WANTED: u64 = 4_096;

/// Pages of `tcp_mem` for each connection while a message to all is under way: one at the sender until it is acknowledged; and the
/// kernel begins to hold back at two thirds.
const TCP_PAGES_PER_2_CONNECTIONS: u64 = 3;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// The gateway runs, but not with that many connections, or not at its best.
    Note,
    /// The gateway does not start.
    Fails,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Fails => "FAIL",
        })
    }
}

/// One setting of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// How it stands.
    pub verdict: Verdict,
    /// The value, and what to do about it.
    pub text: String,
}

/// A line of a report.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, verdict, text } = self;
        write!(f, "  {verdict:<5} {name:<30} {text}")
    }
}

/// What was read of the host; none where the kernel does not have it.
#[derive(Debug, Clone, Copy)]
struct Facts {
    descriptors_max: u64,
    backlog_max: u64,
    syn_backlog_max: Option<u64>,
    tcp_pages_max: u64,
    conntrack_max: Option<u64>,
}

impl Facts {
    fn read() -> io::Result<Self> {
        Ok(Self {
            descriptors_max: limits::descriptor_limit()?.hard,
            backlog_max: limits::backlog_max()?,
            syn_backlog_max: limits::syn_backlog_max().ok(),
            tcp_pages_max: limits::tcp_memory_pages()?[2],
            conntrack_max: limits::conntrack_max().ok(),
        })
    }
}

/// Looks at everything on the host that a gateway with this configuration depends on.
pub fn examine(config: &RuntimeConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    let wanted = config.connections_max.map_or(CONNECTIONS_WANTED, |wanted| wanted as u64);
    match Plan::new(config) {
        Ok(plan) => {
            findings.push(match plan.warning() {
                None => good("io", plan.driver.name().to_owned()),
                Some(why) => note("io", format!("epoll: {why}")),
            });
            findings.push(capacity(&plan.budget, wanted));
        }
        Err(error) => findings.push(fails("gateway", format!("{error} (see {})", error.key()))),
    }
    match Facts::read() {
        Ok(facts) => findings.extend(check(&facts, config.descriptors, wanted)),
        Err(error) => findings.push(note("host", format!("cannot be asked: {error}"))),
    }
    findings
}

fn capacity(budget: &Budget, wanted: u64) -> Finding {
    let Budget { connections, bound, .. } = budget;
    if *connections >= wanted {
        return good("connections", connections.to_string());
    }
    let text = format!("{connections} of {wanted}, because of: {bound}; {}", bound.remedy());
    note("connections", text)
}

fn check(facts: &Facts, descriptors: Descriptors, wanted: u64) -> Vec<Finding> {
    let mut findings = vec![at_least(
        "net.core.somaxconn",
        facts.backlog_max,
        BACKLOG_WANTED,
        "clients that come back at once wait here to be accepted",
    )];
    if descriptors == Descriptors::Plain {
        let text = facts.descriptors_max.to_string();
        let name = "descriptor limit";
        findings.push(match facts.descriptors_max > wanted {
            true => good(name, text),
            false => note(
                name,
                format!(
                    "{text}; set LimitNOFILE={}, or descriptors = \"direct\"",
                    wanted + wanted / 10
                ),
            ),
        });
    }
    findings.extend(facts.syn_backlog_max.map(|max| {
        let why = "beyond it, new clients are answered with SYN cookies, and lose TCP options";
        at_least("net.ipv4.tcp_max_syn_backlog", max, BACKLOG_WANTED, why)
    }));
    findings.push(tcp_memory(facts.tcp_pages_max, wanted));
    findings.extend(facts.conntrack_max.map(|max| conntrack(max, wanted)));
    findings
}

fn at_least(name: &'static str, value: u64, wanted: u64, why: &str) -> Finding {
    match value >= wanted {
        true => good(name, value.to_string()),
        false => note(name, format!("{value}; {why}: sysctl -w {name}={wanted}")),
    }
}

fn tcp_memory(pages: u64, connections: u64) -> Finding {
    let name = "net.ipv4.tcp_mem";
    let wanted = connections * TCP_PAGES_PER_2_CONNECTIONS / 2;
    if pages >= wanted {
        return good(name, format!("{pages} pages"));
    }
    let text = format!(
        "{pages} pages; a message to all of {connections} connections takes one each until it is acknowledged: \
         sysctl -w {name}=\"{} {} {wanted}\"",
        wanted / 2,
        wanted * 2 / 3
    );
    note(name, text)
}

/// Where the module is loaded, every connection may have an entry, and beyond the maximum new ones are dropped without a word.
fn conntrack(max: u64, connections: u64) -> Finding {
    let name = "net.netfilter.nf_conntrack_max";
    match max > connections {
        true => good(name, max.to_string()),
        false => note(
            name,
            format!(
                "{max}; take the client port out of connection tracking (nft: notrack), or: sysctl -w {name}={}",
                connections * 2
            ),
        ),
    }
}

fn good(name: &'static str, text: String) -> Finding {
    Finding { name, verdict: Verdict::Good, text }
}

fn note(name: &'static str, text: String) -> Finding {
    Finding { name, verdict: Verdict::Note, text }
}

fn fails(name: &'static str, text: String) -> Finding {
    Finding { name, verdict: Verdict::Fails, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: Facts = Facts {
        descriptors_max: 1_000_001,
        backlog_max: 4_096,
        syn_backlog_max: Some(4_096),
        tcp_pages_max: 1_500_000,
        conntrack_max: None,
    };

    fn notes(facts: Facts, descriptors: Descriptors) -> Vec<&'static str> {
        let found = check(&facts, descriptors, 1_000_000);
        let notes = found.iter().filter(|finding| finding.verdict != Verdict::Good);
        notes.map(|finding| finding.name).collect()
    }

    #[test]
    fn each_setting_is_judged_at_its_edge() {
        assert!(notes(FACTS, Descriptors::Plain).is_empty());
        let cases = [
            (Facts { descriptors_max: 1_000_000, ..FACTS }, "descriptor limit"),
            (Facts { backlog_max: 4_095, ..FACTS }, "net.core.somaxconn"),
            (Facts { syn_backlog_max: Some(4_095), ..FACTS }, "net.ipv4.tcp_max_syn_backlog"),
            (Facts { tcp_pages_max: 1_499_999, ..FACTS }, "net.ipv4.tcp_mem"),
            (Facts { conntrack_max: Some(1_000_000), ..FACTS }, "net.netfilter.nf_conntrack_max"),
        ];
        for (facts, name) in cases {
            assert_eq!(notes(facts, Descriptors::Plain), [name]);
        }
    }

    #[test]
    fn direct_descriptors_do_not_need_the_limit_raised() {
        let facts = Facts { descriptors_max: 20_000, ..FACTS };
        assert!(notes(facts, Descriptors::Direct).is_empty());
    }

    #[test]
    fn a_remedy_can_be_pasted() {
        let text = tcp_memory(575_796, 1_000_000).text;
        assert!(text.ends_with("sysctl -w net.ipv4.tcp_mem=\"750000 1000000 1500000\""), "{text}");
    }

    #[test]
    fn this_host_can_be_examined() {
        let found = examine(&RuntimeConfig::embedded());
        assert!(found.iter().any(|finding| finding.name == "net.core.somaxconn"), "{found:?}");
    }
}
