//! 1,000 connections are closed in one turn, 1,000 more by their peers while the shard does not
//! look. Every slot is reported free once, every peer sees the end, and the descriptors are there
//! again.

mod support;

use std::collections::HashSet;
use std::io::Read;
use support::{Seen, on_every_driver};

const HALF: usize = 1_000;

#[test]
fn thousands_closed_at_once() {
    on_every_driver(|fixture| {
        for _ in 0..2 {
            let mut by_us = fixture.clients(HALF);
            let by_them = fixture.clients(HALF);
            let expected: HashSet<u32> =
                by_us.iter().chain(&by_them).map(|(_, slot)| *slot).collect();
            let descriptors = open_descriptors();
            for (_, slot) in &by_us {
                fixture.driver.close(*slot);
            }
            let their_slots: Vec<u32> = by_them.iter().map(|(_, slot)| *slot).collect();
            drop(by_them);
            for slot in their_slots {
                assert_eq!(fixture.hangup(slot), 0, "{}", fixture.name);
                fixture.driver.close(slot);
            }

            let mut closed = HashSet::new();
            while closed.len() < expected.len() {
                closed.extend([fixture.until(|seen| match seen {
                    Seen::Closed(slot) => Some(*slot),
                    _ => None,
                })]);
            }
            assert_eq!(closed, expected, "{}", fixture.name);
            for (client, _) in &mut by_us {
                assert_eq!(client.read(&mut [0]).unwrap(), 0, "{}", fixture.name);
            }
            fixture.expect_nothing_else();
            assert!(open_descriptors() <= descriptors - HALF, "{}", fixture.name);
        }
    });
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
