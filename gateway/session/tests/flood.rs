//! A client that sends faster than it may is told so and closed; acknowledgements cost nothing, and a pause buys a burst.

mod support;

use gpusher_proto::wire::v0::FrameType;
use gpusher_proto::wire::v1::{ClientFrame, ServerFrame};
use gpusher_proto::wire::{Advice, Code, Position, RawFrame, Split, split};
use support::{Peer, client, heartbeat_v1, login_v0, login_v1, v0_frame};

#[test]
fn the_burst_ends() {
    for (login, frame) in [
        (login_v0(), v0_frame(FrameType::Heartbeat, 1, "")),
        (login_v0(), v0_frame(FrameType::Sync, 1, "")),
        (login_v0(), v0_frame(FrameType::General, 1, r#"{"type":0,"content":""}"#)),
        (login_v1(0), heartbeat_v1()),
        (login_v1(0), client(ClientFrame::Sync)),
        (login_v1(0), client(ClientFrame::Leave { request: 1, topic: "t" })),
        (login_v1(0), client(ClientFrame::Join { request: 1, topic: "t", since: None })),
    ] {
        let mut peer = Peer::admitted(&login);
        for sent in 0..200 {
            assert!(peer.hear_all(&frame).is_ok(), "{sent}");
        }
        peer.now_ms += 10;
        assert!(peer.hear_all(&frame).is_ok(), "one more after a hundredth of a second");
        assert_eq!(peer.hear_all(&frame), Err(Code::RateLimited));
    }
}

#[test]
fn the_client_is_told_to_wait() {
    let mut peer = Peer::admitted(&login_v1(0));
    assert_eq!(peer.hear_all(&client(ClientFrame::Sync).repeat(201)), Err(Code::RateLimited));
    let said = peer.said();
    let Ok(Split::Whole { frame: RawFrame::V1(raw), .. }) = split(&said, 1000) else { panic!() };
    let Ok(ServerFrame::Close(close)) = ServerFrame::decode(raw) else { panic!("no CLOSE") };
    assert_eq!((close.reason, close.advice), (Code::RateLimited.number(), Advice::Reconnect));
    assert!(close.delay_ms > 0);
}

#[test]
fn acknowledgements_are_free() {
    let mut peer = Peer::admitted(&login_v0());
    assert!(peer.hear_all(&v0_frame(FrameType::Ack, 5, "").repeat(10_000)).is_ok());
    let mut peer = Peer::admitted(&login_v1(0));
    let position = Position { kind: gpusher_proto::wire::ChannelKind::Own, seq: 5 };
    let ack = client(ClientFrame::Ack { positions: (&[position][..]).into() });
    assert!(peer.hear_all(&ack.repeat(10_000)).is_ok());
}
