//! A client that breaks a rule in the middle of a flood is told so: the shard reads on until the client has hung up.

use crate::harness::{Got, Harness, on_every_driver};
use gpusher_proto::wire::Code;
use std::io::Write;

fn the_reason_is_not_lost_in_a_reset(harness: &mut Harness) {
    let mut client = harness.member("flood");
    let mut bystander = harness.member("bystander");
    // A type that clients do not send, and a hundred thousand bytes after it.
    let mut flood = vec![0x45, 1, 0x7f, 0, 0, 0, 0, 0];
    flood.resize(100_000, 0x45);
    let mut sent = 0;
    let got = harness.until(|_| {
        while sent < flood.len() {
            match client.stream.write(&flood[sent..]) {
                Ok(written) => sent += written,
                Err(_) => break,
            }
        }
        client.try_next()
    });
    assert_eq!(got, Got::Close(Code::UnexpectedFrame.number()));
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(harness.next(&mut client), Got::End);
    assert_eq!(bystander.try_next(), None, "it is still there");
}

on_every_driver!(the_reason_is_not_lost_in_a_reset);
