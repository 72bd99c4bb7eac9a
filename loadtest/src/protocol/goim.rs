//! goim's own protocol over TCP: packets with a header of 16 bytes (its docs/proto.md). Its logic takes pushes over HTTP, one in a
//! request; nothing is kept for who is not connected.
//!
//! An app is an operation that all clients accept, and everyone is the same; a topic is a room; a user is a `mid`.

use super::http::Answers;
use super::{Broken, CHANNELS, Heard, Protocol, Push, Pusher, PusherOptions, To, Told};
use crate::account::Account;
use crate::message::Stamp;
use bytes::Bytes;
use std::fmt::Write;

/// Operations of packets.
mod operation {
    pub(super) const HEARTBEAT: u32 = 2;
    pub(super) const HEARTBEAT_REPLY: u32 = 3;
    pub(super) const AUTH: u32 = 7;
    pub(super) const AUTH_REPLY: u32 = 8;
    /// Packets in a packet.
    pub(super) const RAW: u32 = 9;
    /// The first that pushes may have; theirs.
    pub(super) const PUSH: u32 = 1000;
}

const HEADER_BYTES: usize = 16;
/// A body has at most 4 KiB, and a raw packet twenty of them.
const PACKET_BYTES_MAX: usize = 1 << 20;

/// A whole packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Packet<'a> {
    operation: u32,
    body: &'a [u8],
}

/// The first whole packet of some bytes, and its length.
fn first(bytes: &[u8]) -> Result<Option<(Packet<'_>, usize)>, Broken> {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|byte| header[at + byte]));
    let (packet_bytes, header_bytes) = (word(0) as usize, word(4) >> 16);
    if !(HEADER_BYTES..=PACKET_BYTES_MAX).contains(&packet_bytes) || header_bytes != 16 {
        return Err(Broken);
    }
    let body = bytes.get(HEADER_BYTES..packet_bytes);
    Ok(body.map(|body| (Packet { operation: word(8), body }, packet_bytes)))
}

/// Appends a packet of version 1.
fn put_packet(operation: u32, sequence: u32, body: &[u8], out: &mut Vec<u8>) {
    let bytes = u32::try_from(HEADER_BYTES + body.len()).expect("bodies are short");
    for word in [bytes, 16 << 16 | 1, operation, sequence] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(body);
}

/// A user's number: 0 is nobody's.
fn mid(index: u32) -> u64 {
    u64::from(index) + 1
}

/// A client: it accepts pushes, and is in the room of its topic.
#[derive(Debug)]
pub(super) struct Goim {
    account: Account,
}

impl Goim {
    pub(super) fn new(account: &Account) -> Self {
        Self { account: account.clone() }
    }
}

fn hear(bytes: &[u8], heard: &mut impl FnMut(Heard)) -> Result<usize, Broken> {
    let mut used = 0;
    while let Some((packet, bytes_taken)) = first(&bytes[used..])? {
        used += bytes_taken;
        match packet.operation {
            operation::PUSH => {
                if let Some(stamp) = Stamp::parse(packet.body) {
                    heard(Heard::Message { stamp, sequence: 0 });
                }
            }
            operation::RAW => hear_raw(packet.body, heard)?,
            operation::AUTH_REPLY => heard(Heard::Welcome),
            operation::HEARTBEAT_REPLY => {}
            _ => return Err(Broken),
        }
    }
    Ok(used)
}

/// Several pushes in one packet; a raw packet is not in another.
fn hear_raw(body: &[u8], heard: &mut impl FnMut(Heard)) -> Result<(), Broken> {
    let mut used = 0;
    while let Some((packet, bytes_taken)) = first(&body[used..])? {
        used += bytes_taken;
        if let (operation::PUSH, Some(stamp)) = (packet.operation, Stamp::parse(packet.body)) {
            heard(Heard::Message { stamp, sequence: 0 });
        }
    }
    if used == body.len() { Ok(()) } else { Err(Broken) }
}

impl Protocol for Goim {
    const CAN_PUBLISH: bool = false;

    fn log_in(&mut self, index: u32, out: &mut Vec<u8>) {
        let (mut key, mut room) = (String::new(), String::new());
        self.account.push_user(index, &mut key);
        if let Some(topic) = self.account.topic_of(index) {
            room.push_str("topic://");
            self.account.push_topic(topic, &mut room);
        }
        let token = format!(
            r#"{{"mid":{},"key":"{key}","room_id":"{room}","platform":"linux","accepts":[{}]}}"#,
            mid(index),
            operation::PUSH
        );
        put_packet(operation::AUTH, 1, token.as_bytes(), out);
    }

    fn read(
        &mut self,
        _index: u32,
        bytes: &[u8],
        heard: &mut impl FnMut(Heard),
    ) -> Result<usize, Broken> {
        hear(bytes, heard)
    }

    fn heartbeat(&self) -> Option<Bytes> {
        let mut out = Vec::new();
        put_packet(operation::HEARTBEAT, 2, &[], &mut out);
        Some(out.into())
    }

    fn acknowledge(&self, _highest: &[u64; CHANNELS], _out: &mut Vec<u8>) {}

    fn publish(&mut self, _index: u32, _content: &str, _out: &mut Vec<u8>) {
        unreachable!("these clients do not publish")
    }
}

/// Pushes by logic's HTTP API, which has no batches.
#[derive(Debug)]
pub(super) struct GoimPusher {
    account: Account,
    host: String,
    path: String,
    content: String,
}

impl GoimPusher {
    pub(super) fn new(account: &Account, options: &PusherOptions) -> Self {
        let (path, content) = (String::new(), String::new());
        Self { account: account.clone(), host: options.host.clone(), path, content }
    }

    fn put_path(&mut self, to: To) {
        let Self { account, path, .. } = self;
        path.clear();
        path.push_str("/goim/push/");
        match to {
            To::App | To::Everyone => path.push_str("all?"),
            To::User(index) => write!(path, "mids?mids={}&", mid(index)).expect("takes all"),
            To::Topic(topic) => {
                path.push_str("room?type=topic&room=");
                account.push_topic(topic, path);
                path.push('&');
            }
        }
        write!(path, "operation={}", operation::PUSH).expect("a string takes all");
    }
}

impl Pusher for GoimPusher {
    fn greet(&mut self, _out: &mut Vec<u8>) {}

    fn request(&mut self, pushes: &[Push], out: &mut Vec<u8>) {
        let [push] = pushes else { panic!("goim takes one push in a request") };
        self.put_path(push.to);
        self.content.clear();
        push.stamp.write(push.size, &mut self.content);
        let Self { host, path, content, .. } = &*self;
        let request = format_args!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{content}",
            content.len()
        );
        std::io::Write::write_fmt(out, request).expect("a vector takes all");
    }

    /// Errors come with status 200 and a code in the body.
    fn read(&mut self, bytes: &[u8], told: &mut dyn FnMut(Told)) -> Result<usize, Broken> {
        let mut answers = Answers::new(bytes);
        while let Some(answer) = answers.next_answer()? {
            let good = answer.is_success() && answer.body.starts_with(b"{\"code\":0,");
            told(Told::Answer { accepted: u32::from(good) });
        }
        Ok(answers.used)
    }

    fn unanswered_max(&self) -> Option<u32> {
        Some(1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{account, heard_at_any_cut, push, stamp, told_at_any_cut};
    use super::*;

    fn packet(operation: u32, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_packet(operation, 0, body, &mut out);
        out
    }

    #[test]
    fn logs_in_with_a_room() {
        let mut out = Vec::new();
        Goim::new(&account(2)).log_in(3, &mut out);
        assert_eq!(&out[..16], b"\0\0\0\x6d\0\x10\0\x01\0\0\0\x07\0\0\0\x01");
        assert_eq!(
            std::str::from_utf8(&out[16..]).unwrap(),
            r#"{"mid":4,"key":"u00000003","room_id":"topic://u-topic-1","platform":"linux","accepts":[1000]}"#
        );
    }

    #[test]
    fn server_is_understood_at_any_cut() {
        let message = packet(operation::PUSH, b"gp 1 2 3 ");
        let bytes = [
            packet(operation::AUTH_REPLY, b""),
            packet(operation::HEARTBEAT_REPLY, &[0, 0, 0, 1]),
            message.clone(),
            packet(operation::PUSH, b"of somebody else"),
            packet(operation::RAW, &[&message[..], &message].concat()),
        ]
        .concat();
        let message = || Heard::Message { stamp: stamp(2), sequence: 0 };
        let expected = [Heard::Welcome, message(), message(), message()];
        heard_at_any_cut(&mut Goim::new(&account(0)), &bytes, &expected);
    }

    #[test]
    fn pushes_and_reads_what_was_taken() {
        let options =
            PusherOptions { host: "h:1".to_owned(), batch: 1, ..PusherOptions::default() };
        let mut pusher = GoimPusher::new(&account(2), &options);
        for (to, query) in [
            (To::App, "all?operation=1000"),
            (To::User(7), "mids?mids=8&operation=1000"),
            (To::Topic(1), "room?type=topic&room=u-topic-1&operation=1000"),
        ] {
            let mut out = Vec::new();
            pusher.request(&[push(to, 2, false)], &mut out);
            let text = String::from_utf8(out).unwrap();
            let head = "HTTP/1.1\r\nHost: h:1\r\nContent-Length: 9\r\n\r\ngp 1 2 3 ";
            assert_eq!(text, format!("POST /goim/push/{query} {head}"));
        }
        let answers = b"HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n{\"code\":0,\"message\":\"\"}\
            HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n{\"code\":-500,\"message\":1}";
        let expected = [Told::Answer { accepted: 1 }, Told::Answer { accepted: 0 }];
        told_at_any_cut(&mut pusher, answers, &expected);
    }

    #[test]
    fn what_is_not_goim_is_refused() {
        let mut long_header = packet(operation::PUSH, b"");
        long_header[5] = 17;
        let mut huge = packet(operation::PUSH, b"");
        huge[0] = 1;
        let half_inside = packet(operation::RAW, &packet(operation::PUSH, b"gp 1 2 3 ")[..20]);
        let mut client = Goim::new(&account(0));
        for bytes in [long_header, huge, half_inside, packet(99, b""), vec![0; 16]] {
            assert_eq!(client.read(0, &bytes, &mut |_| {}), Err(Broken), "{bytes:?}");
        }
    }
}
