//! A whole conversation of each version, cut into two segments at every byte, and sent byte by byte: the same events and the same replies as in one
//! piece, and nothing is held at the end.

mod support;

use gpusher_proto::wire::v0::FrameType;
use gpusher_proto::wire::v1::ClientFrame;
use gpusher_proto::wire::{ChannelKind, Position, Target};
use support::{Peer, client, heartbeat_v1, login_v0, login_v1, v0_frame};

fn conversation_v0() -> Vec<u8> {
    [
        v0_frame(FrameType::Heartbeat, 1, ""),
        v0_frame(FrameType::Ack, 5, ""),
        v0_frame(FrameType::General, 2, r#"{"type":1,"uuid":"bob","content":"hi \"bob\""}"#),
        v0_frame(FrameType::Sync, 3, ""),
        v0_frame(FrameType::Heartbeat, 4, "with a body that nobody reads"),
    ]
    .concat()
}

fn conversation_v1() -> Vec<u8> {
    let positions = [Position { kind: ChannelKind::App, seq: 7 }];
    [
        heartbeat_v1(),
        client(ClientFrame::Ack { positions: (&positions[..]).into() }),
        client(ClientFrame::Send { request: 1, target: Target::User, name: "bob", content: b"hi" }),
        client(ClientFrame::Join { request: 2, topic: "room/7", since: Some(3) }),
        client(ClientFrame::Heartbeat { acks: (&positions[..]).into() }),
        client(ClientFrame::Leave { request: 3, topic: "room/7" }),
        client(ClientFrame::Sync),
    ]
    .concat()
}

fn in_segments(login: &[u8], segments: &[&[u8]]) -> (Vec<String>, Vec<u8>) {
    let mut peer = Peer::admitted(login);
    let mut events = Vec::new();
    for segment in segments {
        events.extend(peer.hear_all(segment).expect("no rule is broken"));
    }
    assert_eq!(peer.session.partial_bytes(), 0);
    (events, peer.said())
}

#[test]
fn conversations_are_the_same_however_they_are_cut() {
    for (login, bytes, events) in
        [(login_v0(), conversation_v0(), 3), (login_v1(0), conversation_v1(), 6)]
    {
        let whole = in_segments(&login, &[&bytes]);
        assert_eq!(whole.0.len(), events);
        assert!(!whole.1.is_empty());
        for cut in 1..bytes.len() {
            let (front, back) = bytes.split_at(cut);
            assert_eq!(in_segments(&login, &[front, back]), whole, "cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(in_segments(&login, &single), whole);
        for size in 2..40 {
            let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
            assert_eq!(in_segments(&login, &chunks), whole, "segments of {size}");
        }
    }
}

#[test]
fn logins_may_be_cut_too() {
    for login in [login_v0(), login_v1(1)] {
        for cut in 1..login.len() {
            let mut peer = Peer::new();
            assert_eq!(peer.hear_all(&login[..cut]), Ok(vec![]));
            assert!(peer.session.partial_bytes() > 0);
            assert_eq!(peer.hear_all(&login[cut..]).expect("a login").len(), 1, "cut at {cut}");
            assert_eq!(peer.session.partial_bytes(), 0);
        }
    }
}

/// A header alone makes no claim on memory, however much it announces.
#[test]
fn what_is_held_follows_what_arrived() {
    let mut peer = Peer::admitted(&login_v1(0));
    let content = vec![0; 1 << 20];
    let frame = client(ClientFrame::Send {
        request: 1,
        target: Target::Application,
        name: "",
        content: &content,
    });
    let mut arrived = 0;
    for segment in frame[..frame.len() - 1].chunks(1400) {
        assert_eq!(peer.hear_all(segment), Ok(vec![]));
        arrived += segment.len();
        let held = peer.session.partial_bytes();
        assert!((arrived..=2 * arrived).contains(&held), "{arrived} arrived, {held} held");
    }
    assert_eq!(peer.hear_all(&frame[frame.len() - 1..]).expect("a message").len(), 1);
    assert_eq!(peer.session.partial_bytes(), 0);
}
