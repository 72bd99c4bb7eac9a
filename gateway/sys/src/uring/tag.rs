//! What an operation's completion brings back, in 64 bits: operation, detail, slot.
//!
//! No generation: a slot is free only when nothing on it is in flight, so no completion can meet a
//! later owner.

/// What was asked of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Operation {
    Accept,
    Wake,
    Bell,
    Watch,
    Receive,
    Send,
    Flush,
    AwaitRoom,
    Connect,
    Install,
    Shutdown,
    Close,
    /// A send of [`super::bare`], which nobody waits for.
    Bare,
}

impl Operation {
    const ALL: [Self; 13] = [
        Self::Accept,
        Self::Wake,
        Self::Bell,
        Self::Watch,
        Self::Receive,
        Self::Send,
        Self::Flush,
        Self::AwaitRoom,
        Self::Connect,
        Self::Install,
        Self::Shutdown,
        Self::Close,
        Self::Bare,
    ];
}

const DETAIL_BITS: u32 = 24;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) operation: Operation,
    /// Number of the frame, scratch buffer or flush record; 24 bits.
    pub(super) detail: u32,
    pub(super) slot: u32,
}

impl Tag {
    pub(super) fn of(operation: Operation, slot: u32) -> Self {
        Self { operation, detail: 0, slot }
    }

    pub(super) fn pack(self) -> u64 {
        debug_assert!(self.detail < 1 << DETAIL_BITS);
        let high = (self.operation as u32) << DETAIL_BITS | self.detail;
        u64::from(high) << 32 | u64::from(self.slot)
    }

    pub(super) fn unpack(packed: u64) -> Self {
        let high = (packed >> 32) as u32;
        Self {
            operation: Operation::ALL[(high >> DETAIL_BITS) as usize],
            detail: high & ((1 << DETAIL_BITS) - 1),
            slot: packed as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tag_survives_the_kernel() {
        for operation in Operation::ALL {
            for (detail, slot) in [(0, 0), (1, u32::MAX), ((1 << DETAIL_BITS) - 1, 7)] {
                let tag = Tag { operation, detail, slot };
                assert_eq!(Tag::unpack(tag.pack()), tag);
            }
        }
    }
}
