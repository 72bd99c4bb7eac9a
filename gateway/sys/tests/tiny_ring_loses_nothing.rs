//! A ring with four submissions, eight completions and one scratch buffer serves 300 connections:
//! every queue overflows, nothing is lost.

mod support;

use bytes::Bytes;
use gpusher_sys::uring::UringOptions;
use std::io::{Read, Write};
use support::{Seen, on_every_driver_with, small_buffers};

const CLIENTS: usize = 300;

#[test]
fn tiny_ring_loses_nothing() {
    let tiny = UringOptions {
        sq_entries: 4,
        cq_entries: 8,
        scratch_buffers: 1,
        ..UringOptions::default()
    };
    on_every_driver_with(&small_buffers(), &tiny, |fixture| {
        let mut clients = fixture.clients(CLIENTS);
        for (client, slot) in &mut clients {
            client.write_all(&slot.to_be_bytes()).unwrap();
        }
        for (_, slot) in &clients {
            assert_eq!(fixture.receive(*slot, 4), slot.to_be_bytes(), "{}", fixture.name);
        }

        // More than their sockets take: each is reported short.
        let large = Bytes::from(vec![7; 4 << 20]);
        let frame = fixture.driver.lend(large.clone());
        for (_, slot) in &clients {
            fixture.driver.send(*slot, frame);
        }
        let mut written: Vec<usize> = clients
            .iter()
            .map(|(_, slot)| {
                fixture.until(|seen| match seen {
                    Seen::Short(from, _, taken) if from == slot => Some(*taken as usize),
                    _ => None,
                })
            })
            .collect();
        // More flushes in one turn than there are records for.
        for (_, slot) in &clients {
            fixture.driver.flush(*slot, &mut std::iter::repeat_n(large.clone(), 3));
        }
        for ((_, slot), written) in clients.iter().zip(&mut written) {
            *written += fixture.until(|seen| match seen {
                Seen::Flushed(from, taken) if from == slot => Some(*taken as usize),
                _ => None,
            });
        }

        for (_, slot) in &clients {
            fixture.driver.close(*slot);
        }
        for (_, slot) in &clients {
            fixture.until_closed(*slot);
        }
        for ((client, _), written) in clients.iter_mut().zip(&written) {
            let mut received = Vec::new();
            client.read_to_end(&mut received).unwrap();
            assert_eq!(received.len(), *written, "{}", fixture.name);
        }
        if fixture.name != "epoll" {
            assert!(fixture.counter("submissions_full") > 0);
            assert!(fixture.counter("scratch_exhausted") > 0);
            assert!(fixture.counter("completion_overflows") > 0);
        }
        fixture.expect_nothing_else();
    });
}
