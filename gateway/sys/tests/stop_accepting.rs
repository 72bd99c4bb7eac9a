//! A listener that has stopped refuses; connections it accepted before work on; asking it to accept
//! again does nothing.

mod support;

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use support::on_every_driver;

#[test]
fn stop_accepting() {
    on_every_driver(|fixture| {
        let (mut client, slot) = fixture.client();
        fixture.driver.stop_accepting();
        fixture.settle();
        fixture.driver.accept();
        fixture.settle();
        let refused = TcpStream::connect(fixture.address).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{}", fixture.name);

        client.write_all(b"still here").unwrap();
        assert_eq!(fixture.receive(slot, 10), b"still here", "{}", fixture.name);
        fixture.expect_nothing_else();
    });
}
