//! Descriptors run out while clients wait to be accepted. The shard is told, connections that are
//! open work on, and when there are descriptors again and the shard says so, accepting goes on with
//! those who waited.

mod support;

use gpusher_sys::limits::{descriptor_limit, set_descriptor_limit};
use gpusher_sys::socket::ListenOptions;
use gpusher_sys::uring::{Descriptors, UringOptions};
use std::io::Write;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use support::{DRIVERS, Fixture, Seen};

/// Descriptors left to the driver, whichever kind it uses.
const LEFT: u32 = 5;

#[test]
fn accept_survives_emfile() {
    for name in DRIVERS {
        let descriptors = Descriptors::Direct { table: LEFT };
        let options = UringOptions { descriptors, ..UringOptions::default() };
        let mut fixture = Fixture::new(name, &ListenOptions::default(), &options);
        let mut clients: Vec<_> =
            (0..10).map(|_| TcpStream::connect(fixture.address).unwrap()).collect();
        let limit = descriptor_limit().unwrap().soft;
        if !name.starts_with("uring ") {
            let next = TcpStream::connect(fixture.address).unwrap().as_raw_fd();
            set_descriptor_limit(next as u64 + u64::from(LEFT)).unwrap();
        }

        let errno = fixture.until(|seen| match seen {
            Seen::AcceptFailed(errno) => Some(*errno),
            _ => None,
        });
        assert!([libc::EMFILE, libc::ENFILE].contains(&errno), "{name}: {errno}");
        let slots = opened(&mut fixture);
        assert_eq!(slots.len(), LEFT as usize, "{name}");
        for client in &mut clients[..LEFT as usize] {
            client.write_all(b"x").unwrap();
        }
        for slot in &slots {
            fixture.receive(*slot, 1);
        }

        set_descriptor_limit(limit).unwrap();
        for slot in slots {
            fixture.driver.close(slot);
            fixture.until_closed(slot);
        }
        fixture.seen.clear();
        fixture.driver.accept();
        let waited = &mut clients[LEFT as usize..];
        for client in waited.iter_mut() {
            client.write_all(b"x").unwrap();
        }
        for _ in waited {
            let slot = fixture.until(|seen| match seen {
                Seen::Opened(slot) => Some(*slot),
                _ => None,
            });
            fixture.receive(slot, 1);
            assert!(slot < 16, "{name}: slots were given back");
        }
    }
}

fn opened(fixture: &mut Fixture) -> Vec<u32> {
    let slots = fixture.seen.iter().filter_map(|seen| match seen {
        Seen::Opened(slot) => Some(*slot),
        _ => None,
    });
    let slots = slots.collect();
    fixture.seen.retain(|seen| !matches!(seen, Seen::Opened(_)));
    slots
}
