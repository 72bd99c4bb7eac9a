//! Two clients with one device name replace each other for ever; this notices.

use super::Device;
use rustc_hash::FxHashMap;

const WINDOW_MS: u64 = 60_000;

/// Replacements per device within a minute. Bounded: when the table is full, devices whose minute is over go first, then newcomers are not watched.
#[derive(Debug)]
pub struct KickLoops {
    devices: FxHashMap<Device, Window>,
    limit: usize,
    replaced_max: u32,
}

#[derive(Debug)]
struct Window {
    since_ms: u64,
    replaced: u32,
}

impl KickLoops {
    /// Watches up to `limit` devices for more than `replaced_max` replacements.
    pub fn new(limit: usize, replaced_max: u32) -> Self {
        Self { devices: FxHashMap::default(), limit, replaced_max }
    }

    /// A connection of the device was replaced by another.
    pub fn replaced(&mut self, now_ms: u64, device: &Device) {
        if let Some(window) = self.devices.get_mut(device) {
            if now_ms - window.since_ms >= WINDOW_MS {
                *window = Window { since_ms: now_ms, replaced: 0 };
            }
            window.replaced += 1;
            return;
        }
        if self.devices.len() >= self.limit {
            self.devices.retain(|_, window| now_ms - window.since_ms < WINDOW_MS);
        }
        if self.devices.len() < self.limit {
            self.devices.insert(device.clone(), Window { since_ms: now_ms, replaced: 1 });
        }
    }

    /// Whether the device is in a loop: its next login is to be refused.
    pub fn is_loop(&self, now_ms: u64, device: &Device) -> bool {
        self.devices.get(device).is_some_and(|window| {
            now_ms - window.since_ms < WINDOW_MS && window.replaced >= self.replaced_max
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_ends_with_its_minute() {
        let device = Device::new(1, "a", "phone");
        let mut loops = KickLoops::new(2, 3);
        (0..3).for_each(|n| loops.replaced(n, &device));
        assert!(loops.is_loop(10, &device));
        assert!(!loops.is_loop(WINDOW_MS, &device));
        loops.replaced(WINDOW_MS, &device);
        assert!(!loops.is_loop(WINDOW_MS + 1, &device));
    }

    #[test]
    fn the_table_is_bounded() {
        let mut loops = KickLoops::new(2, 1);
        let device = |n: u32| Device::new(n, "a", "phone");
        (0..5).for_each(|n| loops.replaced(0, &device(n)));
        assert!(loops.is_loop(1, &device(1)) && !loops.is_loop(1, &device(2)));
        loops.replaced(WINDOW_MS, &device(4));
        assert!(loops.is_loop(WINDOW_MS, &device(4)));
    }
}
