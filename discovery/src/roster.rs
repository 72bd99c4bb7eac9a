//! The registered services, and for a while those that were.

use crate::services::Service;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Keeps who vanishes from the registry for a time of grace: a registry that comes back empty has lost everybody for a moment, and nobody
/// is to be left for that.
pub(crate) struct Roster {
    grace: Duration,
    /// And since when a service is missing.
    services: BTreeMap<Service, Option<Instant>>,
}

impl Roster {
    pub(crate) fn new(grace: Duration) -> Self {
        Self { grace, services: BTreeMap::new() }
    }

    /// The registry has exactly these.
    pub(crate) fn update(&mut self, registered: BTreeSet<Service>, now: Instant) {
        for (service, missing) in &mut self.services {
            *missing = match registered.contains(service) {
                true => None,
                false => Some(missing.unwrap_or(now)),
            };
        }
        self.services.extend(registered.into_iter().map(|service| (service, None)));
        self.drop_missing(now);
    }

    /// Drops those whose time of grace is over.
    pub(crate) fn drop_missing(&mut self, now: Instant) {
        let grace = self.grace;
        self.services.retain(|_, missing| missing.is_none_or(|since| now < since + grace));
    }

    /// When the next one is to be dropped.
    pub(crate) fn next_drop(&self) -> Option<Instant> {
        self.services.values().flatten().min().map(|&since| since + self.grace)
    }

    pub(crate) fn services(&self) -> impl Iterator<Item = Service> {
        self.services.keys().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    fn set(names: &[&str]) -> BTreeSet<Service> {
        names.iter().map(|name| Service::Logic((*name).to_owned())).collect()
    }

    fn known(roster: &Roster) -> BTreeSet<Service> {
        roster.services().collect()
    }

    #[test]
    fn who_vanishes_is_dropped_after_the_grace_time() {
        let begin = Instant::now();
        let mut roster = Roster::new(GRACE);
        roster.update(set(&["a", "b"]), begin);
        roster.update(set(&["a"]), begin + GRACE / 2);
        assert_eq!(known(&roster), set(&["a", "b"]));
        assert_eq!(roster.next_drop(), Some(begin + GRACE / 2 + GRACE));
        roster.update(set(&["a"]), begin + GRACE);
        roster.drop_missing(begin + GRACE / 2 + GRACE - Duration::from_millis(1));
        assert_eq!(known(&roster), set(&["a", "b"]), "missing since the first time");
        roster.drop_missing(begin + GRACE / 2 + GRACE);
        assert_eq!(known(&roster), set(&["a"]));
        assert_eq!(roster.next_drop(), None);
    }

    #[test]
    fn who_comes_back_in_time_was_never_away() {
        let begin = Instant::now();
        let mut roster = Roster::new(GRACE);
        roster.update(set(&["a"]), begin);
        roster.update(set(&[]), begin);
        roster.update(set(&["a"]), begin + GRACE / 2);
        roster.drop_missing(begin + GRACE * 9);
        assert_eq!(known(&roster), set(&["a"]));
    }
}
