//! The connections of a shard: one entry per slot, as a structure of arrays.
//!
//! What a broadcast touches is one byte per connection ([`Hot`]); what a login or a sweep touches lies elsewhere. What only few connections
//! have at a time (an outbox, topics, a login that waits for its verdict) is kept beside the table, by slot.
//!
//! # Memory per idle logged-in connection
//! [`BYTES_PER_CONNECTION`] of arrays here and in [`super::members`], plus the [`Identity`]'s allocation. A test adds it up.

use super::config::ShardConfig;
use super::identity::Identity;
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::wire::Encoding;
use gpusher_session::Session;

/// The byte that fan-out looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Hot(u8);

impl Hot {
    const ENCODING: u8 = 0b11;
    /// Receives what goes to its app and to everyone.
    pub(crate) const MEMBER: Self = Self(1 << 2);
    /// A send or flush was asked for since the driver's last turn: the next one has to wait.
    pub(crate) const BUSY: Self = Self(1 << 3);
    /// Has an outbox with something in it, or a flush under way.
    pub(crate) const BACKLOG: Self = Self(1 << 4);
    /// Messages but those of a replay are held back.
    pub(crate) const HOLD: Self = Self(1 << 5);
    /// Its replay overtook messages that fan-out still has: see `hold.rs`.
    pub(crate) const FLOOR: Self = Self(1 << 6);
    /// Has something staged for this turn.
    pub(crate) const STAGED: Self = Self(1 << 7);

    const SLOW: u8 = Self::BUSY.0 | Self::BACKLOG.0 | Self::HOLD.0 | Self::FLOOR.0 | Self::STAGED.0;

    /// A member that the driver may be asked to send to at once.
    pub(crate) fn is_clear_member(self) -> bool {
        self.0 & (Self::MEMBER.0 | Self::SLOW) == Self::MEMBER.0
    }

    pub(crate) fn has(self, bits: Self) -> bool {
        self.0 & bits.0 == bits.0
    }

    pub(crate) fn set(&mut self, bits: Self, on: bool) {
        self.0 = if on { self.0 | bits.0 } else { self.0 & !bits.0 };
    }

    pub(crate) fn encoding(self) -> Encoding {
        match self.0 & Self::ENCODING {
            0 => Encoding::V0,
            1 => Encoding::V1,
            _ => Encoding::V1Zlib,
        }
    }

    fn set_encoding(&mut self, encoding: Encoding) {
        self.0 = self.0 & !Self::ENCODING | encoding as u8;
    }
}

/// How far a slot's connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// No connection.
    Free,
    /// No complete login yet.
    Login,
    /// The login waits for logic's verdict.
    Pending,
    /// Admitted.
    Member,
    /// Told to go; what is left in its outbox may still be written.
    Leaving,
    /// The driver was asked to close it.
    Closing,
}

/// Rarer facts about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flags(u8);

impl Flags {
    /// Holds until the SyncDone.
    pub(crate) const HOLD_SYNC: Self = Self(1);
    /// Holds until a join with a replay is answered.
    pub(crate) const HOLD_JOIN: Self = Self(1 << 1);
    /// Holds until it is known whether its logic is another now.
    pub(crate) const HOLD_LINK: Self = Self(1 << 2);
    /// Any of the three.
    pub(crate) const HOLDS: Self = Self(0b111);
    /// Those that a SyncDone does not end.
    pub(crate) const HOLDS_ON: Self = Self(0b110);
    /// The driver does not read from it.
    pub(crate) const PAUSED: Self = Self(1 << 3);
    /// Was told to go away; closed when the grace time is over.
    pub(crate) const GOING: Self = Self(1 << 4);
    /// The link knows it: a `Closed` is due at its end.
    pub(crate) const OPENED: Self = Self(1 << 5);
    /// Logic was asked for a replay, or has begun one: a SyncDone is to come.
    pub(crate) const SYNC_DUE: Self = Self(1 << 6);
    /// Its last words were in answer to a broken rule: it is read on, unheard, until the client hangs up.
    pub(crate) const LINGERS: Self = Self(1 << 7);

    pub(crate) fn any(self, bits: Self) -> bool {
        self.0 & bits.0 != 0
    }

    pub(crate) fn set(&mut self, bits: Self, on: bool) {
        self.0 = if on { self.0 | bits.0 } else { self.0 & !bits.0 };
    }
}

/// All connections.
#[derive(Debug)]
pub(crate) struct Table {
    gateway: u32,
    shard: u32,
    first_generation: u32,
    slots_max: usize,
    pub(crate) hot: Vec<Hot>,
    pub(crate) phase: Vec<Phase>,
    pub(crate) flags: Vec<Flags>,
    generation: Vec<u32>,
    /// Tick of the last bytes received; until admission, of the accept.
    pub(crate) heard: Vec<u32>,
    /// Moment of the login.
    pub(crate) since: Vec<u32>,
    pub(crate) app: Vec<u32>,
    pub(crate) session: Vec<Session>,
    pub(crate) identity: Vec<Identity>,
    free: Vec<u32>,
    used: u32,
}

/// Array bytes per slot, here and in `Members` (position in the app's roll, the roll's entry, and its growth).
pub const BYTES_PER_CONNECTION: usize = size_of::<Hot>()
    + size_of::<Phase>()
    + size_of::<Flags>()
    + size_of::<u32>() * 4
    + size_of::<Session>()
    + size_of::<Identity>()
    + size_of::<u32>() * 3;

impl Table {
    /// Room for `connections_max` connections; memory is touched only as far as slots were in use at one time.
    pub(crate) fn new(config: &ShardConfig) -> Self {
        let slots_max = config.connections_max;
        assert!(slots_max <= ConnId::SLOTS_MAX as usize);
        Self {
            gateway: config.gateway,
            shard: config.shard,
            first_generation: config.first_generation,
            slots_max,
            hot: Vec::with_capacity(slots_max),
            phase: Vec::with_capacity(slots_max),
            flags: Vec::with_capacity(slots_max),
            generation: Vec::with_capacity(slots_max),
            heard: Vec::with_capacity(slots_max),
            since: Vec::with_capacity(slots_max),
            app: Vec::with_capacity(slots_max),
            session: Vec::with_capacity(slots_max),
            identity: Vec::with_capacity(slots_max),
            free: Vec::new(),
            used: 0,
        }
    }

    /// Takes a free slot for a connection accepted at this tick; none when the shard is full.
    pub(crate) fn take(&mut self, tick: u32) -> Option<u32> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.hot.len() == self.slots_max => return None,
            None => self.add_slot(),
        };
        self.phase[slot as usize] = Phase::Login;
        self.heard[slot as usize] = tick;
        self.used += 1;
        Some(slot)
    }

    fn add_slot(&mut self) -> u32 {
        let slot = self.hot.len() as u32;
        self.hot.push(Hot::default());
        self.phase.push(Phase::Free);
        self.flags.push(Flags::default());
        self.generation.push(self.first_generation);
        self.heard.push(0);
        self.since.push(0);
        self.app.push(0);
        self.session.push(Session::new());
        self.identity.push(Identity::default());
        slot
    }

    /// Frees the slot. Its generation changes: ids of the connection that was there are stale from now on.
    pub(crate) fn release(&mut self, slot: u32) {
        let index = slot as usize;
        assert_ne!(self.phase[index], Phase::Free, "a slot is freed once");
        self.phase[index] = Phase::Free;
        self.hot[index] = Hot::default();
        self.flags[index] = Flags::default();
        self.generation[index] = (self.generation[index] + 1) % ConnId::GENERATIONS;
        self.app[index] = 0;
        self.session[index] = Session::new();
        self.identity[index] = Identity::default();
        self.free.push(slot);
        self.used -= 1;
    }

    /// Notes how frames for the connection are encoded.
    pub(crate) fn set_encoding(&mut self, slot: u32, encoding: Encoding) {
        self.hot[slot as usize].set_encoding(encoding);
    }

    /// The present connection's id.
    pub(crate) fn id(&self, slot: u32) -> ConnId {
        ConnId::new(self.gateway, self.shard, slot, self.generation[slot as usize])
    }

    /// The slot of a connection that logic may speak to; none for a stale or foreign id, and for one on its way out.
    pub(crate) fn find(&self, id: ConnId) -> Option<u32> {
        let slot = id.slot();
        let phase = *self.phase.get(slot as usize)?;
        let here = matches!(phase, Phase::Pending | Phase::Member) && self.id(slot) == id;
        here.then_some(slot)
    }

    /// Slots that were ever used: every connection's slot is below.
    pub(crate) fn len(&self) -> u32 {
        self.hot.len() as u32
    }

    /// Connections, whatever their phase.
    pub(crate) fn used(&self) -> u32 {
        self.used
    }

    /// Bytes of the arrays, as far as they are touched.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.hot.len() * BYTES_PER_CONNECTION + self.free.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(gateway: u32, shard: u32) -> Table {
        let config = ShardConfig { gateway, shard, connections_max: 2, ..ShardConfig::default() };
        Table::new(&config)
    }

    #[test]
    fn ids_of_the_process_before_are_stale() {
        let started_at = |first_generation| {
            let config = ShardConfig { first_generation, ..ShardConfig::default() };
            let mut table = Table::new(&config);
            let slot = table.take(0).unwrap();
            table.phase[slot as usize] = Phase::Member;
            table
        };
        let (before, after) = (started_at(5), started_at(8));
        assert_eq!(after.find(before.id(0)), None);
        assert_eq!(after.find(after.id(0)), Some(0));
    }

    #[test]
    fn stale_ids_find_nothing() {
        let mut table = table(3, 1);
        let slot = table.take(0).unwrap();
        let id = table.id(slot);
        assert_eq!(table.find(id), None, "nobody speaks to who has not logged in");
        table.phase[slot as usize] = Phase::Pending;
        assert_eq!(table.find(id), Some(slot));
        table.release(slot);
        assert_eq!(table.find(id), None);
        assert_eq!(table.take(0), Some(slot));
        table.phase[slot as usize] = Phase::Member;
        assert_eq!(table.find(id), None);
        assert_ne!(table.id(slot), id);
        let foreign = ConnId::new(3, 2, slot, table.id(slot).generation());
        assert_eq!(table.find(foreign), None);
        assert_eq!(table.find(table.id(slot)), Some(slot));
    }

    #[test]
    fn a_full_table_refuses() {
        let mut table = table(0, 0);
        assert_eq!((table.take(0), table.take(0), table.take(0)), (Some(0), Some(1), None));
        table.release(1);
        assert_eq!(table.take(0), Some(1));
    }

    #[test]
    fn encodings_and_bits_are_apart() {
        let mut hot = Hot::default();
        hot.set(Hot::MEMBER, true);
        for encoding in [Encoding::V1Zlib, Encoding::V0, Encoding::V1] {
            hot.set_encoding(encoding);
            assert_eq!(hot.encoding(), encoding);
            assert!(hot.is_clear_member());
        }
        hot.set(Hot::HOLD, true);
        assert!(!hot.is_clear_member() && hot.has(Hot::MEMBER));
    }

    #[test]
    fn an_idle_connection_fits_its_budget() {
        // A 16-character user: 17 bytes, for which allocators have a class of 24 or 32.
        let identity_heap = 32;
        // What a driver keeps per slot, in an array that grows by doubling.
        let driver = 2 * 8;
        assert!(BYTES_PER_CONNECTION + identity_heap + driver <= 115);
    }
}
