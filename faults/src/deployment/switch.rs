//! Processes on hosts of their own: a network namespace for each, with a cable to a bridge, as machines have to a switch. What one says to
//! another then passes two cables, and a cable can be pulled.
//!
//! Everything is in the network and mount namespaces of this program, and is gone with it.

use super::process::Recipe;
use crate::network::{command, is_ours};
use anyhow::{Result, ensure};
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// Where `ip netns` keeps the names of namespaces; ours, because our mounts are.
const NAMES: &str = "/run/netns";
const BRIDGE: &str = "hosts";
/// Our own address on the bridge, and who is reached by it.
const OURS: &str = "10.77.0.1/16";
/// Servers and proxies beside us: all of it is local.
const BESIDE_US: &str = "10.77.0.0/24";

/// The bridge, and what is plugged in.
#[derive(Debug)]
pub(super) struct Switch(());

impl Switch {
    /// Makes the bridge.
    ///
    /// # Errors
    /// If this program has no network and mounts of its own, or may not make bridges.
    pub(super) fn build() -> Result<Self> {
        ensure!(
            is_ours(),
            "hosts of their own need network namespaces: run as root, without --no-namespace"
        );
        std::fs::create_dir_all(NAMES)?;
        command("mount", &["-t", "tmpfs", "gpusher-faults", NAMES])?;
        command("ip", &["link", "add", BRIDGE, "type", "bridge"])?;
        command("ip", &["address", "add", OURS, "dev", BRIDGE])?;
        command("ip", &["link", "set", BRIDGE, "up"])?;
        command("ip", &["route", "add", "local", BESIDE_US, "dev", BRIDGE])?;
        Ok(Self(()))
    }

    /// Makes a host and plugs it in.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(super) fn plug_in(&self, host: Ipv4Addr) -> Result<()> {
        let (name, cable) = (name(host), cable(host));
        command("ip", &["netns", "add", &name])?;
        let peer = ["peer", "name", "eth0", "netns", &name];
        command("ip", &[&["link", "add", &cable, "type", "veth"], &peer[..]].concat())?;
        command("ip", &["link", "set", &cable, "master", BRIDGE, "up"])?;
        let inside = |arguments: &[&str]| command("ip", &[&["-n", &name], arguments].concat());
        inside(&["address", "add", &format!("{host}/16"), "dev", "eth0"])?;
        inside(&["link", "set", "lo", "up"])?;
        inside(&["link", "set", "eth0", "up"])
    }

    /// Pulls the cable of a host, or plugs it in again.
    ///
    /// # Errors
    /// If there is no such host.
    pub(super) fn set_cable(&self, host: Ipv4Addr, whole: bool) -> Result<()> {
        command("ip", &["link", "set", &cable(host), if whole { "up" } else { "down" }])
    }

    /// The same process, on the host. Its number stays that of the program.
    pub(super) fn on_host(&self, host: Ipv4Addr, recipe: &Recipe) -> Recipe {
        let namespace = format!("--net={NAMES}/{}", name(host));
        let program = recipe.program.display().to_string();
        let arguments =
            [namespace, "--".to_owned(), program].into_iter().chain(recipe.arguments.clone());
        Recipe {
            program: PathBuf::from("nsenter"),
            arguments: arguments.collect(),
            environment: recipe.environment.clone(),
        }
    }
}

fn name(host: Ipv4Addr) -> String {
    format!("host-{}", host.octets()[3])
}

/// The end of it that we hold.
fn cable(host: Ipv4Addr) -> String {
    format!("cable-{}", host.octets()[3])
}
