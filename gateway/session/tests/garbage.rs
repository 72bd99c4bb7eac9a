//! Every refused test vector, at the moment it is about: the connection ends with the vector's code, version 1 is told so, version 0 only when it is
//! the login that is refused, and nothing is held or heard any more.

mod support;

use gpusher_proto::wire::v0::{self, FrameType};
use gpusher_proto::wire::v1::{self, ServerFrame};
use gpusher_proto::wire::{Advice, BODY_BYTES_MAX, Code, RawFrame, Split, split};
use gpusher_session::{Limits, State};
use support::{Peer, login_v0, login_v1, refused, v0_frame};

/// What the peer is told, when that is one frame.
fn reason_told(said: &[u8]) -> Option<u16> {
    if said.is_empty() {
        return None;
    }
    let Ok(Split::Whole { frame, len }) = split(said, BODY_BYTES_MAX) else { panic!("no frame") };
    assert_eq!(len, said.len(), "one frame");
    match frame {
        RawFrame::V0(frame) => {
            assert_eq!((frame.frame_type, frame.stream_id), (FrameType::General, 1));
            Some(v0::Refusal::decode(frame.body).expect("a refusal").code)
        }
        RawFrame::V1(raw) => match ServerFrame::decode(raw) {
            Ok(ServerFrame::Close(close)) => Some(close.reason),
            other => panic!("not a CLOSE: {other:?}"),
        },
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Told {
    Yes,
    No,
}

fn check(make: impl Fn() -> Peer, file: &str, told: Told) {
    for (name, bytes, body_bytes_max, code) in refused(file) {
        let mut peer = make();
        peer.limits = Limits { body_bytes_max, ..peer.limits };
        let ended = peer.hear_all(&bytes).map_err(|code| code.name());
        assert_eq!(ended, Err(code.as_str()), "{file}: {name}");
        let reason = reason_told(&peer.said()).and_then(Code::from_number);
        let expected = (told == Told::Yes).then_some(code.as_str());
        assert_eq!(reason.map(Code::name), expected, "{file}: {name}");
        assert_eq!(peer.session.state(), State::Closing);
        assert_eq!(peer.session.partial_bytes(), 0);
        assert_eq!(peer.hear_all(&bytes), Ok(vec![]), "a closed connection hears nothing");
        assert!(peer.said().is_empty());
    }
}

#[test]
fn refused_logins() {
    check(Peer::new, "refused_v0_login", Told::Yes);
    check(Peer::new, "refused_v1_login", Told::Yes);
}

#[test]
fn refused_frames_of_the_admitted() {
    check(|| Peer::admitted(&login_v0()), "refused_v0_upstream", Told::No);
    check(|| Peer::admitted(&login_v0()), "refused_v0_ack", Told::No);
    check(|| Peer::admitted(&login_v1(0)), "refused_v1_client", Told::Yes);
}

/// Who speaks no version hears nothing; who speaks one of the future hears version 1; version 0 hears nothing about its header.
#[test]
fn refused_framing() {
    for (name, bytes, body_bytes_max, code) in refused("refused_framing") {
        let mut peer = Peer::new();
        peer.limits.body_bytes_max = body_bytes_max;
        peer.limits.login_body_bytes_max = body_bytes_max;
        assert_eq!(peer.hear_all(&bytes).map_err(|code| code.name()), Err(code.as_str()), "{name}");
        let told = reason_told(&peer.said()).and_then(Code::from_number).map(Code::name);
        let knows_version_1 = bytes[0] == 0x45 && bytes[1] != 0;
        assert_eq!(told, knows_version_1.then_some(code.as_str()), "{name}");
    }
}

#[test]
fn a_connection_keeps_to_its_version() {
    let mut peer = Peer::admitted(&login_v1(0));
    assert_eq!(peer.hear_all(&v0_frame(FrameType::Heartbeat, 1, "")), Err(Code::BadVersion));
    assert_eq!(reason_told(&peer.said()), Some(Code::BadVersion.number()));
    let mut peer = Peer::admitted(&login_v0());
    assert_eq!(peer.hear_all(&support::heartbeat_v1()), Err(Code::BadVersion));
    assert!(peer.said().is_empty());
}

/// The larger limit is only for the admitted.
#[test]
fn the_login_has_a_smaller_limit() {
    let large = v0_frame(FrameType::General, 1, &" ".repeat(8193));
    assert_eq!(Peer::new().hear_all(&large[..21]), Err(Code::TooLarge));
    let mut peer = Peer::admitted(&login_v0());
    assert_eq!(peer.hear_all(&large[..21]), Ok(vec![]));
}

#[test]
fn the_advice_is_that_of_the_table() {
    let mut peer = Peer::new();
    assert_eq!(peer.hear_all(&support::heartbeat_v1()), Err(Code::UnexpectedFrame));
    let said = peer.said();
    let Ok(Split::Whole { frame: RawFrame::V1(raw), .. }) = split(&said, 1000) else { panic!() };
    let close = v1::Close {
        reason: Code::UnexpectedFrame.number(),
        advice: Advice::GiveUp,
        delay_ms: 0,
        target: "",
        text: "not at this moment",
    };
    assert_eq!(ServerFrame::decode(raw), Ok(ServerFrame::Close(close)));
}
