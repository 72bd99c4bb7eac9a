//! What the shard has a session say, byte by byte, in both versions: admission, answers, the end of a replay, go-away, close.

mod support;

use gpusher_proto::wire::v0::{Frame, FrameType};
use gpusher_proto::wire::v1::{Close, GoAway, ServerFrame};
use gpusher_proto::wire::{ChannelKind, Code, Encoding, Position};
use gpusher_session::{Session, State};
use support::{Peer, login_v0, login_v1, welcome};

fn said(say: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    say(&mut out);
    out
}

#[test]
fn admission_settles_the_encoding() {
    for (login, zlib, encoding, capabilities) in [
        (login_v0(), true, Encoding::V0, 0),
        (login_v1(0), true, Encoding::V1, 0),
        (login_v1(1), false, Encoding::V1, 0),
        (login_v1(1), true, Encoding::V1Zlib, 1),
        (login_v1(0xff), true, Encoding::V1Zlib, 1),
    ] {
        let mut peer = Peer::new();
        assert_eq!(peer.session.encoding(), None);
        peer.limits.zlib = zlib;
        peer.hear_all(&login).expect("a login");
        assert_eq!(peer.session.encoding(), Some(encoding));
        peer.admit(&[]).expect("admitted");
        let expected = match encoding {
            Encoding::V0 => Frame::from_server(FrameType::Heartbeat, 99, b"").to_vec(),
            _ => welcome(capabilities),
        };
        assert_eq!(peer.said(), expected);
        assert_eq!((peer.session.state(), peer.session.partial_bytes()), (State::Admitted, 0));
    }
}

#[test]
fn answers() {
    let v0 = Peer::admitted(&login_v0()).session;
    let body = br#"{"code":0,"msgId":"18446744073709551615"}"#;
    let expected = Frame::from_server(FrameType::Ack, 7, body).to_vec();
    assert_eq!(said(|out| v0.answer(7, 0, u64::MAX, out)), expected);
    let v1 = Peer::admitted(&login_v1(0)).session;
    let expected = ServerFrame::Answer { request: 7, code: 404, value: 0 }.to_vec();
    assert_eq!(said(|out| v1.answer(7, 404, 0, out)), expected);
}

#[test]
fn the_end_of_a_replay() {
    let positions = [Position { kind: ChannelKind::App, seq: 5 }];
    let v0 = Peer::admitted(&login_v0()).session;
    let expected = Frame::from_server(FrameType::Sync, 7, b"").to_vec();
    assert_eq!(said(|out| v0.synced(Some(7), (&positions[..]).into(), out)), expected);
    assert!(said(|out| v0.synced(None, (&positions[..]).into(), out)).is_empty());
    let v1 = Peer::admitted(&login_v1(0)).session;
    let expected = ServerFrame::Synced { positions: (&positions[..]).into() }.to_vec();
    assert_eq!(said(|out| v1.synced(None, (&positions[..]).into(), out)), expected);
}

#[test]
fn go_away_is_for_version_1() {
    let go_away = GoAway { reason: 402, close_in_ms: 1, reconnect_after_ms: 2, target: "gw:1" };
    let v1 = Peer::admitted(&login_v1(0)).session;
    assert_eq!(said(|out| v1.go_away(go_away, out)), ServerFrame::GoAway(go_away).to_vec());
    assert!(said(|out| Peer::admitted(&login_v0()).session.go_away(go_away, out)).is_empty());
    assert!(said(|out| Session::new().go_away(go_away, out)).is_empty());
}

#[test]
fn the_last_word_is_said_once() {
    let close = Close { target: "gw:1", delay_ms: 5, ..Close::of(Code::Kicked, "spam") };
    let frame = ServerFrame::Close(close).to_vec();
    let mut pending = Peer::new();
    pending.hear_all(&login_v1(0)).expect("a login");
    for (mut session, expected) in [
        (Peer::admitted(&login_v1(0)).session, frame.clone()),
        (pending.session, frame),
        (Peer::admitted(&login_v0()).session, vec![]),
        (Session::new(), vec![]),
    ] {
        assert_eq!(said(|out| session.close(close, out)), expected);
        assert_eq!(session.state(), State::Closing);
        assert!(said(|out| session.close(close, out)).is_empty());
    }
}
