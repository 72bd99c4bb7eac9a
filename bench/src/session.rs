//! The state machine of a connection: what a login and a heartbeat cost besides the kernel.

use crate::figure::Figure;
use crate::timing::{Effort, time};
use gpusher_proto::conn_id::ConnId;
use gpusher_proto::wire::{Positions, v0, v1};
use gpusher_session::{Admission, Event, Limits, Session};
use std::hint::black_box;

/// Takes the figures.
pub fn figures(effort: Effort) -> Vec<Figure> {
    let limits = Limits { frames_per_second: 0, ..Limits::default() };
    let mut replies = Vec::with_capacity(4096);
    let login = login();
    let mut admitted = admitted(&limits, &login, &mut replies);
    let beat = v1::ClientFrame::Heartbeat { acks: Positions::EMPTY }.to_vec().expect("fits");
    let mut forty = Vec::new();
    for _ in 0..40 {
        forty.extend_from_slice(&beat);
    }
    let old = v0::Frame::from_client(v0::FrameType::Heartbeat, 1, LOGIN_V0).to_vec();
    vec![
        time("login of version 1, up to the event", effort, || {
            feed(&mut Session::new(), black_box(&login), &limits, &mut replies);
        }),
        time("login of version 0 (JSON), up to the event", effort, || {
            feed(&mut Session::new(), black_box(&old), &limits, &mut replies);
        }),
        time("heartbeat, answered", effort, || {
            feed(&mut admitted, black_box(&beat), &limits, &mut replies);
        }),
        time("40 heartbeats in one segment, answered", effort, || {
            feed(&mut admitted, black_box(&forty), &limits, &mut replies);
        }),
    ]
}

const LOGIN_V0: &[u8] =
    br#"{"appId": 1000, "uuid": "loadtest00000001", "key": "app_gpusher", "token": "any"}"#;

fn login() -> Vec<u8> {
    let login = v1::Login {
        app_id: 1000,
        user: "loadtest00000001",
        device: "",
        token: "any",
        capabilities: 0,
        epoch: 0,
        resume: Positions::EMPTY,
    };
    v1::ClientFrame::Login(login).to_vec().expect("fits")
}

fn admitted(limits: &Limits, login: &[u8], replies: &mut Vec<u8>) -> Session {
    let mut session = Session::new();
    feed(&mut session, login, limits, replies);
    let connection = ConnId::new(0, 0, 0, 1);
    let admission = Admission { connection, epoch: 1, resumed: &[] };
    session.admit(&admission, 0, limits, replies, &mut |_| {}).expect("it waits for its verdict");
    session
}

fn feed(session: &mut Session, bytes: &[u8], limits: &Limits, replies: &mut Vec<u8>) {
    replies.clear();
    let mut on = |event: Event<'_>| {
        black_box(&event);
    };
    session.on_bytes(bytes, 0, limits, replies, &mut on).expect("valid frames");
}
