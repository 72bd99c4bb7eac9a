//! The application: pushes of every type at a steady rate, asks again until it is answered, and takes some back.

mod order;
mod pusher;

pub use pusher::push_until_accepted;

use crate::api::Api;
use crate::crowd::Population;
use crate::ledger::Ledger;
use order::Draw;
use pusher::Pusher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Pushers, each with one request under way: so many pushes of one moment may overtake each other.
const PUSHERS: usize = 8;

/// How much is pushed.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Pushes a second, all types together.
    pub pushes_per_s: u64,
    /// Of it to whole apps and everyone: so many messages a second to all clients together, about.
    pub broadcast_messages_per_s: u64,
}

/// A workload under way.
#[derive(Debug)]
pub struct Traffic {
    state: Arc<State>,
    tasks: Vec<JoinHandle<()>>,
}

/// What pushers share.
#[derive(Debug)]
struct State {
    ledger: Arc<Ledger>,
    over: AtomicBool,
    refused: AtomicU64,
}

impl Traffic {
    /// Starts pushing, to all webs in turn.
    pub fn start(
        webs: &[Api],
        population: &Arc<Population>,
        ledger: &Arc<Ledger>,
        rates: Rates,
        seed: u64,
    ) -> Self {
        let state = Arc::new(State {
            ledger: Arc::clone(ledger),
            over: AtomicBool::new(false),
            refused: AtomicU64::new(0),
        });
        let period = Duration::from_secs(1) * PUSHERS as u32 / rates.pushes_per_s.max(1) as u32;
        let tasks = (0..PUSHERS).map(|index| {
            let draw = Draw::new(Arc::clone(population), rates, seed.wrapping_add(index as u64));
            let api = webs[index % webs.len()].clone();
            let name = format!("{seed}-{index}");
            let pusher = Pusher { state: Arc::clone(&state), api, draw, period, name };
            tokio::spawn(pusher.run())
        });
        Self { tasks: tasks.collect(), state }
    }

    /// Begins nothing new, and waits until everything begun is answered, or the patience is over.
    pub async fn finish(mut self, patience: Duration) {
        self.state.over.store(true, Ordering::Relaxed);
        let all = async {
            for task in &mut self.tasks {
                // A pusher that panicked is as finished as any.
                let _ = task.await;
            }
        };
        // Whoever is not answered by then is told in the account.
        let _ = tokio::time::timeout(patience, all).await;
    }

    /// Pushes that the server refused for good, which no fault excuses.
    pub fn refused(&self) -> u64 {
        self.state.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
