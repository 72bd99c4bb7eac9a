//! What is pushed next.

use super::Rates;
use crate::crowd::{APPS, Population, TOPICS, topic_name};
use crate::ledger::{Kind, Order};
use crate::random::Random;
use serde_json::{Value, json};
use std::sync::Arc;

/// In a thousand: single pushes that go to a list, to a topic.
const LISTS: u64 = 150;
const TOPICAL: u64 = 50;
/// In a thousand: pushes that are kept.
const KEPT: u64 = 700;
/// In a thousand of all: expire within seconds, expire after minutes.
const EXPIRE_SOON: u64 = 80;
const EXPIRE_LATE: u64 = 200;
const EXPIRE_LATE_S: (u64, u64) = (60, 3_600);
/// Users of a list.
const LIST_MAX: u64 = 12;
/// Contents: most are short, some are long enough to be compressed. In a thousand of those for few: more than a page of a replay may have.
const LONG: u64 = 20;
const LONG_BYTES: u64 = 8_000;
const SHORT_BYTES: u64 = 200;
const HUGE: u64 = 5;
const HUGE_BYTES: (u64, u64) = (256 << 10, 600 << 10);
const RECEIVERS_OF_HUGE: usize = 50;

/// Draws pushes.
#[derive(Debug)]
pub(super) struct Draw {
    population: Arc<Population>,
    /// In a million.
    broadcasts: u64,
    pub(super) random: Random,
}

impl Draw {
    pub(super) fn new(population: Arc<Population>, rates: Rates, seed: u64) -> Self {
        // A broadcast goes to all, or to most.
        let clients = population.everyone.len() as u64;
        let broadcasts = rates.broadcast_messages_per_s * 1_000_000;
        let broadcasts = broadcasts / (clients * rates.pushes_per_s.max(1)).max(1);
        Self { population, broadcasts: broadcasts.min(200_000), random: Random::new(seed) }
    }

    /// A push, and the request's body without its content.
    pub(super) fn next(&mut self) -> (Order, Value) {
        let kept = self.random.permille(KEPT);
        let expire_time_s = match self.random.below(1_000) {
            at if at < EXPIRE_SOON => self.random.between(2, 8) as u32,
            at if at < EXPIRE_SOON + EXPIRE_LATE => {
                self.random.between(EXPIRE_LATE_S.0, EXPIRE_LATE_S.1) as u32
            }
            _ => 0,
        };
        let (kind, target, app, mut body, audience) = if self.is_broadcast() {
            self.broadcast()
        } else {
            match self.random.below(1_000) {
                at if at < LISTS => self.list(),
                at if at < LISTS + TOPICAL => self.topic(),
                _ => self.single(),
            }
        };
        body["type"] = json!(kind as u8);
        body["offlinePush"] = json!(kept);
        body["expireTime"] = json!(expire_time_s);
        let order = Order { kind, target, kept, expire_time_s, audience };
        (order, json!({"tag": APPS[app].0, "body": body}))
    }

    /// What follows the number in a content for that many receivers.
    pub(super) fn padding(&mut self, receivers: usize) -> String {
        let bytes = match () {
            () if receivers <= RECEIVERS_OF_HUGE && self.random.permille(HUGE) => {
                self.random.between(HUGE_BYTES.0, HUGE_BYTES.1)
            }
            () if self.random.permille(LONG) => self.random.below(LONG_BYTES),
            () => self.random.below(SHORT_BYTES),
        };
        "x".repeat(bytes as usize)
    }

    fn is_broadcast(&mut self) -> bool {
        self.random.below(1_000_000) < self.broadcasts
    }

    fn single(&mut self) -> Drawn {
        let user = self.random.index(self.population.users.len());
        let found = &self.population.users[user];
        let audience = self.population.audience(&[user]);
        (Kind::User, user as u32, found.app, json!({"uuid": found.name}), audience)
    }

    /// Users of one app: pushes to lists are in order for each app.
    fn list(&mut self) -> Drawn {
        let app = self.population.users[self.random.index(self.population.users.len())].app;
        let count = self.random.between(2, LIST_MAX) as usize;
        let mut users: Vec<usize> =
            (0..count).map(|_| self.random.index(self.population.users.len())).collect();
        users.sort_unstable();
        users.dedup();
        users.retain(|&user| self.population.users[user].app == app);
        if users.is_empty() {
            return self.single();
        }
        let names: Vec<&str> =
            users.iter().map(|&user| self.population.users[user].name.as_str()).collect();
        let audience = self.population.audience(&users);
        (Kind::Users, app as u32, app, json!({"uuids": names}), audience)
    }

    fn topic(&mut self) -> Drawn {
        let topic = self.random.below(u64::from(TOPICS)) as u32;
        let audience = Arc::clone(&self.population.topics[topic as usize]);
        (Kind::Topic, topic, 0, json!({"topic": topic_name(topic)}), audience)
    }

    fn broadcast(&mut self) -> Drawn {
        if self.random.permille(300) {
            return (Kind::Everyone, 0, 0, json!({}), Arc::clone(&self.population.everyone));
        }
        let app = self.random.index(APPS.len());
        (Kind::App, app as u32, app, json!({}), Arc::clone(&self.population.apps[app]))
    }
}

/// Kind, target, app, body, audience.
type Drawn = (Kind, u32, usize, Value, crate::ledger::Audience);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_contents_fill_a_page_of_a_replay_alone() {
        let population = Arc::new(Population::new(10));
        let rates = Rates { pushes_per_s: 100, broadcast_messages_per_s: 0 };
        let mut draw = Draw::new(population, rates, 1);
        let mut longest =
            |receivers| (0..2_000).map(|_| draw.padding(receivers).len()).max().unwrap_or(0);
        assert!(longest(1) > 256 << 10);
        assert!(longest(1_000) < 10_000, "not for all at once");
    }

    #[test]
    fn every_kind_is_pushed() {
        let population = Arc::new(Population::new(300));
        let rates = Rates { pushes_per_s: 100, broadcast_messages_per_s: 1_000 };
        let mut draw = Draw::new(population, rates, 1);
        let orders: Vec<Order> = (0..2_000).map(|_| draw.next().0).collect();
        for kind in Kind::ALL {
            for kept in [true, false] {
                let found = orders.iter().any(|order| order.kind == kind && order.kept == kept);
                assert!(found, "{kind:?} kept: {kept}");
            }
        }
        let broadcast = |order: &&Order| order.audience.len() > 200;
        let messages: usize =
            orders.iter().filter(broadcast).map(|order| order.audience.len()).sum();
        // 20 seconds' worth of pushes.
        assert!((5_000..40_000).contains(&messages), "{messages}");
    }
}
