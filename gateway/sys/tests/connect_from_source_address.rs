//! A load generator connects from an address of its choice, with a port of the kernel's choice or
//! its own. A port where nobody listens is a hangup.

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use support::{PATIENCE, Seen, on_every_driver};

#[test]
fn connect_from_source_address() {
    on_every_driver(|fixture| {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(to) = server.local_addr().unwrap() else { unreachable!() };
        let source = Ipv4Addr::new(127, 0, 0, 77);
        for own in [None, Some(SocketAddrV4::new(source, 0)), Some(SocketAddrV4::new(source, 0))] {
            let slot = fixture.free_slot();
            fixture.driver.connect(slot, own, to).unwrap();
            fixture.until(|seen| (*seen == Seen::Connected(slot)).then_some(()));
            let (mut peer, from) = server.accept().unwrap();
            peer.set_read_timeout(Some(PATIENCE)).unwrap();
            let expected = own.map_or(Ipv4Addr::LOCALHOST, |_| source);
            assert_eq!(from.ip(), expected, "{}", fixture.name);

            fixture.send(slot, "ping");
            fixture.settle();
            let mut received = [0; 4];
            peer.read_exact(&mut received).unwrap();
            peer.write_all(&received).unwrap();
            assert_eq!(fixture.receive(slot, 4), b"ping", "{}", fixture.name);
            fixture.driver.close(slot);
            fixture.until_closed(slot);
            assert_eq!(peer.read(&mut received).unwrap(), 0, "{}", fixture.name);
        }

        drop(server);
        let slot = fixture.free_slot();
        fixture.driver.connect(slot, None, to).unwrap();
        assert_eq!(fixture.hangup(slot), libc::ECONNREFUSED, "{}", fixture.name);
        fixture.driver.close(slot);
        fixture.until_closed(slot);

        let elsewhere = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 0);
        assert!(fixture.driver.connect(slot, Some(elsewhere), to).is_err(), "{}", fixture.name);
        fixture.expect_nothing_else();
    });
}
