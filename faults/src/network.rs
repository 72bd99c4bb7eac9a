//! The network that we are in: ours alone, in a namespace, where routes may be harmed and hosts made; or the machine's, which is left alone.

use anyhow::{Context, Result, bail};
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

static IS_OURS: AtomicBool = AtomicBool::new(false);

/// From now on the routing rules of this network namespace may be changed: it is ours alone, and so are the mounts.
///
/// # Errors
/// If they cannot be.
pub fn own_network() -> Result<()> {
    command("ip", &["link", "set", "lo", "up"])?;
    // Rules are looked at before local addresses only if they come before them.
    command("ip", &["rule", "add", "pref", "5", "from", "all", "lookup", "local"])?;
    command("ip", &["rule", "del", "pref", "0"])?;
    IS_OURS.store(true, Ordering::Relaxed);
    Ok(())
}

/// Whether [`own_network`] was called.
pub(crate) fn is_ours() -> bool {
    IS_OURS.load(Ordering::Relaxed)
}

/// Loses every packet from and to some addresses, or none.
pub(crate) fn lose(addresses: &str, lost: bool) -> Result<()> {
    let verb = if lost { "add" } else { "del" };
    for (preference, direction) in [("1", "to"), ("2", "from")] {
        command("ip", &["rule", verb, "pref", preference, direction, addresses, "blackhole"])?;
    }
    Ok(())
}

/// Addresses that somebody may claim to write from, where nobody is: 198.18.0.0/15, set aside for tests of network devices (RFC 2544). What is
/// sent there is carried away and never heard of again, without an error to who sent it.
#[derive(Debug)]
pub(crate) struct Nowhere(());

impl Nowhere {
    const NETWORK: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
    const PREFIX_BITS: u32 = 15;

    /// Makes the route.
    pub(crate) fn open() -> Result<Self> {
        Self::route("add").map(Self)
    }

    /// One of them.
    pub(crate) fn address(number: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(Self::NETWORK.to_bits() | number >> Self::PREFIX_BITS)
    }

    fn route(verb: &str) -> Result<()> {
        let addresses = format!("{}/{}", Self::NETWORK, Self::PREFIX_BITS);
        command("ip", &["route", verb, &addresses, "dev", "lo"])
    }
}

impl Drop for Nowhere {
    fn drop(&mut self) {
        // Also gone with the network.
        let _ = Self::route("del");
    }
}

/// Runs a command that changes the host.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {}", arguments.join(" "), text.trim());
    }
    Ok(())
}
