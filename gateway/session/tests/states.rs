//! Which version 1 frame types a client may send in which state; every type that there is.

mod support;

use gpusher_proto::wire::Code;
use gpusher_proto::wire::v1::ClientFrame;
use gpusher_proto::wire::{Positions, Target};
use gpusher_session::State;
use support::{Peer, client, login_v1};

fn frames() -> Vec<(u8, Vec<u8>)> {
    let allowed_bodies = [
        (1, login_v1(0)),
        (2, client(ClientFrame::Heartbeat { acks: Positions::EMPTY })),
        (3, client(ClientFrame::Ack { positions: Positions::EMPTY })),
        (
            4,
            client(ClientFrame::Send {
                request: 1,
                target: Target::Application,
                name: "",
                content: b"",
            }),
        ),
        (5, client(ClientFrame::Join { request: 1, topic: "t", since: None })),
        (6, client(ClientFrame::Leave { request: 1, topic: "t" })),
        (7, client(ClientFrame::Sync)),
        (8, client(ClientFrame::Bye)),
    ];
    let others = [0].into_iter().chain(9..=u8::MAX);
    let others = others.map(|frame_type| (frame_type, vec![0x45, 1, frame_type, 0, 0, 0, 0, 0]));
    allowed_bodies.into_iter().chain(others).collect()
}

#[test]
fn the_table_of_states_and_types() {
    for (frame_type, frame) in frames() {
        let await_login = Peer::new().hear_all(&frame).map(drop);
        let expected = if frame_type == 1 { Ok(()) } else { Err(Code::UnexpectedFrame) };
        assert_eq!(await_login, expected, "type {frame_type} instead of a login");

        let mut peer = Peer::new();
        peer.hear_all(&login_v1(0)).expect("a login");
        assert_eq!(peer.session.state(), State::Pending);
        assert_eq!(peer.hear_all(&frame), Ok(vec![]), "type {frame_type} waits for the verdict");

        let mut peer = Peer::admitted(&login_v1(0));
        assert_eq!(peer.session.state(), State::Admitted);
        let expected = match frame_type {
            2..=8 => Ok(()),
            _ => Err(Code::UnexpectedFrame),
        };
        assert_eq!(peer.hear_all(&frame).map(drop), expected, "type {frame_type} when admitted");

        let mut peer = Peer::admitted(&login_v1(0));
        peer.hear_all(&client(ClientFrame::Bye)).expect("a good-bye");
        assert_eq!(peer.session.state(), State::Closing);
        assert_eq!(peer.hear_all(&frame), Ok(vec![]), "type {frame_type} is ignored");
    }
}
