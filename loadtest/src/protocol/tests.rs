//! What the tests of all protocols do.

use super::{Heard, Protocol, Push, Pusher, To, Told};
use crate::account::{Account, Token};
use crate::message::Stamp;

pub(super) fn account(topics: u32) -> Account {
    Account {
        app_id: 1,
        tag: "app".to_owned(),
        user_prefix: "u".to_owned(),
        token: Token::Any,
        topics,
    }
}

/// `gp 1 <number> 3 ` as content.
pub(super) fn stamp(number: u32) -> Stamp {
    Stamp { series: 1, number, intended_ns: 3 }
}

pub(super) fn push(to: To, number: u32, kept: bool) -> Push {
    Push { to, stamp: stamp(number), size: 0, kept }
}

/// The client hears the same wherever the stream is cut in two, and takes all of it.
pub(super) fn heard_at_any_cut(client: &mut impl Protocol, bytes: &[u8], expected: &[Heard]) {
    for cut in 0..=bytes.len() {
        let mut heard = Vec::new();
        let used = client.read(0, &bytes[..cut], &mut |said| heard.push(said)).unwrap();
        assert!(used <= cut);
        let rest = client.read(0, &bytes[used..], &mut |said| heard.push(said)).unwrap();
        assert_eq!(used + rest, bytes.len(), "cut at {cut}");
        assert_eq!(heard, expected, "cut at {cut}");
    }
}

/// The same of who pushes.
pub(super) fn told_at_any_cut(pusher: &mut impl Pusher, bytes: &[u8], expected: &[Told]) {
    for cut in 0..=bytes.len() {
        let mut all = Vec::new();
        let used = pusher.read(&bytes[..cut], &mut |told| all.push(told)).unwrap();
        assert!(used <= cut);
        let rest = pusher.read(&bytes[used..], &mut |told| all.push(told)).unwrap();
        assert_eq!(used + rest, bytes.len(), "cut at {cut}");
        assert_eq!(all, expected, "cut at {cut}");
    }
}
