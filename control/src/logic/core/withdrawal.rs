//! What a recall needs to know: who had a live message, and which messages must not go out any more.

use gpusher_proto::gateway::{ChannelKind, Topic};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;

/// Who had a live message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// Connections, by gateway.
    Connections(Vec<(u32, Vec<u64>)>),
    /// An app.
    App(u32),
    /// All.
    Everyone,
    /// A topic.
    Topic(Topic),
}

/// A live message that went out a while ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its channel.
    pub kind: ChannelKind,
    /// Its number.
    pub seq: u64,
    /// Who had it.
    pub audience: Audience,
}

/// Recent live messages, bounded by the connections they name.
#[derive(Debug)]
pub struct Recent {
    sent: FxHashMap<u64, Vec<Sent>>,
    order: VecDeque<(u64, usize)>,
    weight: usize,
    limit: usize,
}

impl Recent {
    /// Room for about this many messages to one connection.
    pub fn new(limit: usize) -> Self {
        Self { sent: FxHashMap::default(), order: VecDeque::new(), weight: 0, limit }
    }

    /// Remembers a message; the oldest are forgotten for it.
    pub fn remember(&mut self, message: u64, sent: Sent) {
        let weight = match &sent.audience {
            Audience::Connections(gateways) => gateways.iter().map(|(_, ids)| ids.len()).sum(),
            _ => 1,
        };
        self.weight += weight;
        self.order.push_back((message, weight));
        self.sent.entry(message).or_default().push(sent);
        while self.weight > self.limit {
            let Some((oldest, weight)) = self.order.pop_front() else { break };
            self.weight -= weight;
            self.sent.remove(&oldest);
        }
    }

    /// Who had a message; empty if it was long ago.
    pub fn recall(&mut self, message: u64) -> Vec<Sent> {
        self.sent.remove(&message).unwrap_or_default()
    }
}

/// Recalled messages: pages and retries under way, and pushes still in the queue, must not go out.
#[derive(Debug)]
pub struct Withdrawn {
    messages: FxHashSet<u64>,
    order: VecDeque<u64>,
    limit: usize,
}

impl Withdrawn {
    /// Remembers this many.
    pub fn new(limit: usize) -> Self {
        Self { messages: FxHashSet::default(), order: VecDeque::new(), limit }
    }

    /// A message was recalled.
    pub fn add(&mut self, message: u64) {
        if self.messages.insert(message) {
            self.order.push_back(message);
        }
        while self.order.len() > self.limit {
            let oldest = self.order.pop_front();
            oldest.map(|oldest| self.messages.remove(&oldest));
        }
    }

    /// Whether a message was recalled recently.
    pub fn contains(&self, message: u64) -> bool {
        self.messages.contains(&message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(conns: &[u64]) -> Sent {
        let audience = Audience::Connections(vec![(1, conns.to_vec())]);
        Sent { kind: ChannelKind::Own, seq: 1, audience }
    }

    #[test]
    fn the_oldest_audiences_are_forgotten() {
        let mut recent = Recent::new(4);
        recent.remember(1, to(&[1, 2]));
        recent.remember(2, to(&[3]));
        recent.remember(3, to(&[4, 5, 6]));
        assert_eq!(recent.recall(1), []);
        assert_eq!(recent.recall(2), [to(&[3])]);
        assert_eq!(recent.recall(3), [to(&[4, 5, 6])]);
    }

    #[test]
    fn recalls_are_remembered_within_bounds() {
        let mut withdrawn = Withdrawn::new(2);
        (1..=3).for_each(|id| withdrawn.add(id));
        assert!(!withdrawn.contains(1) && withdrawn.contains(2) && withdrawn.contains(3));
    }
}
