//! One shard of the route table: where users are connected.
//!
//! A connection is one entry of a slab; those of one user form a chain, oldest binding first, and a table finds its beginning. That is
//! about 80 bytes a connection with a name of 16, whatever the number of connections.

use super::processes::ProcessNumber;
use crate::device::Device;
use crate::slots::{NONE, Slots};
use gpusher_proto::data::{Count, Route};
use hashbrown::HashTable;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

/// A connection of a user.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) device: Device,
    pub(super) conn: u64,
    pub(super) since_ms: i64,
    pub(super) process: ProcessNumber,
    pub(super) version: u32,
    /// The user's next connection, or [`NONE`].
    next: u32,
}

// Millions of them are held.
const _: () = assert!(size_of::<Option<Bound>>() == 56);

impl Bound {
    pub(super) fn new(route: &Route, process: ProcessNumber) -> Self {
        Self {
            device: Device::new(route.app_id, &route.user, &route.device),
            conn: route.conn,
            since_ms: route.since_ms,
            process,
            version: route.version,
            next: NONE,
        }
    }

    fn is_users(&self, app_id: u32, user: &str) -> bool {
        self.device.app_id == app_id && self.device.user() == user
    }
}

/// Names come from clients, so that the table is keyed by a hash they cannot foresee (the standard one). Callers have taken it already, to
/// find the shard.
pub(super) struct Users {
    hasher: RandomState,
    bounds: Slots<Bound>,
    /// The first connection of each user.
    first: HashTable<u32>,
    counts: HashMap<u32, Count>,
}

impl Users {
    pub(super) fn new(hasher: RandomState) -> Self {
        let (bounds, first, counts) = Default::default();
        Self { hasher, bounds, first, counts }
    }

    /// Binds a connection; returns those that are not bound any more because of it, which is itself when the device has
    /// a younger connection. Presence goes by when a connection began, not by when word of it arrives.
    pub(super) fn bind(&mut self, hash: u64, bound: Bound, connections_max: usize) -> Vec<Bound> {
        let device = &bound.device;
        let (mut itself, mut outdated) = (None, false);
        let mut replaced = Vec::new();
        let mut held = 0;
        for (slot, other) in self.chain(hash, device.app_id, device.user()) {
            if other.conn == bound.conn && other.process == bound.process {
                itself = Some(slot);
                continue;
            }
            held += 1;
            if !device.is_nameless() && other.device == *device {
                outdated |= other.since_ms > bound.since_ms;
                replaced.push(slot);
            }
        }
        if let Some(slot) = itself {
            self.unlink(hash, slot);
        }
        if outdated {
            return vec![bound];
        }
        held -= replaced.len();
        let mut replaced: Vec<Bound> =
            replaced.into_iter().map(|slot| self.unlink(hash, slot)).collect();
        for _ in connections_max..=held {
            let all = self.chain(hash, bound.device.app_id, bound.device.user());
            let oldest = all.min_by_key(|(_, other)| other.since_ms).map(|(slot, _)| slot);
            replaced.extend(oldest.map(|slot| self.unlink(hash, slot)));
        }
        self.append(hash, bound);
        replaced
    }

    /// Removes the connection that `holder` recognises.
    pub(super) fn unbind(
        &mut self,
        hash: u64,
        app_id: u32,
        user: &str,
        holder: impl Fn(&Bound) -> bool,
    ) {
        let found = self.chain(hash, app_id, user).find(|(_, bound)| holder(bound));
        if let Some((slot, _)) = found {
            self.unlink(hash, slot);
        }
    }

    /// A user's connections.
    pub(super) fn of(&self, hash: u64, app_id: u32, user: &str) -> impl Iterator<Item = &Bound> {
        self.chain(hash, app_id, user).map(|(_, bound)| bound)
    }

    /// Every connection of an app, in no order.
    pub(super) fn connections(&self, app_id: u32) -> impl Iterator<Item = &Bound> {
        self.bounds.iter().map(|(_, bound)| bound).filter(move |it| it.device.app_id == app_id)
    }

    /// Connections and users, per app.
    pub(super) fn counts(&self) -> impl Iterator<Item = Count> {
        self.counts.values().copied()
    }

    /// Drops the connections of processes that are gone.
    pub(super) fn forget(&mut self, gone: &HashSet<ProcessNumber>) {
        let lost = self.bounds.iter().filter(|(_, bound)| gone.contains(&bound.process));
        let lost: Vec<u32> = lost.map(|(slot, _)| slot).collect();
        for slot in lost {
            let device = &self.bounds.get(slot).expect("listed").device;
            let hash = self.hasher.hash_one((device.app_id, device.user()));
            self.unlink(hash, slot);
        }
        let (hasher, bounds) = (&self.hasher, &self.bounds);
        self.first.shrink_to(self.first.len() * 2, |&slot| hash_of(hasher, bounds, slot));
    }

    fn first(&self, hash: u64, app_id: u32, user: &str) -> Option<u32> {
        let bounds = &self.bounds;
        let is_users = |&slot: &u32| bounds.get(slot).is_some_and(|it| it.is_users(app_id, user));
        self.first.find(hash, is_users).copied()
    }

    fn chain(&self, hash: u64, app_id: u32, user: &str) -> impl Iterator<Item = (u32, &Bound)> {
        let first = self.first(hash, app_id, user).unwrap_or(NONE);
        let entry = |slot| self.bounds.get(slot).map(|bound| (slot, bound));
        std::iter::successors(entry(first), move |(_, bound)| entry(bound.next))
    }

    fn append(&mut self, hash: u64, bound: Bound) {
        let app_id = bound.device.app_id;
        let last = self.chain(hash, app_id, bound.device.user()).last().map(|(slot, _)| slot);
        let slot = self.bounds.insert(bound);
        let (hasher, bounds) = (&self.hasher, &mut self.bounds);
        let count = self.counts.entry(app_id).or_insert(Count { app_id, ..Count::default() });
        count.connections += 1;
        match last.and_then(|last| bounds.get_mut(last)) {
            Some(last) => last.next = slot,
            None => {
                count.users += 1;
                self.first.insert_unique(hash, slot, |&slot| hash_of(hasher, bounds, slot));
            }
        }
    }

    /// Takes a connection out of its user's chain.
    fn unlink(&mut self, hash: u64, slot: u32) -> Bound {
        let bound = self.bounds.get(slot).expect("a slot of a chain is taken");
        let (app_id, next) = (bound.device.app_id, bound.next);
        let before = self.chain(hash, app_id, bound.device.user()).find(|(_, it)| it.next == slot);
        match before.map(|(slot, _)| slot) {
            Some(before) => self.bounds.get_mut(before).expect("just seen").next = next,
            None => self.set_first(hash, slot, next),
        }
        let bound = self.bounds.remove(slot).expect("just seen");
        let count = self.counts.get_mut(&app_id).expect("an app with connections has a count");
        count.connections -= 1;
        if count.connections == 0 {
            self.counts.remove(&app_id);
        }
        bound
    }

    /// A user's first connection goes; the next one, if any, becomes the first.
    fn set_first(&mut self, hash: u64, slot: u32, next: u32) {
        let entry = self.first.find_entry(hash, |&first| first == slot);
        let mut entry = entry.expect("a chain begins in the table");
        if next != NONE {
            *entry.get_mut() = next;
            return;
        }
        entry.remove();
        let app_id = self.bounds.get(slot).expect("just seen").device.app_id;
        self.counts.get_mut(&app_id).expect("an app with connections has a count").users -= 1;
    }
}

fn hash_of(hasher: &RandomState, bounds: &Slots<Bound>, slot: u32) -> u64 {
    let device = &bounds.get(slot).expect("the table's slots are taken").device;
    hasher.hash_one((device.app_id, device.user()))
}
