//! Cursor moves on their way to the store: coalesced per device, visible to a login that comes before they are written.

use super::Device;
use gpusher_proto::data::{CursorUpdate, Cursors};
use rustc_hash::FxHashMap;

/// Positions on the own, app and everyone channel, in that order.
pub type Positions = [u64; 3];

/// Moves that are not durable yet.
#[derive(Debug, Default)]
pub struct CursorWrites {
    dirty: FxHashMap<Device, Positions>,
    flying: FxHashMap<Device, Positions>,
}

impl CursorWrites {
    /// Moves a device's cursor on one channel; forward only.
    pub fn advance(&mut self, device: &Device, channel: usize, seq: u64) {
        if let Some(positions) = self.dirty.get_mut(device) {
            positions[channel] = positions[channel].max(seq);
            return;
        }
        let mut positions = Positions::default();
        positions[channel] = seq;
        self.dirty.insert(device.clone(), positions);
    }

    /// What the store will know of a device, beyond what it knows.
    pub fn pending(&self, device: &Device) -> Positions {
        let tables = [&self.dirty, &self.flying];
        tables.iter().filter_map(|table| table.get(device)).fold([0; 3], furthest)
    }

    /// Takes up to `limit` devices to write. One batch flies at a time.
    pub fn take(&mut self, limit: usize) -> Vec<CursorUpdate> {
        assert!(self.flying.is_empty(), "one batch of cursors flies at a time");
        if self.dirty.len() <= limit {
            self.flying = std::mem::take(&mut self.dirty);
        } else {
            let devices: Vec<Device> = self.dirty.keys().take(limit).cloned().collect();
            for device in devices {
                if let Some((device, positions)) = self.dirty.remove_entry(&device) {
                    self.flying.insert(device, positions);
                }
            }
        }
        self.flying.iter().map(|(device, positions)| update(device, *positions)).collect()
    }

    /// The batch is durable.
    pub fn landed(&mut self) {
        self.flying.clear();
    }

    /// The batch was not written: its moves are due again.
    pub fn failed(&mut self) {
        for (device, positions) in std::mem::take(&mut self.flying) {
            let dirty = self.dirty.entry(device).or_default();
            *dirty = furthest(*dirty, &positions);
        }
    }

    /// Devices with moves to write.
    pub fn len(&self) -> usize {
        self.dirty.len()
    }

    /// Whether there is something to write.
    pub fn is_empty(&self) -> bool {
        self.dirty.is_empty()
    }
}

/// The greater of each.
pub fn furthest(left: Positions, right: &Positions) -> Positions {
    std::array::from_fn(|channel| left[channel].max(right[channel]))
}

fn update(device: &Device, [own, app, everyone]: Positions) -> CursorUpdate {
    CursorUpdate { device: Some(device.key()), cursors: Some(Cursors { own, app, everyone }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_coalesce_and_stay_visible_until_they_are_durable() {
        let device = Device::new(1000, "a", "phone");
        let mut writes = CursorWrites::default();
        writes.advance(&device, 0, 5);
        writes.advance(&device, 0, 3);
        writes.advance(&device, 2, 7);
        let taken = writes.take(10);
        assert_eq!(taken[0].cursors, Some(Cursors { own: 5, app: 0, everyone: 7 }));
        writes.advance(&device, 0, 6);
        assert_eq!(writes.pending(&device), [6, 0, 7]);
        writes.failed();
        assert_eq!(writes.take(10)[0].cursors, Some(Cursors { own: 6, app: 0, everyone: 7 }));
        writes.landed();
        assert_eq!(writes.pending(&device), [0; 3]);
    }
}
