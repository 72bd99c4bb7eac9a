//! Names a connection anywhere in the system.

/// A connection: gateway (12 bits), shard (8), slot (24), generation (20), from the top.
///
/// A unicast names its shard and slot, so a gateway looks nothing up. A slot's generation changes before the slot is used
/// again, so a stale id never reaches a new peer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ConnId(u64);

const GENERATION_BITS: u32 = 20;
const SLOT_BITS: u32 = 24;
const SHARD_BITS: u32 = 8;
const GATEWAY_BITS: u32 = 12;
const _: () = assert!(GENERATION_BITS + SLOT_BITS + SHARD_BITS + GATEWAY_BITS == 64);

impl ConnId {
    /// Gateways are numbered below this.
    pub const GATEWAYS_MAX: u32 = 1 << GATEWAY_BITS;
    /// Shards of a gateway are numbered below this.
    pub const SHARDS_MAX: u32 = 1 << SHARD_BITS;
    /// Slots of a shard are numbered below this.
    pub const SLOTS_MAX: u32 = 1 << SLOT_BITS;
    /// Generations wrap around here.
    pub const GENERATIONS: u32 = 1 << GENERATION_BITS;

    /// Puts the four numbers together. Each must be below its limit; `generation` wraps.
    pub fn new(gateway: u32, shard: u32, slot: u32, generation: u32) -> Self {
        assert!(gateway < Self::GATEWAYS_MAX);
        assert!(shard < Self::SHARDS_MAX);
        assert!(slot < Self::SLOTS_MAX);
        let generation = generation % Self::GENERATIONS;
        Self(
            (u64::from(gateway) << (SHARD_BITS + SLOT_BITS + GENERATION_BITS))
                | (u64::from(shard) << (SLOT_BITS + GENERATION_BITS))
                | (u64::from(slot) << GENERATION_BITS)
                | u64::from(generation),
        )
    }

    /// Reads the id from its number; every number is an id.
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// The number.
    pub fn raw(self) -> u64 {
        self.0
    }

    /// Which gateway holds it.
    pub fn gateway(self) -> u32 {
        (self.0 >> (SHARD_BITS + SLOT_BITS + GENERATION_BITS)) as u32
    }

    /// Which shard of the gateway.
    pub fn shard(self) -> u32 {
        (self.0 >> (SLOT_BITS + GENERATION_BITS)) as u32 & (Self::SHARDS_MAX - 1)
    }

    /// Which slot of the shard.
    pub fn slot(self) -> u32 {
        (self.0 >> GENERATION_BITS) as u32 & (Self::SLOTS_MAX - 1)
    }

    /// Which use of the slot.
    pub fn generation(self) -> u32 {
        self.0 as u32 & (Self::GENERATIONS - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back() {
        let id = ConnId::new(4095, 255, (1 << 24) - 1, (1 << 20) + 5);
        assert_eq!(
            (id.gateway(), id.shard(), id.slot(), id.generation()),
            (4095, 255, (1 << 24) - 1, 5)
        );
        let id = ConnId::new(0, 3, 9, 1);
        assert_eq!((id.gateway(), id.shard(), id.slot(), id.generation()), (0, 3, 9, 1));
        assert_eq!(ConnId::from_raw(id.raw()), id);
    }
}
