//! One run: a deployment, a crowd, traffic, and one fault again and again; in the end the books are closed.

use crate::api::Api;
use crate::audit::{Receipts, compare_receipts, dead_letters, push_live, read_topics};
use crate::crowd::{APPS, Crowd, Mood, Population};
use crate::deployment::{Backends, Deployment, Programs, Settings, Shape, make_folder};
use crate::fault::{Fault, Harm, mount_disk};
use crate::ledger::{Account, Clocks, Dead, Ledger};
use crate::random::Random;
use crate::readiness::wait_whole;
use crate::recovery::recover;
use crate::stage::Stage;
use crate::traffic::{Rates, Traffic};
use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// For everybody to log in, on a busy machine.
const ONLINE_PATIENCE: Duration = Duration::from_secs(120);
/// For one cycle to recover; far beyond anything that is called working, unless a million messages have to be delivered first.
const RECOVERY_PATIENCE: Duration = Duration::from_secs(180);
const BACKLOG_PATIENCE: Duration = Duration::from_secs(900);
/// For the last requests to be answered.
pub(crate) const FINISH_PATIENCE: Duration = Duration::from_secs(60);
/// How long nothing may arrive while something is waited for: longer than a redelivery.
const SETTLE_PATIENCE: Duration = Duration::from_secs(100);
/// The same, for what is given up, or has expired by a clock that had jumped.
const OVER_PATIENCE: Duration = Duration::from_secs(10);
/// Cursors are written a fifth of a second late.
const CURSOR_DELAY: Duration = Duration::from_secs(1);
/// Cycles begin so long after the one before has recovered.
const PAUSE_MS: (u64, u64) = (100, 1_500);
/// In a thousand of the clients: away during the whole run.
const AWAY: u64 = 20;
/// Large enough for what a run writes.
const DISK_MEBIBYTES: u64 = 256;
const LOOK: Duration = Duration::from_millis(50);
const TELL: Duration = Duration::from_secs(5);

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The executables.
    pub programs: Programs,
    /// Which processes.
    pub shape: Shape,
    /// What is behind them.
    pub backends: Backends,
    /// Whether each process has a host of its own.
    pub hosts_apart: bool,
    /// What they go through.
    pub fault: &'static Fault,
    /// How often.
    pub cycles: usize,
    /// For how long, instead of what the fault has.
    pub hold: Option<Duration>,
    /// Devices, about.
    pub clients: usize,
    /// Pushes.
    pub rates: Rates,
    /// Of all chance in it but the machine's.
    pub seed: u64,
    /// For data and logs; emptied by whoever made it.
    pub folder: PathBuf,
    /// Further configuration of the processes.
    pub keys: Vec<(String, String)>,
    /// Whether what happens is told on standard error meanwhile.
    pub verbose: bool,
}

/// How it went.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// Of the fault.
    pub fault: String,
    /// Which processes there were.
    pub shape: String,
    /// Times it was done.
    pub cycles: usize,
    /// Devices.
    pub clients: usize,
    /// To repeat it with.
    pub seed: u64,
    /// In milliseconds, from the end of the harm until pushes through every web arrived again; of a killed process, from its death.
    pub recovery_ms: Vec<u64>,
    /// The books.
    pub account: Account,
    /// Receipts asked for.
    pub receipts: Receipts,
    /// What failed, in words; nothing: the product kept its promises.
    pub failures: Vec<String>,
    /// What is worth knowing, and no failure.
    pub notes: Vec<String>,
    /// All of it.
    pub seconds: f64,
}

impl Outcome {
    /// Another run of the same fault is added.
    pub fn add(&mut self, other: Self) {
        self.cycles += other.cycles;
        self.recovery_ms.extend(other.recovery_ms);
        self.account.add(&other.account);
        self.receipts.add(other.receipts);
        self.failures.extend(other.failures);
        self.notes.extend(other.notes);
        self.seconds += other.seconds;
    }

    /// A share of the recovery times is below this many milliseconds.
    pub fn recovery_quantile_ms(&self, share: f64) -> Option<u64> {
        let mut sorted = self.recovery_ms.clone();
        sorted.sort_unstable();
        let index = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(index.saturating_sub(1)).copied()
    }
}

/// Does it.
///
/// # Errors
/// What keeps it from being done; a product that breaks promises is an outcome.
pub async fn run(plan: &Plan) -> Result<Outcome> {
    let begun = Instant::now();
    let mut random = Random::new(plan.seed);
    let stage = set_up(plan).await?;
    if let Err(reason) = plan.fault.fits(&stage) {
        bail!("{} cannot be done: {reason}", plan.fault.name);
    }
    let traffic = Traffic::start(
        &stage.webs,
        &stage.crowd.population,
        &stage.ledger,
        plan.rates,
        random.bits(),
    );
    let mut failures = Vec::new();
    let recovery_ms = cycles(plan, &stage, &mut random, &mut failures).await?;
    let refused = traffic.refused();
    if refused > 0 {
        failures.push(format!("{refused} pushes were refused as wrong"));
    }
    traffic.finish(FINISH_PATIENCE).await;
    let mut outcome = close(plan, &stage, failures).await?;
    outcome.cycles = recovery_ms.len();
    outcome.recovery_ms = recovery_ms;
    outcome.seconds = begun.elapsed().as_secs_f64();
    Ok(outcome)
}

/// The system, with everybody logged in.
pub(crate) async fn set_up(plan: &Plan) -> Result<Stage> {
    let (data, logs) = (plan.folder.join("data"), plan.folder.join("logs"));
    make_folder(&data)?;
    make_folder(&logs)?;
    let wants_disk = matches!(plan.fault.harm, Harm::FullDisk | Harm::ReadOnlyDisk);
    let disk = wants_disk && mount_disk(&data, DISK_MEBIBYTES).is_ok();
    let mut keys = plan.keys.clone();
    // What retention removes would have to be accounted for, too.
    keys.push(("retention.per_channel_max".into(), "0".into()));
    keys.extend(plan.fault.keys.iter().map(|&(key, value)| (key.into(), value.into())));
    let settings = Settings {
        programs: plan.programs.clone(),
        shape: plan.shape,
        backends: plan.backends,
        hosts_apart: plan.hosts_apart,
        data: data.clone(),
        logs,
        keys,
        clocks_jump: matches!(plan.fault.harm, Harm::ClockJump { .. }),
        seed: plan.seed,
    };
    let deployment = Deployment::start(&settings).await?;
    let key = &deployment.secrets.api_key;
    let webs: Vec<Api> = deployment.webs().iter().map(|web| Api::new(web, key)).collect();
    wait_whole(&deployment, &webs).await?;
    for (tag, id) in APPS {
        webs[0].create_app(tag, id).await?;
    }
    let population = Arc::new(Population::new(plan.clients));
    let ledger = Arc::new(Ledger::new());
    let crowd = Crowd::start(population, Arc::clone(&ledger), &deployment, plan.seed).await;
    let disk = disk.then_some(data);
    let (complaints, counts) = (Mutex::default(), Mutex::default());
    let stage = Stage { deployment, webs, crowd, ledger, disk, complaints, counts };
    wait_online(plan, &stage).await?;
    Ok(stage)
}

/// Everybody logs in once: a device that is new would begin where its user's furthest is.
async fn wait_online(plan: &Plan, stage: &Stage) -> Result<()> {
    let crowd = &stage.crowd;
    let until = Instant::now() + ONLINE_PATIENCE;
    while crowd.online() < crowd.present() {
        if Instant::now() > until {
            bail!("only {} of {} clients are online", crowd.online(), crowd.present());
        }
        tokio::time::sleep(LOOK).await;
    }
    recover(stage, RECOVERY_PATIENCE).await.context("pushes do not arrive, before any fault")?;
    tokio::time::sleep(CURSOR_DELAY).await;
    let mut random = Random::new(plan.seed ^ 1);
    for device in &crowd.population.devices {
        let may = device.version == 1 && !crowd.population.is_probe(device.number);
        if may && random.permille(AWAY) {
            crowd.set_mood(device.number, Mood::Away);
        }
    }
    Ok(())
}

async fn cycles(
    plan: &Plan,
    stage: &Stage,
    random: &mut Random,
    failures: &mut Vec<String>,
) -> Result<Vec<u64>> {
    let mut recovery_ms = Vec::new();
    let mut told = Instant::now();
    for cycle in 1..=plan.cycles {
        let pause_ms = random.between(PAUSE_MS.0, PAUSE_MS.1);
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        let drawn_ms = random.between(plan.fault.hold_ms.0, plan.fault.hold_ms.1);
        let hold = plan.hold.unwrap_or(Duration::from_millis(drawn_ms));
        let over = plan.fault.strike(stage, hold, random).await?;
        let patience = match plan.fault.harm {
            Harm::FarBehind => BACKLOG_PATIENCE,
            _ => RECOVERY_PATIENCE,
        };
        if recover(stage, patience).await.is_none() {
            failures.push(format!("cycle {cycle}: no recovery within {patience:?}"));
            break;
        }
        recovery_ms.push(over.elapsed().as_millis() as u64);
        if plan.verbose && told.elapsed() > TELL {
            told = Instant::now();
            let pushes = stage.ledger.entries().len();
            let (online, present) = (stage.crowd.online(), stage.crowd.present());
            eprintln!(
                "{}: cycle {cycle} of {}, {pushes} pushes, {online} of {present} clients online, recovered in {} ms",
                plan.fault.name,
                plan.cycles,
                recovery_ms.last().unwrap_or(&0)
            );
        }
    }
    Ok(recovery_ms)
}

/// Waits for what is under way, and closes the books.
pub(crate) async fn close(
    plan: &Plan,
    stage: &Stage,
    mut failures: Vec<String>,
) -> Result<Outcome> {
    let is_away = |device| stage.crowd.mood(device) == Mood::Away;
    settle(stage).await;
    let missed = push_live(stage).await;
    failures.extend(missed.iter().map(|text| format!("live, with nothing wrong: {text}")));
    let topics = match read_topics(stage).await {
        Ok(topics) => topics,
        Err(error) => {
            failures.push(format!("{error:#}"));
            HashSet::new()
        }
    };
    let dead = dead_letters(stage).await.context("the dead letters")?;
    let receipts = compare_receipts(stage, &dead).await.context("the receipts")?;
    let account = stage.ledger.close(is_away, &dead, &topics);
    failures.extend(broken(&account));
    if receipts.wrong > 0 {
        failures.push(format!("{} of {} receipts are wrong", receipts.wrong, receipts.checked));
    }
    let deaths = stage.deployment.deaths();
    failures.extend(stage.complaints.lock().drain(..));
    failures.extend(deaths.iter().map(|death| format!("{} ended: {}", death.part, death.text)));
    let dismissals = stage.crowd.dismissals();
    let dismissals =
        dismissals.iter().map(|(text, times)| format!("{times} clients dismissed: {text}"));
    let mut notes: Vec<String> = dismissals.collect();
    let counts = std::mem::take(&mut *stage.counts.lock());
    notes.extend(counts.iter().map(|(what, count)| format!("{what}: {count}")));
    if receipts.forgotten > 0 {
        let Receipts { checked, forgotten, .. } = receipts;
        notes.push(format!("{forgotten} of {checked} pushes have no status any more"));
    }
    Ok(Outcome {
        fault: plan.fault.name.to_owned(),
        shape: format!("{}{}", plan.shape, if plan.hosts_apart { ", hosts" } else { "" }),
        cycles: 0,
        clients: stage.crowd.population.devices.len(),
        seed: plan.seed,
        recovery_ms: Vec::new(),
        account,
        receipts,
        failures,
        notes,
        seconds: 0.0,
    })
}

/// Waits until everybody who is there has what is kept for him, or nothing arrives any more.
async fn settle(stage: &Stage) {
    let is_away = |device| stage.crowd.mood(device) == Mood::Away;
    let mut last = (usize::MAX, Instant::now());
    loop {
        let everybody = stage.crowd.online() >= stage.crowd.present();
        let waiting = stage.ledger.waiting(is_away, &Dead::new(), &Clocks::default());
        if waiting == 0 && everybody || last.1.elapsed() > SETTLE_PATIENCE {
            return;
        }
        // What may have expired, or was given up, may still come.
        if everybody && last.1.elapsed() > OVER_PATIENCE {
            let dead = dead_letters(stage).await.unwrap_or_default();
            if stage.ledger.waiting(is_away, &dead, &stage.ledger.clocks()) == 0 {
                return;
            }
            tokio::time::sleep(CURSOR_DELAY).await;
        }
        if waiting < last.0 {
            last = (waiting, Instant::now());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What the books say against the product.
fn broken(account: &Account) -> Vec<String> {
    let breaches = &account.breaches;
    let counts = [
        (account.kept_total().lost, "receivers have lost a kept message"),
        (breaches.duplicates, "messages were seen again by an application"),
        (breaches.strays, "messages came to somebody else"),
        (breaches.disordered, "kept messages came out of order"),
        (account.unanswered, "pushes were never answered"),
        (account.dead_and_delivered, "dead letters are of messages that their receivers have"),
    ];
    let bad = counts.into_iter().filter(|(count, _)| *count > 0);
    bad.map(|(count, text)| format!("{count} {text}")).collect()
}
