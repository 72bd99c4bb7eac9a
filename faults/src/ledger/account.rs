//! Closing the books: accepted = delivered + expired + recalled + dead + pending + lost, receiver by receiver.

use super::entry::{Entry, Kind};
use super::{Breaches, Clocks, Ledger};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};

/// Losses that are described; all are counted.
const EXAMPLES_MAX: usize = 20;

/// Dead letters: message, device.
pub type Dead = HashSet<(u64, u32)>;

/// What became of a kept push for one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The application has it.
    Delivered,
    /// Its time was over before.
    Expired,
    /// It was taken back before.
    Recalled,
    /// It is in the dead letters.
    Dead,
    /// The receiver has been away since.
    Pending,
    /// None of these.
    Lost,
}

/// Receivers of kept pushes, by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// Pushes.
    pub pushes: u64,
    /// Receivers of all pushes together; the sum of the others.
    pub accepted: u64,
    /// See [`Fate`].
    pub delivered: u64,
    /// See [`Fate`].
    pub expired: u64,
    /// See [`Fate`].
    pub recalled: u64,
    /// See [`Fate`].
    pub dead: u64,
    /// See [`Fate`].
    pub pending: u64,
    /// See [`Fate`].
    pub lost: u64,
}

/// Receivers of live pushes: to who is connected, so what is not delivered is missed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveBalance {
    /// Pushes.
    pub pushes: u64,
    /// Receivers of all pushes together.
    pub accepted: u64,
    /// Who has it.
    pub delivered: u64,
    /// Who does not.
    pub missed: u64,
}

/// The closed books.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Account {
    /// Kept pushes by their kind. Of topics: whether a latecomer finds them in the log.
    pub kept: BTreeMap<Kind, Balance>,
    /// Live pushes by their kind; those to topics that are kept count here, too, for the members.
    pub live: BTreeMap<Kind, LiveBalance>,
    /// Pushes that were never answered, although asked for again and again.
    pub unanswered: u64,
    /// Dead letters of messages that their receivers have.
    #[serde(default)]
    pub dead_and_delivered: u64,
    /// Pushes that were asked for more than once.
    pub repeated: u64,
    /// What must not happen.
    pub breaches: Breaches,
    /// Losses in words.
    pub lost_examples: Vec<String>,
}

impl Balance {
    fn add(&mut self, fate: Fate, count: u64) {
        self.accepted += count;
        *match fate {
            Fate::Delivered => &mut self.delivered,
            Fate::Expired => &mut self.expired,
            Fate::Recalled => &mut self.recalled,
            Fate::Dead => &mut self.dead,
            Fate::Pending => &mut self.pending,
            Fate::Lost => &mut self.lost,
        } += count;
    }

    /// The sum of two.
    pub fn plus(mut self, other: &Self) -> Self {
        self.pushes += other.pushes;
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        self.expired += other.expired;
        self.recalled += other.recalled;
        self.dead += other.dead;
        self.pending += other.pending;
        self.lost += other.lost;
        self
    }
}

impl Entry {
    /// What becomes of it for somebody who does not have it.
    pub fn fate(&self, device: u32, away: bool, dead: &Dead, clocks: &Clocks) -> Fate {
        let answer = self.answer();
        match answer.id {
            _ if answer.recalled => Fate::Recalled,
            _ if clocks.has_expired(answer.expires_at_ms) => Fate::Expired,
            Some(id) if dead.contains(&(id, device)) => Fate::Dead,
            _ if away => Fate::Pending,
            _ if clocks.may_have_expired(self.begun_us, answer.expires_at_ms) => Fate::Expired,
            _ => Fate::Lost,
        }
    }
}

impl Ledger {
    /// Closes the books. `is_away` tells devices that are not there to receive; `topic_logs` what a latecomer found in the topics' logs.
    pub fn close(
        &self,
        is_away: impl Fn(u32) -> bool,
        dead: &Dead,
        topic_logs: &HashSet<u64>,
    ) -> Account {
        let mut account = Account { breaches: self.breaches(), ..Account::default() };
        let clocks = self.clocks();
        for entry in self.entries() {
            let answer = entry.answer();
            account.repeated += u64::from(answer.attempts > 1);
            let Some(id) = answer.id else {
                account.unanswered += 1;
                continue;
            };
            let order = &entry.order;
            if !order.kept || order.kind == Kind::Topic {
                account.live.entry(order.kind).or_default().add(&entry);
            }
            if !order.kept {
                continue;
            }
            let has_it = |letter: &&(u64, u32)| letter.0 == id && entry.is_seen_by(letter.1);
            account.dead_and_delivered += dead.iter().filter(has_it).count() as u64;
            let balance = account.kept.entry(order.kind).or_default();
            balance.pushes += 1;
            let mut lost = None;
            if order.kind == Kind::Topic {
                let found = topic_logs.contains(&entry.number);
                let fate = if found {
                    Fate::Delivered
                } else {
                    entry.fate(u32::MAX, false, dead, &clocks)
                };
                balance.add(fate, 1);
                lost = (fate == Fate::Lost).then_some(u32::MAX);
            } else {
                balance.add(Fate::Delivered, entry.seen_count() as u64);
                for device in entry.unseen() {
                    let fate = entry.fate(device, is_away(device), dead, &clocks);
                    balance.add(fate, 1);
                    if fate == Fate::Lost {
                        lost = Some(device);
                    }
                }
            }
            if let Some(device) = lost
                && account.lost_examples.len() < EXAMPLES_MAX
            {
                let kind = order.kind.name();
                account.lost_examples.push(format!(
                    "push {} ({kind}), message {id}, begun at {} us, accepted at {:?} us, device {device}",
                    entry.number, entry.begun_us, answer.at_us
                ));
            }
        }
        account
    }

    /// Receivers that are there, and wait for a kept push that is none of these dead letters, and has not expired by these clocks.
    pub fn waiting(&self, is_away: impl Fn(u32) -> bool, dead: &Dead, clocks: &Clocks) -> usize {
        let entries = self.entries();
        let open = entries.iter().filter(|entry| {
            let order = &entry.order;
            order.kept && order.kind != Kind::Topic && entry.answer().id.is_some()
        });
        open.map(|entry| {
            if entry.seen_count() == entry.order.audience.len() {
                return 0;
            }
            let waits =
                |&device: &u32| entry.fate(device, is_away(device), dead, clocks) == Fate::Lost;
            entry.unseen().filter(waits).count()
        })
        .sum()
    }
}

impl LiveBalance {
    fn add(&mut self, entry: &Entry) {
        let (accepted, delivered) = (entry.order.audience.len() as u64, entry.seen_count() as u64);
        self.pushes += 1;
        self.accepted += accepted;
        self.delivered += delivered;
        self.missed += accepted - delivered;
    }

    /// The sum of two.
    pub fn plus(mut self, other: &Self) -> Self {
        self.pushes += other.pushes;
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        self.missed += other.missed;
        self
    }
}

impl Account {
    /// All kinds of kept pushes together.
    pub fn kept_total(&self) -> Balance {
        self.kept.values().fold(Balance::default(), |sum, balance| sum.plus(balance))
    }

    /// All kinds of live pushes together.
    pub fn live_total(&self) -> LiveBalance {
        self.live.values().fold(LiveBalance::default(), |sum, balance| sum.plus(balance))
    }

    /// The books of another run are added.
    pub fn add(&mut self, other: &Self) {
        for (&kind, balance) in &other.kept {
            let sum = self.kept.entry(kind).or_default();
            *sum = sum.plus(balance);
        }
        for (&kind, balance) in &other.live {
            let sum = self.live.entry(kind).or_default();
            *sum = sum.plus(balance);
        }
        self.unanswered += other.unanswered;
        self.dead_and_delivered += other.dead_and_delivered;
        self.repeated += other.repeated;
        self.breaches.add(&other.breaches);
        self.lost_examples.extend_from_slice(&other.lost_examples);
    }

    /// Whether everything promised was kept.
    pub fn holds(&self) -> bool {
        let breaches = &self.breaches;
        self.kept_total().lost == 0
            && breaches.duplicates + breaches.strays + breaches.disordered == 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Book, Order, Receipt, unix_ms};
    use super::*;

    fn order(kept: bool) -> Order {
        let audience = [1, 2, 3, 4].into();
        Order { kind: Kind::Users, target: 0, kept, expire_time_s: 0, audience }
    }

    fn receive(ledger: &Ledger, device: u32, number: u64) {
        let content = format!("{number} x").into();
        ledger.receive(&mut Book::new(device), &Receipt { id: number + 100, content });
    }

    #[test]
    fn every_receiver_has_one_fate() {
        let ledger = Ledger::new();
        let entry = ledger.open(order(true));
        entry.attempt();
        entry.accept(100, None, ledger.now_us());
        receive(&ledger, 1, 0);
        let away = |device| device == 2;
        assert_eq!(ledger.waiting(away, &Dead::new(), &ledger.clocks()), 2);
        assert_eq!(ledger.waiting(away, &[(100, 3)].into(), &ledger.clocks()), 1);
        let account = ledger.close(away, &[(100, 1), (100, 3)].into(), &HashSet::new());
        assert_eq!(account.dead_and_delivered, 1);
        let balance = account.kept[&Kind::Users];
        let fates = (balance.delivered, balance.pending, balance.dead, balance.lost);
        assert_eq!((balance.accepted, fates), (4, (1, 1, 1, 1)));
        assert!(!account.holds() && account.lost_examples.len() == 1);
    }

    #[test]
    fn recalled_and_expired_are_not_lost() {
        let ledger = Ledger::new();
        let entry = ledger.open(order(true));
        entry.accept(100, None, 1);
        entry.recall(false);
        ledger.open(order(true)).accept(101, Some(5), 1);
        ledger.open(order(true));
        ledger.open(order(false)).accept(103, None, 1);
        let account = ledger.close(|_| false, &Dead::new(), &HashSet::new());
        let balance = account.kept_total();
        assert_eq!((balance.recalled, balance.expired, balance.lost), (4, 4, 0));
        assert_eq!((account.unanswered, account.live[&Kind::Users].missed), (1, 4));
        assert!(account.holds());
    }

    #[test]
    fn a_clock_that_was_ahead_excuses_what_had_expired_by_it() {
        let ledger = Ledger::new();
        ledger.clock_jumps(60_000);
        let (early, late) = (unix_ms() + 30_000, unix_ms() + 90_000);
        for (id, expires_at_ms) in [(100, early), (101, late), (102, early)] {
            ledger.open(order(true)).accept(id, Some(expires_at_ms), id);
        }
        ledger.clock_jumps(0);
        let balance = |away| {
            let is_away = |device| away && device < 4;
            ledger.close(is_away, &Dead::new(), &HashSet::new()).kept_total()
        };
        assert_eq!((balance(false).expired, balance(false).lost), (8, 4));
        assert_eq!(balance(true).pending, 9, "who is away may still get it");
        assert_eq!(ledger.waiting(|_| false, &Dead::new(), &ledger.clocks()), 4);
        assert_eq!(ledger.waiting(|_| false, &Dead::new(), &Clocks::default()), 12);
    }

    #[test]
    fn what_must_not_happen_is_counted() {
        let ledger = Ledger::new();
        ledger.open(order(true)).accept(100, None, 1);
        receive(&ledger, 1, 0);
        receive(&ledger, 1, 0);
        receive(&ledger, 9, 0);
        receive(&ledger, 1, 77);
        let breaches = ledger.breaches();
        assert_eq!((breaches.duplicates, breaches.strays), (1, 2));
    }
}
