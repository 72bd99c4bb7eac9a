//! Peers end with a reset: while their connection is idle, while it waits for room, and just before
//! something is sent. Each is reported once, and each slot can be closed.

mod support;

use gpusher_sys::uring::UringOptions;
use std::time::Duration;
use support::{Seen, on_every_driver_with, reset_on_drop, small_buffers};

#[test]
fn peer_reset() {
    on_every_driver_with(&small_buffers(), &UringOptions::default(), |fixture| {
        let (idle, idle_slot) = fixture.client();
        let (waiting, waiting_slot) = fixture.client();
        let (sending, sending_slot) = fixture.client();
        fixture.fill(waiting_slot);
        fixture.driver.await_writable(waiting_slot);
        fixture.turn(Duration::ZERO);
        for client in [&idle, &waiting, &sending] {
            reset_on_drop(client);
        }

        drop(idle);
        assert_eq!(fixture.hangup(idle_slot), libc::ECONNRESET, "{}", fixture.name);

        drop(waiting);
        assert_eq!(fixture.hangup(waiting_slot), libc::ECONNRESET, "{}", fixture.name);

        drop(sending);
        fixture.send(sending_slot, "too late");
        let errno = fixture.hangup(sending_slot);
        assert!([libc::ECONNRESET, libc::EPIPE].contains(&errno), "{}: {errno}", fixture.name);

        fixture.settle();
        // It may have become writable, in a way, before it hung up.
        fixture.seen.retain(|seen| *seen != Seen::Writable(waiting_slot));
        fixture.expect_nothing_else();
        for slot in [idle_slot, waiting_slot, sending_slot] {
            fixture.driver.close(slot);
            fixture.until_closed(slot);
        }
        fixture.expect_nothing_else();
    });
}
