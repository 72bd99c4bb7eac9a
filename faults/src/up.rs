//! `up`: the system, without faults, for as long as a command runs with it.

use crate::arguments::UpArguments;
use anyhow::{Context, Result, ensure};
use gpusher_faults::api::Api;
use gpusher_faults::deployment::{Deployment, Programs, Role, Settings};
use gpusher_faults::readiness::wait_whole;
use std::process::ExitCode;
use std::time::Duration;
use tokio::process::Command;

/// Starts the system, runs the command with its addresses in the environment, and says what each process worked meanwhile.
///
/// # Errors
/// If the system or the command cannot be started.
pub(super) async fn up(arguments: &UpArguments, programs: &Programs) -> Result<ExitCode> {
    let common = &arguments.system;
    let temporary = tempfile::Builder::new().prefix("gpusher-up-").tempdir()?;
    let folder = common.folder.clone().unwrap_or_else(|| temporary.path().to_owned());
    let settings = Settings {
        programs: programs.clone(),
        shape: common.shape(),
        backends: common.backends(),
        hosts_apart: common.namespaces,
        data: folder.join("data"),
        logs: folder.join("logs"),
        keys: common.keys.clone(),
        clocks_jump: false,
        seed: 1,
    };
    for folder in [&settings.data, &settings.logs] {
        std::fs::create_dir_all(folder)?;
    }
    let deployment = Deployment::start(&settings).await?;
    let key = &deployment.secrets.api_key;
    let webs: Vec<Api> = deployment.webs().iter().map(|web| Api::new(web, key)).collect();
    wait_whole(&deployment, &webs).await?;
    let before = deployment.cpu_times();
    let (program, rest) = arguments.command.split_first().context("a command is missing")?;
    let mut command = Command::new(program);
    command.args(rest).envs(environment(&deployment)).kill_on_drop(true);
    let status = command.status().await.with_context(|| format!("cannot run {program}"))?;
    let after = deployment.cpu_times();
    let deaths = deployment.deaths();
    deaths.iter().for_each(|death| eprintln!("{} ended: {}", death.part, death.text));
    println!("\nCPU, in seconds:");
    for ((name, after), (_, before)) in after.iter().zip(&before) {
        println!("  {name:<12} {:>8.2}", after.saturating_sub(*before).as_secs_f64());
    }
    let all = |times: &[(String, Duration)]| times.iter().map(|time| time.1).sum::<Duration>();
    println!("  {:<12} {:>8.2}", "all", (all(&after) - all(&before)).as_secs_f64());
    ensure!(deaths.is_empty(), "a process ended by itself");
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX).into())
}

/// As `gpusher-loadtest` takes it; a person in a shell finds the same.
fn environment(deployment: &Deployment) -> Vec<(&'static str, String)> {
    let webs = deployment.webs();
    let pids = [Role::Gateway, Role::Logic, Role::Message, Role::Web].into_iter();
    let mut parts: Vec<_> = pids.flat_map(|role| deployment.with_role(role)).collect();
    parts.dedup_by(|one, other| one.name == other.name);
    let pids = parts.iter().filter_map(|part| part.pid()).map(|pid| pid.to_string());
    vec![
        ("GPUSHER_CLIENTS", deployment.gateways().join(",")),
        ("GPUSHER_PUSHES", webs[0].trim_start_matches("http://").to_owned()),
        ("GPUSHER_WEBS", webs.join(",")),
        ("GPUSHER_PIDS", pids.collect::<Vec<_>>().join(",")),
        ("GPUSHER_API_KEY", deployment.secrets.api_key.clone()),
        ("GPUSHER_TOKEN_SECRET", deployment.secrets.token_secret().to_owned()),
    ]
}
