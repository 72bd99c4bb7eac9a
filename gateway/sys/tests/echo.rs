//! Clients send, the shard sends the same back: every byte returns, in order, also when a message
//! exceeds the receive buffer.

mod support;

use bytes::Bytes;
use std::io::{Read, Write};
use support::on_every_driver;

#[test]
fn echo() {
    on_every_driver(|fixture| {
        let mut clients: Vec<_> = (0..10).map(|_| fixture.client()).collect();
        for length in [1, 4_095, 4_096, 4_097, 20_000] {
            for (client, slot) in &mut clients {
                let message: Vec<u8> =
                    (0..length).map(|i| (i * 7 + *slot as usize) as u8).collect();
                client.write_all(&message).unwrap();
                let received = fixture.receive(*slot, length);
                assert_eq!(received, message, "{}: to the shard", fixture.name);

                let frame = fixture.driver.lend(Bytes::from(received));
                fixture.driver.send(*slot, frame);
                fixture.settle();
                let mut echoed = vec![0; length];
                client.read_exact(&mut echoed).unwrap();
                assert_eq!(echoed, message, "{}: back", fixture.name);
            }
        }
        assert_eq!(fixture.seen, [], "{}: nothing else happened", fixture.name);
    });
}
