//! Frames that arrive together are acted on in order, without being copied first.

mod support;

use gpusher_proto::wire::v0::{Frame, FrameType};
use gpusher_proto::wire::v1::{ClientFrame, ServerFrame};
use gpusher_proto::wire::{ChannelKind, Position, Positions, Target};
use gpusher_session::{Event, State, Upstream};
use support::{Peer, client, heartbeat_v1, login_v0, login_v1, v0_frame};

#[test]
fn version_0() {
    let mut peer = Peer::admitted(&login_v0());
    let segment = [
        v0_frame(FrameType::Heartbeat, 11, ""),
        v0_frame(FrameType::General, 12, r#"{"type":4,"topic":"room","content":"hi"}"#),
        v0_frame(FrameType::Ack, (1 << 50) + 9, ""),
        v0_frame(FrameType::Ack, (3 << 50) + 9, ""),
        v0_frame(FrameType::Sync, 13, ""),
        v0_frame(FrameType::Heartbeat, 14, ""),
    ]
    .concat();
    let upstream =
        Upstream { request: 12, target: Target::Topic, name: "room", content: b"hi", answer: true };
    let expected = [
        Event::Upstream(upstream),
        Event::Ack(Position { kind: ChannelKind::App, seq: 9 }),
        Event::Sync { request: Some(13) },
    ];
    assert_eq!(peer.hear(&segment, &expected), Ok(()));
    let answers = [11, 14].map(|id| Frame::from_server(FrameType::Heartbeat, id, b"").to_vec());
    assert_eq!(peer.said(), answers.concat());
    assert_eq!(peer.session.partial_bytes(), 0);
}

#[test]
fn version_1() {
    let mut peer = Peer::admitted(&login_v1(0));
    let positions = [
        Position { kind: ChannelKind::Everyone, seq: 1 },
        Position { kind: ChannelKind::Own, seq: u64::MAX },
    ];
    let segment = [
        client(ClientFrame::Heartbeat { acks: (&positions[..1]).into() }),
        client(ClientFrame::Send { request: 1, target: Target::User, name: "bob", content: b"" }),
        client(ClientFrame::Ack { positions: (&positions[..]).into() }),
        client(ClientFrame::Ack { positions: Positions::EMPTY }),
        client(ClientFrame::Join { request: 2, topic: "t", since: None }),
        client(ClientFrame::Leave { request: 3, topic: "t" }),
        client(ClientFrame::Sync),
        heartbeat_v1(),
        client(ClientFrame::Bye),
        heartbeat_v1(),
        b"what follows a good-bye is nobody's business".to_vec(),
    ]
    .concat();
    let upstream =
        Upstream { request: 1, target: Target::User, name: "bob", content: b"", answer: true };
    let expected = [
        Event::Ack(positions[0]),
        Event::Upstream(upstream),
        Event::Ack(positions[0]),
        Event::Ack(positions[1]),
        Event::Join { request: 2, topic: "t", since: None },
        Event::Leave { request: 3, topic: "t" },
        Event::Sync { request: None },
        Event::Bye,
    ];
    assert_eq!(peer.hear(&segment, &expected), Ok(()));
    assert_eq!(peer.said(), ServerFrame::Heartbeat.to_vec().repeat(2));
    assert_eq!(peer.session.state(), State::Closing);
}

#[test]
fn a_frame_and_a_half() {
    let mut peer = Peer::admitted(&login_v1(0));
    let frames = heartbeat_v1().repeat(2);
    assert_eq!(peer.hear(&frames[..11], &[]), Ok(()));
    assert_eq!(peer.said(), ServerFrame::Heartbeat.to_vec());
    assert!(peer.session.partial_bytes() > 0);
    assert_eq!(peer.hear(&frames[11..], &[]), Ok(()));
    assert_eq!(peer.said(), ServerFrame::Heartbeat.to_vec());
    assert_eq!(peer.session.partial_bytes(), 0);
}
