//! NATS, its client protocol as far as subscribing and publishing need it: lines of text, payloads behind their length
//! (docs.nats.io, "Client Protocol"). Core NATS keeps nothing: kept pushes are published like any other.
//!
//! An app is a subject named by its tag; everyone is the same subject, as there is one app; users and topics are subjects below it.

use super::{Broken, CHANNELS, Heard, Protocol, Push, Pusher, To, Told};
use crate::account::Account;
use crate::message::Stamp;
use bytes::Bytes;
use std::fmt::Write;

const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"rust\",\"version\":\"1\",\"protocol\":1}\r\n";
const PING: &[u8] = b"PING\r\n";
const PONG: &[u8] = b"PONG\r\n";
/// Longer than any line of the server; INFO is the longest.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Longer than any payload of a default server.
const PAYLOAD_BYTES_MAX: usize = 8 << 20;
/// Requests on the way at once: each is answered, so that this bounds what waits in the server.
const UNANSWERED_MAX: u32 = 16;

/// What the server says.
#[derive(Debug, PartialEq, Eq)]
enum Said<'a> {
    Message(&'a [u8]),
    Ping,
    Pong,
    Error,
    /// INFO, +OK: nothing that is acted on.
    Other,
}

/// The first whole operation of some bytes, and its length.
fn first(bytes: &[u8]) -> Result<Option<(Said<'_>, usize)>, Broken> {
    let searched = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = searched.iter().position(|byte| *byte == b'\n') else {
        return if bytes.len() >= LINE_BYTES_MAX { Err(Broken) } else { Ok(None) };
    };
    let line = bytes[..end].strip_suffix(b"\r").ok_or(Broken)?;
    let begin = end + 1;
    if let Some(arguments) = line.strip_prefix(b"MSG ") {
        let payload_bytes = payload_bytes(arguments)?;
        let after = begin + payload_bytes + 2;
        let Some(payload) = bytes.get(begin..after) else { return Ok(None) };
        let payload = payload.strip_suffix(b"\r\n").ok_or(Broken)?;
        return Ok(Some((Said::Message(payload), after)));
    }
    let said = match line.split(|byte| *byte == b' ').next() {
        Some(b"PING") => Said::Ping,
        Some(b"PONG") => Said::Pong,
        Some(b"-ERR") => Said::Error,
        Some(b"INFO" | b"+OK") => Said::Other,
        _ => return Err(Broken),
    };
    Ok(Some((said, begin)))
}

/// The last of `<subject> <sid> [reply-to] <bytes>`.
fn payload_bytes(arguments: &[u8]) -> Result<usize, Broken> {
    let digits = arguments.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    number.filter(|bytes| *bytes <= PAYLOAD_BYTES_MAX).ok_or(Broken)
}

fn put_subject(account: &Account, to: To, out: &mut String) {
    out.push_str(&account.tag);
    match to {
        To::App | To::Everyone => {}
        To::User(index) => {
            out.push_str(".user.");
            account.push_user(index, out);
        }
        To::Topic(topic) => {
            out.push_str(".topic.");
            account.push_topic(topic, out);
        }
    }
}

/// A client: subscribed to its app, to itself, and to its topic.
#[derive(Debug)]
pub(super) struct Nats {
    account: Account,
}

impl Nats {
    pub(super) fn new(account: &Account) -> Self {
        Self { account: account.clone() }
    }
}

impl Protocol for Nats {
    const CAN_PUBLISH: bool = false;

    /// The server answers the PING when it has taken the subscriptions before it.
    fn log_in(&mut self, index: u32, out: &mut Vec<u8>) {
        let mut text = CONNECT.to_owned();
        let topic = self.account.topic_of(index).map(To::Topic);
        let subjects = [Some(To::App), Some(To::User(index)), topic];
        for (number, to) in subjects.into_iter().flatten().enumerate() {
            text.push_str("SUB ");
            put_subject(&self.account, to, &mut text);
            write!(text, " {}\r\n", number + 1).expect("a string takes all");
        }
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(PING);
    }

    fn read(
        &mut self,
        _index: u32,
        bytes: &[u8],
        heard: &mut impl FnMut(Heard),
    ) -> Result<usize, Broken> {
        let mut used = 0;
        while let Some((said, bytes_taken)) = first(&bytes[used..])? {
            used += bytes_taken;
            match said {
                Said::Message(payload) => {
                    if let Some(stamp) = Stamp::parse(payload) {
                        heard(Heard::Message { stamp, sequence: 0 });
                    }
                }
                Said::Ping => heard(Heard::Reply(Bytes::from_static(PONG))),
                Said::Pong => heard(Heard::Welcome),
                Said::Error => heard(Heard::End),
                Said::Other => {}
            }
        }
        Ok(used)
    }

    fn heartbeat(&self) -> Option<Bytes> {
        Some(Bytes::from_static(PING))
    }

    fn acknowledge(&self, _highest: &[u64; CHANNELS], _out: &mut Vec<u8>) {}

    fn publish(&mut self, _index: u32, _content: &str, _out: &mut Vec<u8>) {
        unreachable!("these clients do not publish")
    }
}

/// Publishes over connections of its own. A request is its publications and a PING, whose PONG says that they were taken.
#[derive(Debug)]
pub(super) struct NatsPusher {
    account: Account,
    subject: String,
    content: String,
}

impl NatsPusher {
    pub(super) fn new(account: &Account) -> Self {
        Self { account: account.clone(), subject: String::new(), content: String::new() }
    }
}

impl Pusher for NatsPusher {
    fn greet(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(CONNECT.as_bytes());
    }

    fn request(&mut self, pushes: &[Push], out: &mut Vec<u8>) {
        for push in pushes {
            self.subject.clear();
            put_subject(&self.account, push.to, &mut self.subject);
            self.content.clear();
            push.stamp.write(push.size, &mut self.content);
            let Self { subject, content, .. } = &*self;
            let line = format_args!("PUB {subject} {}\r\n{content}\r\n", content.len());
            std::io::Write::write_fmt(out, line).expect("a vector takes all");
        }
        out.extend_from_slice(PING);
    }

    fn read(&mut self, bytes: &[u8], told: &mut dyn FnMut(Told)) -> Result<usize, Broken> {
        let mut used = 0;
        while let Some((said, bytes_taken)) = first(&bytes[used..])? {
            used += bytes_taken;
            match said {
                Said::Ping => told(Told::Reply(Bytes::from_static(PONG))),
                Said::Pong => told(Told::Answer { accepted: u32::MAX }),
                Said::Error => return Err(Broken),
                Said::Message(_) | Said::Other => {}
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
    fn subscribes_and_asks_for_an_answer() {
        let mut out = Vec::new();
        Nats::new(&account(2)).log_in(3, &mut out);
        let text = String::from_utf8(out).unwrap();
        let after = text.strip_prefix(CONNECT).unwrap();
        assert_eq!(
            after,
            "SUB app 1\r\nSUB app.user.u00000003 2\r\nSUB app.topic.u-topic-1 3\r\nPING\r\n"
        );
    }

    #[test]
    fn server_is_understood_at_any_cut() {
        let text = b"INFO {\"server_id\":\"x y\"} \r\nPONG\r\nMSG app 1 9\r\ngp 1 2 3 \r\nPING\r\n\
            MSG app.user.u 2 reply 5\r\nother\r\n+OK\r\nMSG app 1 0\r\n\r\n-ERR 'Stale Connection'\r\n";
        let expected = [
            Heard::Welcome,
            Heard::Message { stamp: stamp(2), sequence: 0 },
            Heard::Reply(Bytes::from_static(PONG)),
            Heard::End,
        ];
        heard_at_any_cut(&mut Nats::new(&account(0)), text, &expected);
    }

    #[test]
    fn publishes_and_reads_what_was_taken() {
        let mut pusher = NatsPusher::new(&account(0));
        let mut out = Vec::new();
        pusher.request(&[push(To::App, 2, false), push(To::User(7), 2, false)], &mut out);
        assert_eq!(
            out,
            b"PUB app 9\r\ngp 1 2 3 \r\nPUB app.user.u00000007 9\r\ngp 1 2 3 \r\nPING\r\n"
        );
        let answers = b"INFO {}\r\nPONG\r\nPING\r\nPONG\r\n";
        let all = || Told::Answer { accepted: u32::MAX };
        let expected = [all(), Told::Reply(Bytes::from_static(PONG)), all()];
        told_at_any_cut(&mut pusher, answers, &expected);
        assert_eq!(pusher.read(b"-ERR 'Permissions'\r\n", &mut |_| {}), Err(Broken));
    }

    #[test]
    fn what_is_not_nats_is_refused() {
        let long = vec![b'x'; LINE_BYTES_MAX];
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"PONG\n",
            b"MSG app 1 x\r\n",
            b"MSG app 1 99999999999999999999\r\n",
            b"MSG app 1 2\r\nabcd",
            &long,
        ] {
            assert_eq!(first(bytes), Err(Broken), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
