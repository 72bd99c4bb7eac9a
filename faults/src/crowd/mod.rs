//! Thousands of real clients in this process, of both wire versions; what each of them is told goes to the ledger.

mod client;
mod forerunner;
pub mod greeting;
mod machine;
mod population;

pub use population::{APPS, MOBILE, PROBES, Population, Profile, TOPICS, User, topic_name};

use crate::deployment::Deployment;
use crate::ledger::Ledger;
use machine::Setup;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Connections that are begun at once at the start: a listener's backlog is no fault.
const START_BURST: usize = 256;
const START_PAUSE: Duration = Duration::from_millis(20);

/// How a client behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It keeps itself connected, and reads.
    Present,
    /// It keeps its connection, and reads nothing.
    Deaf,
    /// It keeps its connection, and its application asks it for nothing; then it is started again, with nothing stored.
    Hung,
    /// Its program is not running.
    Away,
}

/// Everybody, connected.
#[derive(Debug)]
pub struct Crowd {
    /// Who they are.
    pub population: Arc<Population>,
    shared: Arc<Shared>,
    moods: Vec<watch::Sender<Mood>>,
    tasks: Vec<JoinHandle<()>>,
}

/// What all clients share.
#[derive(Debug)]
struct Shared {
    ledger: Arc<Ledger>,
    started: Instant,
    seed: u64,
    online: Vec<AtomicBool>,
    dismissals: Mutex<HashMap<String, u64>>,
}

impl Shared {
    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    fn dismissed(&self, profile: &Profile, reason: &str) {
        let text = format!("version {}: {reason}", profile.version);
        *self.dismissals.lock().entry(text).or_default() += 1;
    }
}

impl Crowd {
    /// Starts everybody; they connect in the background.
    pub async fn start(
        population: Arc<Population>,
        ledger: Arc<Ledger>,
        deployment: &Deployment,
        seed: u64,
    ) -> Self {
        let online = population.devices.iter().map(|_| AtomicBool::new(false)).collect();
        let dismissals = Mutex::default();
        let shared = Arc::new(Shared { ledger, started: Instant::now(), seed, online, dismissals });
        let mut crowd = Self { population, shared, moods: Vec::new(), tasks: Vec::new() };
        let gateways = deployment.gateways();
        for (index, profile) in crowd.population.devices.iter().enumerate() {
            let token = deployment.secrets.token(&profile.user);
            let setup = Setup { profile: profile.clone(), gateways: gateways.clone(), token };
            let (mood, receiver) = watch::channel(Mood::Present);
            crowd.moods.push(mood);
            let task = client::live(Arc::clone(&crowd.shared), setup, receiver);
            crowd.tasks.push(tokio::spawn(task));
            if index % START_BURST == START_BURST - 1 {
                tokio::time::sleep(START_PAUSE).await;
            }
        }
        crowd
    }

    /// Tells a device how to behave.
    pub fn set_mood(&self, device: u32, mood: Mood) {
        self.moods[device as usize].send_replace(mood);
    }

    /// How a device behaves.
    pub fn mood(&self, device: u32) -> Mood {
        *self.moods[device as usize].borrow()
    }

    /// Whether a device is logged in.
    pub fn is_online(&self, device: u32) -> bool {
        self.shared.online[device as usize].load(Ordering::Relaxed)
    }

    /// How many are logged in.
    pub fn online(&self) -> usize {
        self.shared.online.iter().filter(|online| online.load(Ordering::Relaxed)).count()
    }

    /// How many should be.
    pub fn present(&self) -> usize {
        self.moods.iter().filter(|mood| *mood.borrow() != Mood::Away).count()
    }

    /// Devices whose server does not want them back, by what it said.
    pub fn dismissals(&self) -> HashMap<String, u64> {
        self.shared.dismissals.lock().clone()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
