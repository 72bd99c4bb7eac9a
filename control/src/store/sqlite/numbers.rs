//! Sequence numbers, given out from memory.
//!
//! A number must never be given twice, but numbers may be skipped. So what is durable is one *ceiling* for all channels: no number
//! above it is given out before it was raised. When the file is opened again, every channel goes on above the ceiling of before. A
//! live message then costs no write, and a channel that never keeps anything no row.
//!
//! Kept messages take their numbers inside the transaction that puts them into the log, so that logs grow in the order of their
//! numbers.

use gpusher_proto::data::Channel;
use parking_lot::Mutex;
use std::collections::HashMap;

/// The ceiling rises by this much: a busy channel waits for the disk once in a million messages.
const STEP: u64 = 1 << 20;
/// Channels of one generation that are remembered by themselves, at about 100 bytes each.
const GENERATION_CHANNELS: usize = 65_536;

/// What was given out. Shared by those who take numbers.
pub(super) struct Numbers {
    given: Mutex<Given>,
}

/// Names come from clients, so that the maps are keyed by a hash they cannot foresee.
struct Given {
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
        let given = Given { young, old, floor, highest: floor, ceiling: raised(floor) };
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

    /// The last number given to a channel, if it was given one lately.
    pub(super) fn last(&self, channel: &Channel) -> Option<u64> {
        let given = self.given.lock();
        given.young.get(channel).or_else(|| given.old.get(channel)).copied()
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
