//! A client writes more than one receive fetches and ends at once. All bytes are received, then the
//! hangup, which is reported once; what the shard still sends to the half that is open arrives.

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;
use support::{Seen, on_every_driver, pattern};

#[test]
fn the_end_comes_after_the_bytes() {
    on_every_driver(|fixture| {
        for length in [1, 4_096, 100_000] {
            let (mut client, slot) = fixture.client();
            let message: Vec<u8> = (0..length).map(pattern).collect();
            client.write_all(&message).unwrap();
            client.shutdown(Shutdown::Write).unwrap();

            let mut received = Vec::new();
            let all_seen = |seen: &[Seen]| seen.contains(&Seen::Hangup(slot, 0));
            while !all_seen(&fixture.seen) {
                fixture.turn(support::PATIENCE);
            }
            fixture.settle();
            let last = fixture.seen.pop().unwrap();
            assert_eq!(last, Seen::Hangup(slot, 0), "{}", fixture.name);
            for seen in fixture.seen.drain(..) {
                let Seen::Received(from, bytes) = seen else {
                    panic!("{}: {seen:?}", fixture.name)
                };
                assert_eq!(from, slot);
                received.extend(bytes);
            }
            assert_eq!(received, message, "{}", fixture.name);

            fixture.send(slot, "bye");
            fixture.driver.close(slot);
            fixture.until_closed(slot);
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, "bye", "{}", fixture.name);
        }
    });
}
