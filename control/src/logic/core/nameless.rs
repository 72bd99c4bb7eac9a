//! Connections of a user without a device: they share a cursor.

use crate::device::Device;
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::BuildHasher;

/// Who shares a cursor with whom. By a hash of the device: who asks has to look whether a connection is the device's.
#[derive(Debug, Default)]
pub struct Nameless(FxHashMap<u64, Peers>);

/// Mostly there is one.
#[derive(Debug)]
enum Peers {
    One(u64),
    Several(Vec<u64>),
}

impl Nameless {
    /// A connection begins.
    pub fn add(&mut self, device: &Device, conn: u64) {
        let peers = self.0.entry(key_of(device));
        peers.and_modify(|peers| peers.add(conn)).or_insert(Peers::One(conn));
    }

    /// A connection has ended.
    pub fn remove(&mut self, device: &Device, conn: u64) {
        let key = key_of(device);
        match self.0.get_mut(&key) {
            Some(Peers::Several(conns)) => {
                conns.retain(|&other| other != conn);
                if let [only] = conns[..] {
                    self.0.insert(key, Peers::One(only));
                }
            }
            Some(Peers::One(_)) => drop(self.0.remove(&key)),
            None => {}
        }
    }

    /// The device's connections, and perhaps others.
    pub fn of(&self, device: &Device) -> &[u64] {
        match self.0.get(&key_of(device)) {
            Some(Peers::One(conn)) => std::slice::from_ref(conn),
            Some(Peers::Several(conns)) => conns,
            None => &[],
        }
    }

    /// Whether nobody is without a device.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Peers {
    fn add(&mut self, conn: u64) {
        match self {
            Self::One(other) => *self = Self::Several(vec![*other, conn]),
            Self::Several(conns) => conns.push(conn),
        }
    }
}

fn key_of(device: &Device) -> u64 {
    FxBuildHasher.hash_one(device)
}
