//! One lent frame goes to many connections. All of them receive it, the shard hears nothing, and on
//! a ring the kernel posts nothing.

mod support;

use std::io::Read;
use std::time::Duration;
use support::on_every_driver;

#[test]
fn broadcast_send_skips_completions() {
    on_every_driver(|fixture| {
        let mut clients = fixture.clients(300);
        fixture.settle();
        let before = fixture.counter("completions");

        let frame = fixture.driver.lend(bytes::Bytes::from_static(b"to everyone"));
        for (_, slot) in &clients {
            fixture.driver.send(*slot, frame);
        }
        fixture.turn(Duration::ZERO);

        assert_eq!(fixture.counter("completions"), before, "{}", fixture.name);
        for (client, _) in &mut clients {
            let mut received = [0; 11];
            client.read_exact(&mut received).unwrap();
            assert_eq!(&received, b"to everyone", "{}", fixture.name);
        }
        fixture.expect_nothing_else();
    });
}
