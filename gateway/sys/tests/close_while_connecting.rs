//! A peer whose backlog is full does not answer. A connection to it can be closed all the same.

mod support;

use gpusher_sys::socket::{ListenOptions, Listener};
use std::net::SocketAddr;
use std::time::Duration;
use support::{Seen, on_every_driver};

#[test]
fn close_while_connecting() {
    on_every_driver(|fixture| {
        let full = ListenOptions { backlog: 0, ..ListenOptions::default() };
        let silent = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), &full).unwrap();
        let SocketAddr::V4(to) = silent.address() else { unreachable!() };
        let slots: Vec<u32> = (0..8).map(|_| fixture.free_slot()).collect();
        for slot in &slots {
            fixture.driver.connect(*slot, None, to).unwrap();
        }
        fixture.turn(Duration::from_millis(10));
        fixture.settle();
        let connected = fixture.seen.iter().filter(|seen| matches!(seen, Seen::Connected(_)));
        assert!(connected.count() < slots.len(), "{}: none is left hanging", fixture.name);
        fixture.seen.clear();

        for slot in &slots {
            fixture.driver.close(*slot);
        }
        for slot in slots {
            fixture.until_closed(slot);
        }
        fixture.expect_nothing_else();
    });
}
