//! A network and mounts of our own, where routes and disks may be harmed.

use anyhow::{Context, Result};
use gpusher_faults::network::own_network;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

const ENTERED: &str = "GPUSHER_FAULTS_NAMESPACE";
const UNSHARE: [&str; 3] = ["--mount", "--net", "--"];

/// Starts this program again in namespaces of its own, if it is not in them and the host allows it. Without them, what needs them is not done.
pub(super) fn enter() -> Result<()> {
    if std::env::var_os(ENTERED).is_some() {
        return own_network();
    }
    let allowed = Command::new("unshare").args(UNSHARE).arg("true").stderr(Stdio::null()).status();
    if !allowed.is_ok_and(|status| status.success()) {
        eprintln!(
            "gpusher-faults: no namespaces (run as root); faults that need them are left out"
        );
        return Ok(());
    }
    let own = std::env::current_exe().context("where this program is")?;
    let arguments = std::env::args_os().skip(1);
    let error =
        Command::new("unshare").args(UNSHARE).arg(own).args(arguments).env(ENTERED, "1").exec();
    Err(error).context("cannot enter namespaces")
}
