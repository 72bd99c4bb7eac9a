//! 2,000 clients connect as fast as they can, each sending its number at once. Each gets a slot,
//! and its number comes from that slot and no other.

mod support;

use std::collections::HashSet;
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;
use support::{Seen, on_every_driver};

const CLIENTS: u32 = 2_000;

#[test]
fn accept_storm() {
    on_every_driver(|fixture| {
        let address = fixture.address;
        let storm = thread::spawn(move || {
            let connect = |number: u32| {
                let mut client = TcpStream::connect(address).unwrap();
                client.write_all(&number.to_be_bytes()).unwrap();
                client
            };
            (0..CLIENTS).map(connect).collect::<Vec<_>>()
        });
        let (mut slots, mut numbers) = (HashSet::new(), HashSet::new());
        while numbers.len() < CLIENTS as usize {
            fixture.turn(Duration::from_millis(100));
            for seen in fixture.seen.drain(..) {
                match seen {
                    Seen::Opened(slot) => assert!(slots.insert(slot)),
                    Seen::Received(slot, bytes) => {
                        assert!(slots.contains(&slot));
                        let number = u32::from_be_bytes(bytes.try_into().unwrap());
                        assert!(numbers.insert(number));
                    }
                    other => panic!("{}: {other:?}", fixture.name),
                }
            }
        }
        assert_eq!(slots.len(), CLIENTS as usize, "{}", fixture.name);
        drop(storm.join().unwrap());
    });
}
