//! The shard closes a connection that the kernel watches. What was sent before in the same turn
//! arrives, the peer sees an orderly end, and the slot can be used again at once.

mod support;

use std::io::{Read, Write};
use support::on_every_driver;

#[test]
fn close_while_armed_sends_fin() {
    on_every_driver(|fixture| {
        let (mut first, slot) = fixture.client();
        fixture.send(slot, "goodbye");
        fixture.driver.close(slot);
        // Asking twice is allowed.
        fixture.driver.close(slot);
        fixture.until_closed(slot);
        let mut received = String::new();
        first.read_to_string(&mut received).unwrap();
        assert_eq!(received, "goodbye", "{}", fixture.name);

        let (mut second, again) = fixture.client();
        assert_eq!(again, slot, "{}", fixture.name);
        second.write_all(b"hello").unwrap();
        assert_eq!(fixture.receive(slot, 5), b"hello", "{}", fixture.name);
        fixture.expect_nothing_else();
    });
}
