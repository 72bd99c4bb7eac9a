//! While reading is off, nothing is received and the client's writes block sooner or later;
//! afterwards everything comes, in order. Others are not affected.

mod support;

use gpusher_sys::uring::UringOptions;
use std::io::{ErrorKind, Write};
use support::{Seen, on_every_driver_with, pattern, small_buffers};

#[test]
fn set_reading_back_pressure() {
    on_every_driver_with(&small_buffers(), &UringOptions::default(), |fixture| {
        let (mut client, slot) = fixture.client();
        let (mut other, other_slot) = fixture.client();
        client.write_all(&[pattern(0)]).unwrap();
        assert_eq!(fixture.receive(slot, 1), [pattern(0)], "{}", fixture.name);

        fixture.driver.set_reading(slot, false);
        client.set_nonblocking(true).unwrap();
        let mut written = 1;
        let error = loop {
            let chunk: Vec<u8> = (written..written + 1_000).map(pattern).collect();
            match client.write(&chunk) {
                Ok(count) => written += count,
                Err(error) => break error,
            }
            fixture.settle();
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        other.write_all(b"me").unwrap();
        assert_eq!(fixture.receive(other_slot, 2), b"me", "{}", fixture.name);
        fixture.expect_nothing_else();

        fixture.driver.set_reading(slot, true);
        let received = fixture.receive(slot, written - 1);
        assert_eq!(received.len(), written - 1, "{}", fixture.name);
        let in_order = |(offset, byte): (usize, &u8)| *byte == pattern(1 + offset);
        assert!(received.iter().enumerate().all(in_order), "{}", fixture.name);

        // Off and on again with nothing in between changes nothing.
        fixture.driver.set_reading(slot, false);
        fixture.driver.set_reading(slot, true);
        client.set_nonblocking(false).unwrap();
        client.write_all(b"more").unwrap();
        assert_eq!(fixture.receive(slot, 4), b"more", "{}", fixture.name);
        drop(client);
        fixture.until(|seen| (*seen == Seen::Hangup(slot, 0)).then_some(()));
        fixture.expect_nothing_else();
    });
}
