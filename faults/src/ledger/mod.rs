//! The truth that the product is held against: what was accepted, for whom, and who has it.

mod account;
mod clocks;
mod device;
mod entry;

pub use account::{Account, Balance, Dead, Fate, LiveBalance};
pub use clocks::Clocks;
pub use device::{Book, Receipt};
pub use entry::{Answer, Audience, Entry, Kind, Order, Seen};

use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Broken promises that are described; all are counted.
const EXAMPLES_MAX: usize = 20;

/// Everything that was asked for.
#[derive(Debug)]
pub struct Ledger {
    started: Instant,
    entries: RwLock<Vec<Arc<Entry>>>,
    breaches: Mutex<Breaches>,
    clocks: Mutex<Clocks>,
}

/// What must not happen, whatever fails.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct Breaches {
    /// The application saw a message again although its client library drops repeats.
    pub duplicates: u64,
    /// A message came to somebody else.
    pub strays: u64,
    /// A kept message came after one of the same target that was accepted later.
    pub disordered: u64,
    /// Some of them in words.
    pub examples: Vec<String>,
}

impl Breaches {
    /// Those of another run are added.
    pub fn add(&mut self, other: &Self) {
        self.duplicates += other.duplicates;
        self.strays += other.strays;
        self.disordered += other.disordered;
        self.examples.extend_from_slice(&other.examples);
    }
}

impl Ledger {
    /// An empty one; its clock starts.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            entries: RwLock::default(),
            breaches: Mutex::default(),
            clocks: Mutex::default(),
        }
    }

    /// Microseconds since the start.
    pub fn now_us(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    /// From now on the wall clock of a process is ahead by so many milliseconds, or behind; 0: it is right again. One at a time is wrong.
    pub fn clock_jumps(&self, ahead_ms: i64) {
        self.clocks.lock().jump(ahead_ms, self.now_us());
    }

    /// What the wall clocks have shown so far.
    pub fn clocks(&self) -> Clocks {
        self.clocks.lock().clone()
    }

    /// A push is about to be asked for; its content has to say the number.
    pub fn open(&self, order: Order) -> Arc<Entry> {
        let begun_us = self.now_us();
        let mut entries = self.entries.write();
        let entry = Arc::new(Entry::new(entries.len() as u64, order, begun_us));
        entries.push(Arc::clone(&entry));
        entry
    }

    /// All pushes so far.
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        self.entries.read().clone()
    }

    /// An application sees a message.
    pub fn receive(&self, book: &mut Book, receipt: &Receipt) {
        let entry = receipt.number().and_then(|number| self.entry(number));
        let Some(entry) = entry else {
            let text = format!("device {}: a message nobody pushed: {receipt:?}", book.device());
            return self.breach(|breaches| &mut breaches.strays, text);
        };
        let device = book.device();
        let name = || {
            let (kind, number) = (entry.order.kind.name(), entry.number);
            format!("device {device}: push {number} ({kind}) as message {}", receipt.id)
        };
        match entry.see(device, receipt.id) {
            Seen::New => {
                let (begun_us, answer) = (entry.begun_us, entry.answer());
                let in_order = book.is_in_order(&entry.order, begun_us, &answer);
                if !in_order && !self.clocks.lock().may_have_expired(begun_us, answer.expires_at_ms)
                {
                    let text = format!("{} came late", name());
                    self.breach(|breaches| &mut breaches.disordered, text);
                }
            }
            Seen::Twin => {}
            Seen::Again if !entry.order.kept && entry.begun_us < book.restarted_us => {}
            Seen::Again => self.breach(|breaches| &mut breaches.duplicates, name() + " again"),
            Seen::Stray => self.breach(|breaches| &mut breaches.strays, name() + " is not for it"),
        }
    }

    /// What must not happen and did.
    pub fn breaches(&self) -> Breaches {
        self.breaches.lock().clone()
    }

    fn entry(&self, number: u64) -> Option<Arc<Entry>> {
        self.entries.read().get(usize::try_from(number).ok()?).cloned()
    }

    fn breach(&self, counter: impl FnOnce(&mut Breaches) -> &mut u64, text: String) {
        let mut breaches = self.breaches.lock();
        *counter(&mut breaches) += 1;
        if breaches.examples.len() < EXAMPLES_MAX {
            breaches.examples.push(text);
        }
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

/// Unix milliseconds.
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
