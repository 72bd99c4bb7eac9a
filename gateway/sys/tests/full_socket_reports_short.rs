//! A client does not read. What its socket does not take comes back with the frame and the count,
//! at first a part, then nothing; and what was reported as taken is what the client finds when it
//! reads at last.

mod support;

use gpusher_sys::uring::UringOptions;
use std::io::Read;
use support::{on_every_driver_with, pattern, small_buffers};

#[test]
fn full_socket_reports_short() {
    on_every_driver_with(&small_buffers(), &UringOptions::default(), |fixture| {
        let (mut client, slot) = fixture.client();
        let written = fixture.fill(slot);
        assert!(written > 0, "{}", fixture.name);
        assert!(fixture.counter("sends_short") > 0, "{}", fixture.name);

        fixture.driver.close(slot);
        fixture.until_closed(slot);
        let mut received = Vec::new();
        client.read_to_end(&mut received).unwrap();
        assert_eq!(received.len(), written, "{}", fixture.name);
        assert!(received.iter().enumerate().all(|(offset, byte)| *byte == pattern(offset)));
    });
}
