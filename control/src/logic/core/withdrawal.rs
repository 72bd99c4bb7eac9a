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

impl Sent {
    /// Connections named; 1 where nobody is.
    fn weight(&self) -> usize {
        match &self.audience {
            Audience::Connections(gateways) => gateways.iter().map(|(_, ids)| ids.len()).sum(),
            _ => 1,
        }
    }
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
        let weight = sent.weight();
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

/// A recall, when it was told to the gateways linked, and who may have had the message.
#[derive(Debug, Clone)]
pub struct Told {
    /// Which message.
    pub message: u64,
    /// Who may have it; nobody knows (any more), if there is none.
    pub sent: Vec<Sent>,
    at_ms: u64,
}

/// Recalled messages: pages and retries under way, and pushes still in the queue, must not go out. Gateways that were not linked at the time are told
/// when they are.
#[derive(Debug)]
pub struct Withdrawn {
    messages: FxHashSet<u64>,
    order: VecDeque<u64>,
    /// Recalls told to who was linked, oldest first.
    told: VecDeque<Told>,
    /// Connections that these name, and how many of them, from the oldest on, name none any more.
    weight: usize,
    forgotten: usize,
    limit: usize,
}

impl Withdrawn {
    /// Remembers this many, and so many connections that may have one.
    pub fn new(limit: usize) -> Self {
        Self {
            messages: FxHashSet::default(),
            order: VecDeque::new(),
            told: VecDeque::new(),
            weight: 0,
            forgotten: 0,
            limit,
        }
    }

    /// A recall goes to who is linked.
    pub fn tell(&mut self, message: u64, sent: Vec<Sent>, now_ms: u64) {
        self.weight += weight(&sent);
        self.told.push_back(Told { message, sent, at_ms: now_ms });
        while self.weight > self.limit {
            let sent = std::mem::take(&mut self.told[self.forgotten].sent);
            self.weight -= weight(&sent);
            self.forgotten += 1;
        }
        if self.told.len() > self.limit {
            let oldest = self.told.pop_front();
            self.weight -= oldest.map_or(0, |oldest| weight(&oldest.sent));
            self.forgotten = self.forgotten.saturating_sub(1);
        }
    }

    /// Those told from a time on, as far as they are remembered.
    pub fn told_since(&self, since_ms: u64) -> impl Iterator<Item = &Told> {
        self.told.iter().skip_while(move |told| told.at_ms < since_ms)
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

fn weight(sent: &[Sent]) -> usize {
    sent.iter().map(Sent::weight).sum()
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
    fn who_was_away_is_told_what_came_meanwhile() {
        let mut withdrawn = Withdrawn::new(2);
        let since = |withdrawn: &Withdrawn, at_ms| -> Vec<u64> {
            withdrawn.told_since(at_ms).map(|told| told.message).collect()
        };
        (1..=3).for_each(|id| withdrawn.tell(id, vec![to(&[id])], id * 10));
        assert_eq!(since(&withdrawn, 0), [2, 3]);
        assert_eq!(since(&withdrawn, 21), [3]);
        assert_eq!(since(&withdrawn, 31), [0; 0]);
    }

    #[test]
    fn connections_of_recalls_are_remembered_within_bounds() {
        let mut withdrawn = Withdrawn::new(3);
        let named = |withdrawn: &Withdrawn| -> Vec<(u64, usize)> {
            withdrawn.told_since(0).map(|told| (told.message, weight(&told.sent))).collect()
        };
        withdrawn.tell(1, vec![to(&[1]), to(&[2])], 1);
        withdrawn.tell(2, vec![to(&[3])], 2);
        assert_eq!(named(&withdrawn), [(1, 2), (2, 1)]);
        withdrawn.tell(3, vec![to(&[4])], 3);
        assert_eq!(named(&withdrawn), [(1, 0), (2, 1), (3, 1)]);
        withdrawn.tell(4, vec![to(&[5, 6, 7, 8])], 4);
        assert_eq!(named(&withdrawn), [(2, 0), (3, 0), (4, 0)]);
        withdrawn.tell(5, vec![to(&[9, 10, 11])], 5);
        withdrawn.tell(6, Vec::new(), 6);
        assert_eq!(named(&withdrawn), [(4, 0), (5, 3), (6, 0)]);
        assert_eq!((withdrawn.weight, withdrawn.forgotten), (3, 1));
    }

    #[test]
    fn recalls_are_remembered_within_bounds() {
        let mut withdrawn = Withdrawn::new(2);
        (1..=3).for_each(|id| withdrawn.add(id));
        assert!(!withdrawn.contains(1) && withdrawn.contains(2) && withdrawn.contains(3));
    }
}
