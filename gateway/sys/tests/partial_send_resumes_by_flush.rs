//! A socket is full; the rest is flushed in pieces of random number and length, each time after the
//! socket has room again, to a client that reads random amounts. Every byte arrives once and in
//! order.

mod support;

use bytes::Bytes;
use gpusher_sys::driver::FLUSH_PIECES_MAX;
use gpusher_sys::uring::UringOptions;
use std::io::Read;
use std::thread;
use support::{Random, Seen, on_every_driver_with, pattern, small_buffers};

const BYTES_IN_ALL: usize = 1_000_000;

#[test]
fn partial_send_resumes_by_flush() {
    on_every_driver_with(&small_buffers(), &UringOptions::default(), |fixture| {
        let mut random = Random::new();
        let (mut client, slot) = fixture.client();
        let mut written = fixture.fill(slot);
        let mut amounts = Random::new();
        let reader = thread::spawn(move || {
            let mut received = Vec::new();
            let mut buffer = vec![0; 20_000];
            loop {
                let amount = 1 + amounts.below(buffer.len());
                match client.read(&mut buffer[..amount]).unwrap() {
                    0 => return received,
                    count => received.extend_from_slice(&buffer[..count]),
                }
            }
        });

        while written < BYTES_IN_ALL {
            fixture.driver.await_writable(slot);
            fixture.until(|seen| (*seen == Seen::Writable(slot)).then_some(()));
            let mut end = written;
            let pieces: Vec<Bytes> = (0..1 + random.below(FLUSH_PIECES_MAX))
                .map(|_| {
                    let start = end;
                    end += 1 + random.below(5_000);
                    (start..end).map(pattern).collect()
                })
                .collect();
            fixture.driver.flush(slot, &mut pieces.into_iter());
            let taken = fixture.until(|seen| match seen {
                Seen::Flushed(from, taken) if *from == slot => Some(*taken as usize),
                _ => None,
            });
            assert!(taken <= end - written, "{}", fixture.name);
            written += taken;
        }
        fixture.driver.close(slot);
        fixture.until_closed(slot);
        let received = reader.join().unwrap();
        assert_eq!(received.len(), written, "{}", fixture.name);
        assert!(received.iter().enumerate().all(|(offset, byte)| *byte == pattern(offset)));
        fixture.expect_nothing_else();
    });
}
