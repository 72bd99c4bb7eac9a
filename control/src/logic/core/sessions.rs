//! All sessions: by connection, and in a stable order to be swept in slices.

use super::cursor::Positions;
use super::nameless::Nameless;
use super::session::{Phase, Session};
use super::work::SharedMove;
use crate::device::Device;
use crate::slots::Slots;
use gpusher_proto::data::CursorUpdate;
use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use std::hash::BuildHasher;

/// Parts of the table, so that growing moves a share of it at a time.
const PARTS: usize = 64;

/// All sessions. Gateways choose the numbers of connections, and are trusted not to choose them against a hash.
#[derive(Debug)]
pub struct Sessions {
    slots: Slots<Session>,
    by_conn: Box<[HashTable<u32>]>,
    nameless: Nameless,
}

impl Default for Sessions {
    fn default() -> Self {
        let parts = std::iter::repeat_with(HashTable::new).take(PARTS);
        let by_conn = parts.collect();
        Self { slots: Slots::default(), by_conn, nameless: Nameless::default() }
    }
}

impl Sessions {
    /// Adds a session, replacing one of the same connection.
    pub fn insert(&mut self, session: Session) {
        let conn = session.conn;
        self.remove(conn);
        if session.device.is_nameless() {
            self.nameless.add(&session.device, conn);
        }
        let (slot, hash) = (self.slots.insert(session), hash_of(conn));
        let slots = &self.slots;
        self.by_conn[part_of(hash)].insert_unique(hash, slot, |&slot| {
            hash_of(slots.get(slot).expect("the table's slots are taken").conn)
        });
    }

    /// Takes a session out.
    pub fn remove(&mut self, conn: u64) -> Option<Session> {
        let (slots, hash) = (&self.slots, hash_of(conn));
        let is_it = |&slot: &u32| slots.get(slot).is_some_and(|session| session.conn == conn);
        let entry = self.by_conn[part_of(hash)].find_entry(hash, is_it).ok()?;
        let (slot, _) = entry.remove();
        let session = self.slots.remove(slot)?;
        if session.device.is_nameless() {
            self.nameless.remove(&session.device, conn);
        }
        Some(session)
    }

    /// Up to where each of a nameless device's connections has received. None if it has no connection, or one that is still at its login: where that
    /// begins is not known yet.
    pub fn received(&self, device: &Device) -> Option<Positions> {
        let sessions = self.nameless.of(device).iter().filter_map(|&conn| self.get(conn));
        sessions
            .filter(|session| session.device == *device)
            .map(|session| (session.phase != Phase::Opening).then_some(session.acked))
            .reduce(|left, right| {
                let (left, right) = (left?, right?);
                Some(std::array::from_fn(|channel| left[channel].min(right[channel])))
            })?
    }

    /// A move of a nameless device's cursor, with all its connections that are known.
    pub fn shared_move(&self, update: CursorUpdate) -> SharedMove {
        let key = update.device.clone().unwrap_or_default();
        let device = Device::new(key.app_id, &key.user, &key.device);
        SharedMove { known: self.nameless.of(&device).to_vec(), update }
    }

    fn slot(&self, conn: u64) -> Option<u32> {
        let hash = hash_of(conn);
        let is_it = |&slot: &u32| self.slots.get(slot).is_some_and(|session| session.conn == conn);
        self.by_conn[part_of(hash)].find(hash, is_it).copied()
    }

    /// A session.
    pub fn get(&self, conn: u64) -> Option<&Session> {
        self.slots.get(self.slot(conn)?)
    }

    /// A session, to change.
    pub fn get_mut(&mut self, conn: u64) -> Option<&mut Session> {
        self.slots.get_mut(self.slot(conn)?)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All sessions.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.slots.iter().map(|(_, session)| session)
    }

    /// The session in a slot, if any: for sweeps.
    pub fn in_slot(&mut self, slot: usize) -> Option<&mut Session> {
        self.slots.get_mut(u32::try_from(slot).ok()?)
    }

    /// Slots are below this.
    pub fn slots(&self) -> usize {
        self.slots.slots()
    }
}

fn hash_of(conn: u64) -> u64 {
    FxBuildHasher.hash_one(conn)
}

/// By bits that the part's own table does not go by.
fn part_of(hash: u64) -> usize {
    (hash >> 20) as usize % PARTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use gpusher_proto::conn_id::ConnId;
    use gpusher_proto::gateway::Opened;

    fn session(index: u32, user: &str) -> Session {
        let conn = ConnId::new(1, 2, index, 1).raw();
        Session::new(&Opened { conn, user: user.to_owned(), ..Opened::default() }, 1)
    }

    #[test]
    fn sessions_are_found_by_their_connection() {
        let mut sessions = Sessions::default();
        (0..5_000).for_each(|index| sessions.insert(session(index, "a")));
        sessions.insert(session(7, "another"));
        assert_eq!((sessions.len(), sessions.iter().count()), (5_000, 5_000));
        let conn = session(7, "").conn;
        assert_eq!(sessions.get(conn).map(|it| it.device.user()), Some("another"));
        assert!(sessions.remove(conn).is_some() && sessions.remove(conn).is_none());
        assert!(sessions.get_mut(conn).is_none());
        let parts = sessions.by_conn.iter().map(HashTable::len);
        assert!(parts.max().unwrap() < 3 * 5_000 / PARTS, "connections spread over the parts");
    }

    #[test]
    fn connections_without_a_device_wait_for_each_other() {
        let mut sessions = Sessions::default();
        let mut open = |conn, device: &str, phase, own| {
            let (user, device) = ("a".to_owned(), device.to_owned());
            let opened = Opened { conn, user, device, ..Opened::default() };
            let mut session = Session::new(&opened, conn as u32);
            (session.phase, session.acked) = (phase, [own, 1, 1]);
            sessions.insert(session);
        };
        open(1, "", Phase::Live, 7);
        open(2, "", Phase::Live, 5);
        open(3, "phone", Phase::Live, 2);
        open(4, "", Phase::Opening, 0);
        let nameless = Device::new(0, "a", "");
        assert_eq!(sessions.received(&nameless), None, "where the fourth begins is not known");
        sessions.remove(4);
        assert_eq!(sessions.received(&nameless), Some([5, 1, 1]));
        sessions.remove(2);
        assert_eq!(sessions.received(&nameless), Some([7, 1, 1]));
        sessions.remove(1);
        assert_eq!(sessions.received(&nameless), None);
        assert!(sessions.nameless.is_empty());
    }
}
