//! Sequence numbers, given out from memory.
//!
//! A number must never be given twice, but numbers may be skipped. So what is durable is one *ceiling* for all channels: no number
//! above it is given out before it was raised. When the file is opened again, every channel goes on above the ceiling of before. A
//! live message then costs no write, and a channel that never keeps anything no row.
//!
//! Kept messages take their numbers inside the transaction that puts them into the log, so that logs grow in the order of their
//! numbers. Until that is committed, nobody may be told that a log reaches so far: who reads it then would miss the message, and take it for one he has.

use gpusher_proto::data::Channel;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// The ceiling rises by this much: a busy channel waits for the disk once in a million messages.
const STEP: u64 = 1 << 20;
/// Channels of one generation that are remembered by themselves, at about 100 bytes each.
const GENERATION_CHANNELS: usize = 65_536;

/// What was given out. Shared by those who take numbers.
pub(super) struct Numbers {
    given: Mutex<Given>,
}

/// As long as it lives, numbers of kept messages may not be in their logs.
pub(super) struct Uncommitted(Arc<Numbers>);

impl Drop for Uncommitted {
    fn drop(&mut self) {
        self.0.given.lock().uncommitted -= 1;
    }
}

/// Names come from clients, so that the maps are keyed by a hash they cannot foresee.
struct Given {
    /// Transactions that append, from before they take numbers until they have ended.
    uncommitted: usize,
    /// The last number of channels used lately; the older generation goes when the younger one is full.
    young: HashMap<Channel, u64>,
    old: HashMap<Channel, u64>,
    /// The last number of any other channel is not above this.
    floor: u64,
    highest: u64,
    ceiling: u64,
}

impl Numbers {
    /// After an opening with this ceiling, which has been raised since.
    pub(super) fn new(floor: u64) -> Self {
        let (young, old) = Default::default();
        let (highest, ceiling) = (floor, raised(floor));
        let given = Given { uncommitted: 0, young, old, floor, highest, ceiling };
        Self { given: Mutex::new(given) }
    }

    /// Takes so many numbers of each channel, in order; the first of each range. If there is a ceiling with it, none may be used
    /// before that is durable.
    pub(super) fn take<'a>(
        &self,
        wanted: impl Iterator<Item = (&'a Channel, u32)>,
    ) -> (Vec<u64>, Option<u64>) {
        let mut given = self.given.lock();
        let firsts = wanted.map(|(channel, count)| given.take(channel, count)).collect();
        (firsts, (given.highest > given.ceiling).then(|| raised(given.highest)))
    }

    /// Takes note of a ceiling that is durable.
    pub(super) fn raise(&self, ceiling: u64) {
        let mut given = self.given.lock();
        given.ceiling = given.ceiling.max(ceiling);
    }

    /// To be kept by a transaction that appends, until it has ended.
    pub(super) fn begin_append(self: &Arc<Self>) -> Uncommitted {
        self.given.lock().uncommitted += 1;
        Uncommitted(self.clone())
    }

    /// The last number given to a channel, if it was given one lately; none while it may be that of a message that is not in the log.
    pub(super) fn last(&self, channel: &Channel) -> Option<u64> {
        let given = self.given.lock();
        let last = given.young.get(channel).or_else(|| given.old.get(channel)).copied();
        last.filter(|_| given.uncommitted == 0)
    }
}

/// The ceiling that leaves room above a number.
pub(super) fn raised(number: u64) -> u64 {
    number + STEP
}

impl Given {
    fn take(&mut self, channel: &Channel, count: u32) -> u64 {
        let last = match self.young.get_mut(channel) {
            Some(last) => last,
            None => {
                let last = self.old.remove(channel).unwrap_or(self.floor);
                self.age();
                self.young.entry(channel.clone()).or_insert(last)
            }
        };
        let first = *last + 1;
        *last += u64::from(count);
        self.highest = self.highest.max(*last);
        first
    }

    /// Makes room for one more channel. What is forgotten lies below the floor from then on.
    fn age(&mut self) {
        if self.young.len() < GENERATION_CHANNELS {
            return;
        }
        let forgotten = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        self.floor = forgotten.into_values().fold(self.floor, u64::max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> Channel {
        Channel { kind: 3, app_id: 1000, name: name.to_owned() }
    }

    #[test]
    fn numbers_above_the_ceiling_need_a_higher_one() {
        let numbers = Numbers::new(7);
        let channel = topic("a");
        assert_eq!(numbers.take([(&channel, 2), (&channel, 1)].into_iter()), (vec![8, 10], None));
        assert_eq!(numbers.last(&channel), Some(10));
        let (_, ceiling) = numbers.take([(&channel, STEP as u32)].into_iter());
        let ceiling = ceiling.expect("more than a step was taken");
        assert!(ceiling > 10 + STEP);
        assert!(numbers.take([(&channel, 1)].into_iter()).1.is_some(), "it is not durable yet");
        numbers.raise(ceiling);
        assert_eq!(numbers.take([(&channel, 1)].into_iter()).1, None);
    }

    #[test]
    fn a_number_is_not_told_before_its_message_is_in_the_log() {
        let numbers = Arc::new(Numbers::new(0));
        let channel = topic("a");
        let (first, second) = (numbers.begin_append(), numbers.begin_append());
        numbers.take([(&channel, 1)].into_iter());
        assert_eq!(numbers.last(&channel), None);
        drop(first);
        assert_eq!(numbers.last(&channel), None, "another append is under way");
        drop(second);
        assert_eq!(numbers.last(&channel), Some(1));
    }

    #[test]
    fn a_forgotten_channel_goes_on_above_what_it_had() {
        let numbers = Numbers::new(0);
        let busy = topic("busy");
        numbers.take([(&busy, 1_000)].into_iter());
        let others: Vec<Channel> =
            (0..3 * GENERATION_CHANNELS).map(|index| topic(&index.to_string())).collect();
        numbers.take(others.iter().map(|channel| (channel, 1)));
        assert_eq!(numbers.last(&busy), None);
        let (firsts, _) = numbers.take([(&busy, 1)].into_iter());
        assert!(firsts[0] > 1_000);
        let held = numbers.given.lock();
        assert!(held.young.len() + held.old.len() <= 2 * GENERATION_CHANNELS);
    }
}
