//! Frames that follow the login before its verdict wait, bounded, and are acted on after it.

mod support;

use gpusher_proto::wire::v0::{Frame, FrameType};
use gpusher_proto::wire::v1::{ClientFrame, ServerFrame};
use gpusher_proto::wire::{Code, Target};
use gpusher_session::{Event, State, Upstream};
use support::{
    LOGIN_V0_STREAM_ID, Peer, client, heartbeat_v1, login_v0, login_v0_event, login_v1,
    login_v1_event, v0_frame, welcome,
};

#[test]
fn version_0_in_the_same_segment() {
    let mut peer = Peer::new();
    let message = v0_frame(FrameType::General, 3, r#"{"type":0,"content":"hi"}"#);
    let segment = [login_v0(), message, v0_frame(FrameType::Heartbeat, 4, "")].concat();
    assert_eq!(peer.hear(&segment, &[login_v0_event()]), Ok(()));
    assert_eq!(peer.session.state(), State::Pending);
    assert!(peer.said().is_empty());
    assert!(peer.session.partial_bytes() > 0);
    let upstream = Upstream {
        request: 3,
        target: Target::Application,
        name: "",
        content: b"hi",
        answer: true,
    };
    assert_eq!(peer.admit(&[Event::Upstream(upstream)]), Ok(()));
    let said = [LOGIN_V0_STREAM_ID, 4]
        .map(|id| Frame::from_server(FrameType::Heartbeat, id, b"").to_vec())
        .concat();
    assert_eq!(peer.said(), said, "the verdict comes first");
    assert_eq!(peer.session.partial_bytes(), 0);
}

/// The verdict comes at any byte of what follows the login.
#[test]
fn version_1_verdict_anywhere() {
    let follow = [
        heartbeat_v1(),
        client(ClientFrame::Join { request: 2, topic: "t", since: None }),
        heartbeat_v1(),
    ]
    .concat();
    let join = [Event::Join { request: 2, topic: "t", since: None }];
    let join_ends_at = follow.len() - heartbeat_v1().len();
    for cut in 0..=follow.len() {
        let mut peer = Peer::new();
        assert_eq!(peer.hear(&login_v1(0), &[login_v1_event()]), Ok(()));
        assert_eq!(peer.hear(&follow[..cut], &[]), Ok(()));
        let (before, after) =
            if cut >= join_ends_at { (&join[..], &[][..]) } else { (&[][..], &join[..]) };
        assert_eq!(peer.admit(before), Ok(()), "verdict at {cut}");
        assert_eq!(peer.hear(&follow[cut..], after), Ok(()), "verdict at {cut}");
        let said = [welcome(0), ServerFrame::Heartbeat.to_vec().repeat(2)].concat();
        assert_eq!(peer.said(), said);
        assert_eq!(peer.session.partial_bytes(), 0);
    }
}

#[test]
fn more_than_a_login_may_be_is_too_much() {
    let mut peer = Peer::new();
    assert_eq!(peer.hear(&login_v1(0), &[login_v1_event()]), Ok(()));
    for _ in 0..1024 {
        assert_eq!(peer.hear(&heartbeat_v1(), &[]), Ok(()));
        assert!(peer.session.partial_bytes() <= 8192);
    }
    assert_eq!(peer.hear(&[0x45], &[]), Err(Code::TooLarge));
    assert_eq!(peer.session.state(), State::Closing);
    assert_eq!(peer.session.partial_bytes(), 0);
}

/// A rule that a waiting frame breaks ends the connection after its admission, not before.
#[test]
fn garbage_waits_too() {
    let mut peer = Peer::new();
    let segment = [login_v1(0), login_v1(0)].concat();
    assert_eq!(peer.hear(&segment, &[login_v1_event()]), Ok(()));
    assert_eq!(peer.admit(&[]), Err(Code::UnexpectedFrame));
    assert!(peer.said().starts_with(&welcome(0)));
    assert_eq!(peer.session.state(), State::Closing);
}

/// A refused login takes what followed it along.
#[test]
fn nothing_waits_after_a_refusal() {
    let mut peer = Peer::new();
    let segment = [login_v0(), v0_frame(FrameType::Heartbeat, 4, "")].concat();
    assert_eq!(peer.hear(&segment, &[login_v0_event()]), Ok(()));
    let mut said = Vec::new();
    let close = gpusher_proto::wire::v1::Close::of(Code::BadToken, "no such token");
    peer.session.close(close, &mut said);
    let body = br#"{"code":102,"msg":"no such token"}"#;
    let refusal = Frame::from_server(FrameType::General, LOGIN_V0_STREAM_ID, body).to_vec();
    assert_eq!(said, refusal);
    assert_eq!(peer.session.partial_bytes(), 0);
}
