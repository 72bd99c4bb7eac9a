//! Connections come and go at random, closed by either side at any moment, with bytes under way in
//! both directions. What is received from a slot was sent by the client that has the slot now, and
//! nothing is told about a slot after it was closed.

mod support;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use support::{Random, Seen, on_every_driver, reset_on_drop};

const STEPS: usize = 3_000;
const CLIENTS_MAX: usize = 50;

struct Client {
    stream: TcpStream,
    number: u32,
}

#[test]
fn reused_slots_have_no_past() {
    on_every_driver(|fixture| {
        let mut random = Random::new();
        let mut clients: HashMap<u32, Client> = HashMap::new();
        let mut numbers = 0u32;
        for _ in 0..STEPS {
            let slots: Vec<u32> = clients.keys().copied().collect();
            let any = slots.get(random.below(slots.len().max(1))).copied();
            match (random.below(6), any) {
                (0 | 1, _) if clients.len() < CLIENTS_MAX => {
                    let (mut stream, slot) = fixture.client();
                    numbers += 1;
                    stream.write_all(&numbers.to_be_bytes()).unwrap();
                    let known = clients.insert(slot, Client { stream, number: numbers });
                    assert!(known.is_none(), "{}: slot {slot} was given twice", fixture.name);
                }
                (2, Some(slot)) => {
                    let number = clients[&slot].number.to_be_bytes();
                    clients.get_mut(&slot).unwrap().stream.write_all(&number).unwrap();
                }
                (3, Some(slot)) => {
                    let number = clients[&slot].number;
                    fixture.send(slot, number.to_be_bytes().to_vec());
                    fixture.turn(Duration::ZERO);
                }
                (4, Some(slot)) => {
                    // By us, with the client's own bytes perhaps unread.
                    let Client { mut stream, number } = clients.remove(&slot).unwrap();
                    fixture.send(slot, number.to_be_bytes().to_vec());
                    fixture.driver.close(slot);
                    fixture.until_closed(slot);
                    let mut received = Vec::new();
                    // A reset may have overtaken what was sent last.
                    let _ = stream.read_to_end(&mut received);
                    for word in received.chunks_exact(4) {
                        assert_eq!(word, number.to_be_bytes(), "{}", fixture.name);
                    }
                }
                (5, Some(slot)) => {
                    let client = clients.remove(&slot).unwrap();
                    if random.below(2) == 0 {
                        reset_on_drop(&client.stream);
                    }
                    drop(client.stream);
                    fixture.hangup(slot);
                    // Its bytes came before, and belong to nobody any more.
                    fixture
                        .seen
                        .retain(|seen| !matches!(seen, Seen::Received(from, _) if *from == slot));
                    fixture.driver.close(slot);
                    fixture.until_closed(slot);
                }
                _ => fixture.turn(Duration::ZERO),
            }
            for seen in fixture.seen.drain(..) {
                let Seen::Received(slot, bytes) = seen else {
                    panic!("{}: {seen:?}", fixture.name)
                };
                // Whoever was closed by us may have been heard just before.
                let Some(client) = clients.get(&slot) else { continue };
                for word in bytes.chunks(4) {
                    assert_eq!(word, client.number.to_be_bytes(), "{}", fixture.name);
                }
            }
        }
        assert!(numbers as usize > CLIENTS_MAX, "{}: no slot was used twice", fixture.name);
    });
}
