//! Harm to what the host gives: disk, descriptors, the way to clients.

use crate::crowd::MOBILE;
use crate::deployment::Role;
use crate::random::Random;
use crate::stage::Stage;
use anyhow::{Context, Result, bail};
use rustix::process::Resource;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const CHUNK_BYTES: usize = 64 << 10;

static NETWORK_IS_OURS: AtomicBool = AtomicBool::new(false);

/// From now on the routing rules of this network namespace may be changed: it is ours alone.
///
/// # Errors
/// If they cannot be.
pub fn own_network() -> Result<()> {
    run("ip", &["link", "set", "lo", "up"])?;
    // Rules are looked at before local addresses only if they come before them.
    run("ip", &["rule", "add", "pref", "5", "from", "all", "lookup", "local"])?;
    run("ip", &["rule", "del", "pref", "0"])?;
    NETWORK_IS_OURS.store(true, Ordering::Relaxed);
    Ok(())
}

pub(super) fn can_blackhole() -> bool {
    NETWORK_IS_OURS.load(Ordering::Relaxed)
}

/// Loses every packet from and to the mobile clients, or none.
pub(super) fn set_blackhole(lost: bool) -> Result<()> {
    lose(&format!("{MOBILE}/16"), lost)
}

/// Loses every packet from and to some addresses, or none.
pub(super) fn lose(network: &str, lost: bool) -> Result<()> {
    let verb = if lost { "add" } else { "del" };
    for (preference, direction) in [("1", "to"), ("2", "from")] {
        run("ip", &["rule", verb, "pref", preference, direction, network, "blackhole"])?;
    }
    Ok(())
}

/// Mounts a disk of its own for the data.
///
/// # Errors
/// If it cannot be mounted.
pub fn mount_disk(at: &Path, mebibytes: u64) -> Result<()> {
    let size = format!("size={mebibytes}m");
    let at = at.display().to_string();
    run("mount", &["-t", "tmpfs", "-o", &size, "gpusher-faults", &at])
}

/// Leaves no byte free.
pub(super) async fn fill_disk(stage: &Stage, hold: Duration) -> Result<()> {
    let disk = stage.disk.as_deref().context("there is no disk to fill")?;
    let ballast = Ballast(disk.join("ballast"));
    for part in stage.deployment.parts() {
        part.excuse(true);
    }
    let until = tokio::time::Instant::now() + hold;
    let mut file = File::create(&ballast.0)?;
    // What others free is taken, too.
    while tokio::time::Instant::now() < until {
        while file.write(&[0; CHUNK_BYTES]).is_ok_and(|count| count > 0) {}
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop((file, ballast));
    for part in stage.deployment.parts() {
        part.excuse(false);
    }
    Ok(())
}

struct Ballast(std::path::PathBuf);

impl Drop for Ballast {
    fn drop(&mut self) {
        // Also gone with the mount.
        let _ = fs::remove_file(&self.0);
    }
}

/// Kills what writes there, and lets it start on a disk that cannot be written: a disk that becomes so under a running process can only be
/// had from a broken device.
pub(super) async fn forbid_writing(stage: &Stage, hold: Duration) -> Result<()> {
    let disk = stage.disk.as_deref().context("there is no disk")?.display().to_string();
    let writers = stage.deployment.with_role(Role::Message);
    for part in &writers {
        part.excuse(true);
        part.kill(false);
    }
    run("mount", &["-o", "remount,ro", &disk])?;
    writers.iter().for_each(|part| part.start());
    tokio::time::sleep(hold).await;
    run("mount", &["-o", "remount,rw", &disk])?;
    writers.iter().for_each(|part| part.excuse(false));
    Ok(())
}

/// Lowers the limit of descriptors below what is open, so that not one more can be had.
pub(super) async fn take_descriptors(
    stage: &Stage,
    role: Role,
    hold: Duration,
    random: &mut Random,
) {
    let parts = stage.deployment.with_role(role);
    let part = random.pick(&parts);
    part.excuse(true);
    let before = part.with_process(|process| process.limit(Resource::Nofile, 3));
    if role == Role::Gateway {
        super::clients::reconnect_some(stage, random);
    }
    tokio::time::sleep(hold).await;
    if let Some(before) = before {
        part.with_process(|process| process.limit(Resource::Nofile, before));
    }
    part.excuse(false);
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {}", arguments.join(" "), text.trim());
    }
    Ok(())
}
