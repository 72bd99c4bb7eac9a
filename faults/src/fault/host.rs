//! Harm to what the host gives: disk, descriptors, the way to clients.

use super::limited::Limited;
use crate::crowd::MOBILE;
use crate::deployment::Role;
use crate::network::{command, lose};
use crate::random::Random;
use crate::stage::Stage;
use anyhow::{Context, Result};
use rustix::process::Resource;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

const CHUNK_BYTES: usize = 64 << 10;

/// Loses every packet from and to the mobile clients, or none.
pub(super) fn set_blackhole(lost: bool) -> Result<()> {
    lose(&format!("{MOBILE}/16"), lost)
}

/// Mounts a disk of its own for the data.
///
/// # Errors
/// If it cannot be mounted.
pub fn mount_disk(at: &Path, mebibytes: u64) -> Result<()> {
    let size = format!("size={mebibytes}m");
    let at = at.display().to_string();
    command("mount", &["-t", "tmpfs", "-o", &size, "gpusher-faults", &at])
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
    command("mount", &["-o", "remount,ro", &disk])?;
    writers.iter().for_each(|part| part.start());
    tokio::time::sleep(hold).await;
    command("mount", &["-o", "remount,rw", &disk])?;
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
    let _limited = Limited::begin(part, Resource::Nofile, Some(3));
    if role == Role::Gateway {
        super::clients::reconnect_some(stage, random).await;
    }
    tokio::time::sleep(hold).await;
}
