//! MQTT 3.1.1 (OASIS standard), as far as subscribing and publishing at QoS 0 and 1 need it. Kept pushes are published at QoS 1:
//! each is acknowledged by the broker, and by each client. Sessions are clean: nothing is kept for who is not connected.
//!
//! An app is a topic named by its tag; everyone is the same topic, as there is one app; users and topics are topics below it.

use super::{Broken, CHANNELS, Heard, Protocol, Push, Pusher, To, Told};
use crate::account::Account;
use crate::message::Stamp;
use bytes::Bytes;

/// Control packet types (section 2.2.1), in the upper half of the first byte, with the flags they must have.
mod packet {
    pub(super) const CONNECT: u8 = 0x10;
    pub(super) const CONNACK: u8 = 0x20;
    pub(super) const PUBLISH: u8 = 0x30;
    pub(super) const PUBACK: u8 = 0x40;
    pub(super) const SUBSCRIBE: u8 = 0x82;
    pub(super) const SUBACK: u8 = 0x90;
    pub(super) const PINGREQ: u8 = 0xc0;
    pub(super) const PINGRESP: u8 = 0xd0;
}

const PING: [u8; 2] = [packet::PINGREQ, 0];
/// QoS bits of a PUBLISH, and their value at QoS 1.
const QOS_BITS: u8 = 0x06;
const QOS_1: u8 = 0x02;
/// A subscription was refused (section 3.9.3).
const SUBSCRIPTION_REFUSED: u8 = 0x80;
const CLEAN_SESSION: u8 = 0x02;
/// Longer than the time between two heartbeats of any run.
const KEEP_ALIVE_S: u16 = 3600;
const PACKET_BYTES_MAX: usize = 8 << 20;
/// Requests on the way at once: each is answered, so that this bounds what waits in the broker.
const UNANSWERED_MAX: u32 = 16;

/// A whole packet: first byte and what follows the length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Packet<'a> {
    first: u8,
    body: &'a [u8],
}

/// The first whole packet of some bytes, and its length.
fn first(bytes: &[u8]) -> Result<Option<(Packet<'_>, usize)>, Broken> {
    let (mut body_bytes, mut begin) = (0usize, 1);
    loop {
        let Some(byte) = bytes.get(begin) else { return Ok(None) };
        body_bytes |= usize::from(byte & 0x7f) << (7 * (begin - 1));
        begin += 1;
        if byte & 0x80 == 0 {
            break;
        }
        if begin > 4 {
            return Err(Broken);
        }
    }
    if body_bytes > PACKET_BYTES_MAX {
        return Err(Broken);
    }
    let end = begin + body_bytes;
    let body = bytes.get(begin..end);
    Ok(body.map(|body| (Packet { first: bytes[0], body }, end)))
}

impl<'a> Packet<'a> {
    fn kind(self) -> u8 {
        self.first & 0xf0
    }

    /// Identifier (of QoS 1) and payload of a PUBLISH.
    fn publication(self) -> Result<(Option<[u8; 2]>, &'a [u8]), Broken> {
        let (topic_bytes, rest) = self.body.split_first_chunk().ok_or(Broken)?;
        let payload = rest.get(usize::from(u16::from_be_bytes(*topic_bytes))..).ok_or(Broken)?;
        match self.first & QOS_BITS {
            0 => Ok((None, payload)),
            QOS_1 => {
                let (id, payload) = payload.split_first_chunk().ok_or(Broken)?;
                Ok((Some(*id), payload))
            }
            _ => Err(Broken),
        }
    }
}

/// Appends a packet with this body.
fn put_packet(first: u8, body: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    let mut left = body.len();
    while left >= 0x80 {
        out.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
    out.extend_from_slice(body);
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    let bytes = u16::try_from(text.len()).expect("names are short");
    out.extend_from_slice(&bytes.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn connect(client_id: &str) -> Vec<u8> {
    let mut body = Vec::new();
    put_text("MQTT", &mut body);
    body.extend_from_slice(&[4, CLEAN_SESSION]);
    body.extend_from_slice(&KEEP_ALIVE_S.to_be_bytes());
    put_text(client_id, &mut body);
    let mut out = Vec::new();
    put_packet(packet::CONNECT, &body, &mut out);
    out
}

fn topic(account: &Account, to: To) -> String {
    let mut name = account.tag.clone();
    match to {
        To::App | To::Everyone => {}
        To::User(index) => {
            name.push_str("/user/");
            account.push_user(index, &mut name);
        }
        To::Topic(topic) => {
            name.push_str("/topic/");
            account.push_topic(topic, &mut name);
        }
    }
    name
}

/// A client: subscribed at QoS 1 to its app, to itself, and to its topic, so that each message comes at the QoS it was published with.
#[derive(Debug)]
pub(super) struct Mqtt {
    account: Account,
}

impl Mqtt {
    pub(super) fn new(account: &Account) -> Self {
        Self { account: account.clone() }
    }
}

fn hear(packet: Packet<'_>, heard: &mut impl FnMut(Heard)) -> Result<(), Broken> {
    match packet.kind() {
        packet::PUBLISH => {
            let (id, payload) = packet.publication()?;
            if let Some([high, low]) = id {
                heard(Heard::Reply(Bytes::copy_from_slice(&[packet::PUBACK, 2, high, low])));
            }
            if let Some(stamp) = Stamp::parse(payload) {
                heard(Heard::Message { stamp, sequence: 0 });
            }
        }
        packet::SUBACK => {
            let codes = packet.body.get(2..).ok_or(Broken)?;
            let refused = codes.contains(&SUBSCRIPTION_REFUSED);
            heard(if refused { Heard::End } else { Heard::Welcome });
        }
        packet::CONNACK if packet.body != [0, 0] => heard(Heard::End),
        packet::CONNACK | packet::PINGRESP => {}
        _ => return Err(Broken),
    }
    Ok(())
}

impl Protocol for Mqtt {
    const CAN_PUBLISH: bool = false;

    /// A client need not wait for CONNACK (section 3.1.4).
    fn log_in(&mut self, index: u32, out: &mut Vec<u8>) {
        let mut user = String::new();
        self.account.push_user(index, &mut user);
        out.extend(connect(&user));
        let mut body = vec![0, 1];
        let joined = self.account.topic_of(index).map(To::Topic);
        for to in [Some(To::App), Some(To::User(index)), joined].into_iter().flatten() {
            put_text(&topic(&self.account, to), &mut body);
            body.push(1);
        }
        put_packet(packet::SUBSCRIBE, &body, out);
    }

    fn read(
        &mut self,
        _index: u32,
        bytes: &[u8],
        heard: &mut impl FnMut(Heard),
    ) -> Result<usize, Broken> {
        let mut used = 0;
        while let Some((packet, bytes_taken)) = first(&bytes[used..])? {
            used += bytes_taken;
            hear(packet, heard)?;
        }
        Ok(used)
    }

    fn heartbeat(&self) -> Option<Bytes> {
        Some(Bytes::from_static(&PING))
    }

    fn acknowledge(&self, _highest: &[u64; CHANNELS], _out: &mut Vec<u8>) {}

    fn publish(&mut self, _index: u32, _content: &str, _out: &mut Vec<u8>) {
        unreachable!("these clients do not publish")
    }
}

/// Publishes over connections of its own. A request is its publications and a PINGREQ, whose answer says that they were taken; at
/// QoS 1 each was acknowledged before.
#[derive(Debug)]
pub(super) struct MqttPusher {
    account: Account,
    client_id: String,
    connections: u32,
    /// Identifier of the next PUBLISH: never 0.
    id: u16,
    content: String,
    body: Vec<u8>,
}

impl MqttPusher {
    pub(super) fn new(account: &Account) -> Self {
        Self {
            account: account.clone(),
            client_id: format!("{}-push", account.user_prefix),
            connections: 0,
            id: 1,
            content: String::new(),
            body: Vec::new(),
        }
    }
}

impl Pusher for MqttPusher {
    fn greet(&mut self, out: &mut Vec<u8>) {
        self.connections += 1;
        out.extend(connect(&format!("{}{}", self.client_id, self.connections)));
    }

    fn request(&mut self, pushes: &[Push], out: &mut Vec<u8>) {
        for push in pushes {
            let Self { account, content, body, id, .. } = &mut *self;
            body.clear();
            put_text(&topic(account, push.to), body);
            if push.kept {
                body.extend_from_slice(&id.to_be_bytes());
                *id = id.checked_add(1).unwrap_or(1);
            }
            content.clear();
            push.stamp.write(push.size, content);
            body.extend_from_slice(content.as_bytes());
            put_packet(packet::PUBLISH | if push.kept { QOS_1 } else { 0 }, body, out);
        }
        out.extend_from_slice(&PING);
    }

    /// Acknowledgements are read together with the answer to the ping behind them: at QoS 1 as many pushes were taken as were
    /// acknowledged; at QoS 0, without any, all were.
    fn read(&mut self, bytes: &[u8], told: &mut dyn FnMut(Told)) -> Result<usize, Broken> {
        let (mut used, mut seen, mut acknowledged) = (0, 0, 0);
        while let Some((packet, bytes_taken)) = first(&bytes[seen..])? {
            seen += bytes_taken;
            match packet.kind() {
                packet::PUBACK => acknowledged += 1,
                packet::PINGRESP => {
                    let accepted = if acknowledged == 0 { u32::MAX } else { acknowledged };
                    told(Told::Answer { accepted });
                    (used, acknowledged) = (seen, 0);
                }
                packet::CONNACK if packet.body == [0, 0] => used = seen,
                _ => return Err(Broken),
            }
        }
        Ok(used)
    }

    fn unanswered_max(&self) -> Option<u32> {
        Some(UNANSWERED_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{account, heard_at_any_cut, push, stamp, told_at_any_cut};
    use super::*;

    #[test]
    fn connects_and_subscribes() {
        let mut out = Vec::new();
        Mqtt::new(&account(2)).log_in(3, &mut out);
        let (connect, bytes) = first(&out).unwrap().unwrap();
        assert_eq!(connect.first, packet::CONNECT);
        assert_eq!(connect.body, b"\0\x04MQTT\x04\x02\x0e\x10\0\x09u00000003");
        let (subscribe, rest) = first(&out[bytes..]).unwrap().unwrap();
        assert_eq!((subscribe.first, bytes + rest), (packet::SUBSCRIBE, out.len()));
        assert_eq!(
            subscribe.body,
            b"\0\x01\0\x03app\x01\0\x12app/user/u00000003\x01\0\x13app/topic/u-topic-1\x01"
        );
    }

    #[test]
    fn broker_is_understood_at_any_cut() {
        let bytes = b"\x20\x02\0\0\x90\x04\0\x01\x01\x01\
            \x30\x0e\0\x03appgp 1 2 3 \x32\x10\0\x03app\x12\x34gp 1 2 3 \xd0\0\x30\x05\0\x03app";
        let message = || Heard::Message { stamp: stamp(2), sequence: 0 };
        let acknowledgement = Heard::Reply(Bytes::from_static(b"\x40\x02\x12\x34"));
        let expected = [Heard::Welcome, message(), acknowledgement, message()];
        heard_at_any_cut(&mut Mqtt::new(&account(0)), bytes, &expected);
        heard_at_any_cut(&mut Mqtt::new(&account(0)), b"\x20\x02\0\x05", &[Heard::End]);
        heard_at_any_cut(&mut Mqtt::new(&account(0)), b"\x90\x03\0\x01\x80", &[Heard::End]);
    }

    #[test]
    fn publishes_and_reads_what_was_taken() {
        let mut pusher = MqttPusher::new(&account(0));
        let mut out = Vec::new();
        pusher.request(&[push(To::App, 2, false)], &mut out);
        assert_eq!(out, b"\x30\x0e\0\x03appgp 1 2 3 \xc0\0");
        out.clear();
        pusher.request(&[push(To::App, 2, true), push(To::App, 2, true)], &mut out);
        let (one, two) = (b"\x32\x10\0\x03app\0\x01gp 1 2 3 ", b"\x32\x10\0\x03app\0\x02gp 1 2 3 ");
        assert_eq!(out, [&one[..], two, &PING].concat());
        let answers = b"\x20\x02\0\0\xd0\0\x40\x02\0\x01\x40\x02\0\x02\xd0\0";
        let expected = [Told::Answer { accepted: u32::MAX }, Told::Answer { accepted: 2 }];
        told_at_any_cut(&mut pusher, answers, &expected);
    }

    #[test]
    fn lengths_of_up_to_four_bytes_come_back() {
        for body_bytes in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152] {
            let body = vec![7; body_bytes];
            let mut out = Vec::new();
            put_packet(packet::PUBLISH, &body, &mut out);
            let whole = Packet { first: packet::PUBLISH, body: &body };
            assert_eq!(first(&out), Ok(Some((whole, out.len()))));
            assert_eq!(first(&out[..out.len() - 1]), Ok(None));
        }
    }

    #[test]
    fn what_is_not_mqtt_is_refused() {
        let mut client = Mqtt::new(&account(0));
        for bytes in [
            &b"\x30\xff\xff\xff\xff\x01"[..],
            b"\x30\xff\xff\xff\x7f",
            b"\x30\x01\0",
            b"\x30\x03\0\x09a",
            b"\x32\x04\0\x01ab",
            b"\x34\x06\0\x01a\0\x01b",
            b"\x90\x01\0",
            b"\xf0\0",
        ] {
            assert_eq!(client.read(0, bytes, &mut |_| {}), Err(Broken), "{bytes:?}");
        }
    }
}
